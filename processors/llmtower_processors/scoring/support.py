"""Groundedness: which sentences of an answer are supported by the documents that were retrieved for it.

A sentence is supported when one document holds most of its words and all of its numbers; with an embedder of sentences (model2vec,
sentence-transformers) it is when one of a document's sentences means nearly the same, and its numbers are there.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Final

import numpy as np

from llmtower_processors.drift.embedders import Embedder, HashedNgrams
from llmtower_processors.scoring.model import Score, Spoken, skipped
from llmtower_processors.scoring.plain import folded, visible
from llmtower_processors.scoring.relevance import DIGITS, calibration, reasons

MOST_SENTENCES: Final = 64
"""Sentences of an answer that are looked at."""
MOST_CHARACTERS: Final = 65_536
"""Characters of an answer, and of all documents together, that are looked at."""
KEPT_CHARACTERS: Final = 8_192
"""Of a document whose words are kept for the next answer: what the SDK sends of one. All that are kept take 75 MB at most."""
ENOUGH_WORDS: Final = 0.6
"""Share of a sentence's words that one document must hold."""
ENOUGH_ALIKE: Final = 0.6
"""Cosine at which a sentence of a document means nearly the same, of MiniLM; see `relevance.LEVELS`."""
_STEM: Final = 5
"""Letters by which words are compared: endings differ."""
_FEWEST: Final = 2
"""Words of a sentence that claims something."""

_ENDS: Final = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_WORD: Final = re.compile(r"[^\W\d_]{4,}|[\u3040-\u30ff\u4e00-\u9fff]{2}|\d+(?:[.,:]\d+)*")
_NUMBER: Final = re.compile(r"\d+(?:[.,:]\d+)*")
_NO_NUMBER: Final = str.maketrans("", "", ".,:")
_SHORTEST: Final = 4
"""Letters of a word that counts."""
_LETTERS: Final = bytes(byte if chr(byte).isalpha() else 32 for byte in bytes(range(128)).lower()) + bytes(range(128, 256))
"""English in lower case, and what parts words to spaces."""
_DIGITS: Final = bytes(range(48, 58))


def sentences(text: str) -> list[str]:
    """Cut a text into sentences and lines; their numbers are what positions of scores mean."""
    return [part for piece in _ENDS.split(text) if (part := piece.strip())]


def _of_document(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Documents come again and again; words of a long one take a megabyte, and are not kept."""
    return _of_short(text) if len(text) <= KEPT_CHARACTERS else _words(text)


@lru_cache(maxsize=512)
def _of_short(text: str) -> tuple[frozenset[str], frozenset[str]]:
    return _words(text)


def _words(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """Give the beginnings of the longer words, and the numbers; of English in half the time, to the same result."""
    if text.isascii():
        raw = text.encode()
        plain = raw.translate(_LETTERS).decode().split()
        figures = _NUMBER.findall(text) if len(raw.translate(None, _DIGITS)) < len(raw) else ()
        return frozenset([word[:_STEM] for word in plain if len(word) >= _SHORTEST]), frozenset(
            [one.translate(_NO_NUMBER) for one in figures]
        )
    return _of_any(text)


def _of_any(text: str) -> tuple[frozenset[str], frozenset[str]]:
    found = _WORD.findall(folded(visible(text)))
    numbers = frozenset(word.translate(_NO_NUMBER) for word in found if word[0].isdigit())
    return frozenset(word[:_STEM] for word in found if not word[0].isdigit()), numbers


def claims(answer: str) -> list[tuple[int, str]]:
    """Give the sentences that claim something, numbered: no questions, no greetings, no headings."""
    numbered = list(enumerate(sentences(answer[:MOST_CHARACTERS])))[:MOST_SENTENCES]
    return [(number, text) for number, text in numbered if not text.endswith(("?", "\uff1f", ":")) and _says(text)]


def _says(text: str) -> bool:
    """Whether a text has `_FEWEST` words or more, without reading on."""
    return len(list(islice(_WORD.finditer(text), _FEWEST))) == _FEWEST


Support = Callable[[Sequence[str], Sequence[str]], list[bool]]
"""Says of each sentence whether it is supported by any of the documents."""


def by_words(claimed: Sequence[str], documents: Sequence[str]) -> list[bool]:
    """Look for the words of each sentence in one document, and for its numbers in any."""
    known = list(map(_of_document, documents))
    numbers = frozenset().union(*(found for _, found in known))
    supported = []
    for text in claimed:
        words, figures = _words(text)
        best = max((len(words & found) for found, _ in known), default=0)
        supported.append(figures <= numbers and best >= ENOUGH_WORDS * len(words))
    return supported


def by_meaning(embedder: Embedder) -> Support:
    """Compare the vectors of sentences; numbers must still be there, as vectors do not tell 12 from 15."""

    def supported(claimed: Sequence[str], documents: Sequence[str]) -> list[bool]:
        passages = [text for document in documents for text in sentences(document)]
        rows = embedder.embed([*claimed, *passages])
        alike = (rows[: len(claimed)] @ rows[len(claimed) :].T).max(axis=1, initial=0.0).astype(np.float64).round(DIGITS)
        numbers = frozenset().union(*(_of_document(document)[1] for document in documents))
        return [bool(one >= ENOUGH_ALIKE) and _words(text)[1] <= numbers for one, text in zip(alike, claimed, strict=True)]

    return supported


@dataclass(frozen=True, slots=True)
class Groundedness:
    """Scores `groundedness`: the share of an answer's claims that the documents support; positions are the others' numbers.

    Calls without documents are not asked, those whose documents carry no text are skipped.
    """

    support: Support = by_words
    label: str = "words"
    version: str = "1"
    reason: str = ""
    """Of each score: `uncalibrated` where nobody has looked at what `ENOUGH_ALIKE` means to this embedder."""
    names: tuple[str, ...] = ("groundedness",)

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Hold each answer against its documents."""
        return [[self._of(call)] if call.documents else [] for call in calls]

    def _of(self, call: Spoken) -> Score:
        texts = [document.text for document in call.documents if document.text]
        if call.no_answer or not texts:
            return skipped(self.names, call.no_answer or "no document text")[0]
        claimed = claims(call.answer)
        if not claimed:
            return skipped(self.names, "no claims")[0]
        room = MOST_CHARACTERS // len(texts)
        supported = self.support([text for _, text in claimed], [text[:room] for text in texts])
        missing = tuple(number for (number, _), good in zip(claimed, supported, strict=True) if not good)
        cut = "cut" if len(call.answer) > MOST_CHARACTERS or any(len(text) > room for text in texts) else ""
        return Score("groundedness", 1 - len(missing) / len(claimed), reason=reasons(self.reason, cut), positions=missing)


def groundedness(embedder: Embedder) -> Groundedness:
    """Compare meanings where the embedder knows any, words where it only hashes them."""
    if isinstance(embedder, HashedNgrams):
        return Groundedness()
    return Groundedness(by_meaning(embedder), embedder.label, "2", calibration(embedder))
