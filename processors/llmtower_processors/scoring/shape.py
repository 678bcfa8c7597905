"""What is wrong with the shape of an answer, whatever it says: empty, cut off, going round in circles, in another language, how long."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from llmtower_processors.drift.language import LANGUAGES, UNKNOWN, languages
from llmtower_processors.drift.said import LONGEST
from llmtower_processors.drift.tokens import chunks, words
from llmtower_processors.scoring.model import Score, Spoken, skipped

_CUT_OFF: Final = frozenset(
    {"length", "max_tokens", "max_output_tokens", "incomplete", "model_length", "token_limit", "model_context_window_exceeded"}
)
"""Finish reasons of answers that hit a limit, in lower case."""
_SHORTENED: Final = re.compile(r"…\[llmtower: cut, \d+\+? bytes in all\]\Z")
"""The SDK's mark: it was we who cut the text, not the model."""
_PROBE: Final = 36
"""Characters of a text's stretch that is looked for in the rest of it."""
_SPREAD: Final = 9
"""Stretches that are looked for, evenly spread."""
_ROUNDS: Final = 4
_COVERED: Final = 0.25
"""A stretch that comes so often, and makes so much of the text, is a loop."""
_TAIL: Final = 4_096
"""Characters of a text's end that are looked at for rounds."""
_SHORT: Final = 12
_FEW_LETTERS: Final = 0.3
"""Of a longer stretch that comes four times without a break: code has fewer letters than prose."""
_LETTERS: Final = 0.6
"""Of a stretch that counts: rules of tables, dots and code that is indented repeat for good reasons."""


def loops(text: str) -> bool:
    """Say whether a text goes round in circles: stretches of it come again and again, letter by letter."""
    if len(text) < 3 * _PROBE:
        return False
    return _ends_in_rounds(text) or _comes_again(text)


def _ends_in_rounds(text: str) -> bool:
    """Say whether the end of a text is the same stretch over and over, however short: most loops go on until a limit cuts them."""
    tail = text[-_TAIL:]
    before = tail.rfind(tail[-_PROBE:], 0, len(tail) - 1)
    if before < 0:
        return False
    period = len(tail) - _PROBE - before
    earlier, later = tail[-1 - period :: -1], tail[::-1]
    covered = period + next((n for n, pair in enumerate(zip(earlier, later, strict=False)) if pair[0] != pair[1]), len(earlier))
    said = tail[-period:]
    few = sum(map(str.isalpha, said)) < (_LETTERS if period < _SHORT else _FEW_LETTERS) * period
    return not few and covered >= _ROUNDS * period and covered >= _COVERED * len(text)


def _comes_again(text: str) -> bool:
    last = len(text) - _PROBE
    for number in range(_SPREAD):
        start = last - last * number // _SPREAD
        probe = text[start : start + _PROBE]
        count = text.count(probe)
        if count >= 3 and _says(probe) and (count >= _ROUNDS or count * 3 * _PROBE > len(text)) and _share(text, probe, count) >= _COVERED:
            return True
    return False


def _share(text: str, probe: str, count: int) -> float:
    """The share of the text that lies between the first and the last time, if they come evenly: a loop, not a phrase that is used often."""
    first, last = text.find(probe), text.rfind(probe)
    period = (last - first) / max(1, count - 1)
    second = text.find(probe, first + 1)
    even = second - first <= 1.5 * period + _PROBE
    return (last - first + _PROBE) / len(text) if even and period <= max(12 * _PROBE, len(text) / 3) else 0.0


def _says(probe: str) -> bool:
    return sum(map(str.isalpha, probe)) >= _LETTERS * len(probe)


def unfinished(text: str) -> bool:
    """Say whether a text breaks off: a fence of code that is not closed."""
    return text.count("```") % 2 == 1


@dataclass(frozen=True, slots=True)
class Shape:
    """Scores `empty`, `truncated` and `looping` (1 = it is), and `length` (characters). What providers say needs no content."""

    label: str = "shape"
    version: str = "2"
    names: tuple[str, ...] = ("empty", "truncated", "looping", "length")

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Look at answers and at why they ended."""
        return [_of(call) for call in calls]


def _of(call: Spoken) -> list[Score]:
    if call.no_answer == "empty":
        return [Score("empty", 1.0), _truncated(call), *skipped(("looping",), "empty"), Score("length", 0.0)]
    if call.no_answer:
        return [*skipped(("empty",), call.no_answer), _truncated(call), *skipped(("looping", "length"), call.no_answer)]
    text = _SHORTENED.sub("", call.answer)
    reason = "cut" if len(text) < len(call.answer) else ""
    looked_at = text if len(text) <= LONGEST else text[-LONGEST:]
    return [
        Score("empty", 0.0),
        _truncated(call),
        Score("looping", float(loops(looked_at))),
        Score("length", float(len(text)), reason=reason),
    ]


def _truncated(call: Spoken) -> Score:
    reasons = {reason.lower() for reason in call.event.finish_reasons}
    if reasons & _CUT_OFF:
        return Score("truncated", 1.0, "limit")
    if call.no_answer and not reasons:
        return skipped(("truncated",), call.no_answer)[0]
    broken = not call.no_answer and not _SHORTENED.search(call.answer[-64:]) and unfinished(call.answer)
    return Score("truncated", float(broken), "unclosed code" if broken else "")


@dataclass(frozen=True, slots=True)
class Languages:
    """Scores `language`: 1 where the answer is in the question's language; the label is the answer's. Unknown is not scored."""

    label: str = "words"
    version: str = "1"
    names: tuple[str, ...] = ("language",)

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Look at both texts of all calls at once."""
        asked, answered = (
            _languages([text[:LONGEST] for text in texts]) for texts in zip(*((c.question, c.answer) for c in calls), strict=True)
        )
        return [[_same(call, *pair)] for call, *pair in zip(calls, asked, answered, strict=True)]


def _languages(texts: Sequence[str]) -> list[str]:
    return [LANGUAGES[index] for piece in chunks(texts) for index in languages(words(texts[piece])).tolist()]


def _same(call: Spoken, asked: str, answered: str) -> Score:
    if call.no_answer or call.no_question:
        return skipped(("language",), call.no_answer or call.no_question)[0]
    if UNKNOWN in (asked, answered):
        return Score("language", None, "" if answered == UNKNOWN else answered, "skipped", "unknown language")
    return Score("language", float(asked == answered), answered)
