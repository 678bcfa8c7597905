"""Whether int8 deserves to be used on this machine: it must be faster than fp32, and agree with it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from llmtower_processors.toxic.batches import padded
from llmtower_processors.toxic.strong import Runner

FURTHEST: Final = 0.05
"""By how much a score of int8 may differ from fp32's."""
_LENGTHS: Final = (16, 64, 128)
_ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class Probe:
    """What a probe found; seconds are for the same tokens."""

    fp32_s: float
    int8_s: float
    distance: float

    @property
    def refusal(self) -> str:
        """Why int8 is refused; '' if it is not."""
        if not self.distance <= FURTHEST:
            return f"its scores are up to {self.distance:.3f} from fp32's, {FURTHEST} is allowed"
        if self.int8_s >= self.fp32_s:
            return f"it is slower than fp32 on this machine ({self.int8_s:.3f} s against {self.fp32_s:.3f} s)"
        return ""


def probe(fp32: Runner, int8: Runner, *, vocabulary: int, clock: Callable[[], float] = time.perf_counter) -> Probe:
    """Run both over the same tokens in turn, best of some rounds each, and compare."""
    rng = np.random.default_rng(0)
    rows = [rng.integers(3, max(4, vocabulary), length).tolist() for length in _LENGTHS]
    given = [padded([row], 0) for row in rows]
    took: dict[int, float] = {}
    scores: list[Sequence[np.ndarray]] = []
    for _ in range(_ROUNDS):
        for turn, runner in enumerate((fp32, int8)):
            begun = clock()
            scores.append([runner.run(*one) for one in given])
            took[turn] = min(took.get(turn, float("inf")), clock() - begun)
    distance = max(float(np.abs(a - b).max()) for a, b in zip(scores[0], scores[1], strict=True))
    return Probe(took[0], took[1], distance)
