"""Calls that say what was said before, word for word: a question that many ask, canned answers, a history that is sent again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import blake2b
from itertools import chain
from typing import Final

from llmtower_processors.scoring.model import Score, Scorer, Spoken
from llmtower_processors.scoring.process import score_all
from llmtower_processors.toxic.seen import Seen

MOST: Final = 4_000
"""Calls whose scores are kept, twice over: some 30 MB."""
_LONG: Final = 64 * 1024
"""Characters of a call; a longer one is not hashed, since it hardly comes again."""


@dataclass(frozen=True)
class Repeats:
    """Asks its scorers once about calls of the same texts and finish reasons, which must be all that these scorers read."""

    scorers: tuple[Scorer, ...]
    label: str = ""
    version: str = ""
    _seen: Seen[tuple[Score, ...]] = field(default_factory=lambda: Seen(MOST), repr=False, compare=False)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Those of all its scorers."""
        return tuple(chain.from_iterable(scorer.names for scorer in self.scorers))

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Give the scores of every scorer, in their order; what failed is asked again."""
        keys = [_key(call) for call in calls]
        found = {key: known for key in keys if key and (known := self._seen.known(key)) is not None}
        fresh: dict[bytes | int, Spoken] = {key or number: call for number, (key, call) in enumerate(zip(keys, calls, strict=True))}
        asked = {key: call for key, call in fresh.items() if key not in found}
        given = dict(zip(asked, map(tuple, score_all(list(asked.values()), self.scorers)), strict=True))
        for key, scores in given.items():
            if isinstance(key, bytes) and not any(score.status == "error" for score in scores):
                self._seen.keep(key, scores)
        return [found[key] if key in found else given[key or number] for number, key in enumerate(keys)]


def _key(call: Spoken) -> bytes:
    """Give a hash of what scorers of texts read; nothing for a long call."""
    reasons = call.event.finish_reasons
    parts = [call.question, call.answer, call.no_question, call.no_answer, str(len(reasons)), *reasons]
    parts += [document.text or "" for document in call.documents]
    if sum(map(len, parts)) > _LONG:
        return b""
    return _hash(parts)


def _hash(parts: Iterable[str]) -> bytes:
    """Lengths go along, so that no two lists of parts look alike."""
    encoded = [part.encode("utf-8", "surrogatepass") for part in parts]
    hashed = blake2b(repr(list(map(len, encoded))).encode(), digest_size=16)
    hashed.update(b"".join(encoded))
    return hashed.digest()
