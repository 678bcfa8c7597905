"""Stage 2: Detoxify's models, asked for whole texts at once, whatever computes them."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from llmtower_processors.toxic.batches import Ids, batches, padded
from llmtower_processors.toxic.pieces import worst

Scores = npt.NDArray[np.float32]

CLASSES: Final = ("toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack", "sexual_explicit")
"""What is kept of a model's classes; `original` has no `sexual_explicit`, and the identities that `unbiased` knows are not for storing."""
WINDOW: Final = 510
"""Tokens that a model reads at once, its two special ones aside."""
OVERLAP: Final = 64
"""Tokens that two windows of one text share, so that nothing is cut apart in both."""


class Strong(Protocol):
    """A strong model: one row of scores a text, a column per class."""

    @property
    def label(self) -> str:
        """Name of the scorer: `detoxify-original`."""

    @property
    def version(self) -> str:
        """Its weights and what computes it: `c1212f89:onnx-int8`."""

    @property
    def classes(self) -> Sequence[str]:
        """Names of the columns."""

    def score(self, texts: Sequence[str]) -> Scores:
        """Give the scores, 0 to 1. Raises whatever breaks."""


class Runner(Protocol):
    """What computes a batch: torch, or ONNX Runtime."""

    @property
    def name(self) -> str:
        """Short name, part of the version: `torch-fp16`."""

    @property
    def batch_tokens(self) -> int:
        """Tokens in a batch, padding included, at which it computes best."""

    def run(self, ids: Ids, mask: Ids) -> Scores:
        """Give the scores of a batch, a column per class of the checkpoint."""


@dataclass(frozen=True, slots=True)
class Detoxifier:
    """A tokenizer and a runner behind the protocol; one text is as bad as its worst window."""

    label: str
    weights: str
    """How the SHA-256 of the checkpoint begins."""
    all_classes: Sequence[str]
    tokenizer: Any
    runner: Runner
    _turn: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)

    @property
    def version(self) -> str:
        """Weights and runner."""
        return f"{self.weights}:{self.runner.name}"

    @property
    def classes(self) -> Sequence[str]:
        """Those of the checkpoint's classes that are kept, in the order of `CLASSES`."""
        return [name for name in CLASSES if name in self.all_classes]

    def score(self, texts: Sequence[str]) -> Scores:
        """Give the scores of texts of any length."""
        kept = [list(self.all_classes).index(name) for name in self.classes]
        if not texts:
            return np.zeros((0, len(kept)), dtype=np.float32)
        cut = self.windows(texts)
        rows = list(chain.from_iterable(cut))
        scores = np.zeros((len(rows), len(self.all_classes)), dtype=np.float32)
        with self._turn:
            for batch in batches(list(map(len, rows)), tokens=self.runner.batch_tokens):
                scores[batch] = self.runner.run(*padded([rows[index] for index in batch], self.tokenizer.pad_token_id))
        found: Scores = worst(scores, list(map(len, cut)))[:, kept]
        return found

    def windows(self, texts: Sequence[str]) -> list[list[list[int]]]:
        """Give the token ids of each window of each text, special tokens in place."""
        encoded = self.tokenizer(list(texts), add_special_tokens=False, truncation=False, verbose=False)["input_ids"]
        first, last = self.tokenizer.cls_token_id, self.tokenizer.sep_token_id
        return [[[first, *tokens[start:end], last] for start, end in _spans(len(tokens))] for tokens in encoded]


def _spans(length: int) -> list[tuple[int, int]]:
    spans = [(0, min(length, WINDOW))]
    while spans[-1][1] < length:
        start = spans[-1][1] - OVERLAP
        spans.append((start, min(length, start + WINDOW)))
    return spans
