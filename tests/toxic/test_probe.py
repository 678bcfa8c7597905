"""int8 is used only where it is faster than fp32 and agrees with it."""

from dataclasses import dataclass

import numpy as np
import pytest

from llmtower_processors.toxic.batches import Ids
from llmtower_processors.toxic.probe import probe
from llmtower_processors.toxic.strong import Scores


@dataclass
class Constant:
    """A runner that says one thing of everything and takes its time on a clock of its own."""

    value: float
    seconds: float
    times: "Times"
    name: str = "constant"
    batch_tokens: int = 512

    def run(self, ids: Ids, mask: Ids) -> Scores:
        self.times.now += self.seconds
        return np.full((len(ids), 6), self.value, dtype=np.float32)


@dataclass
class Times:
    """A clock that only runners move."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("value", "seconds", "refusal"),
    [
        (0.52, 1.0, ""),
        (0.549, 1.0, ""),
        (0.551, 1.0, "its scores are up to 0.051 from fp32's"),
        (0.5, 2.0, "it is slower than fp32 on this machine"),
        (float("nan"), 1.0, "its scores are up to nan from fp32's"),
    ],
)
def test_it_is_refused_for_a_reason(value: float, seconds: float, refusal: str) -> None:
    times = Times()
    found = probe(Constant(0.5, 2.0, times), Constant(value, seconds, times), vocabulary=100, clock=times)
    assert found.refusal.startswith(refusal)
    assert bool(found.refusal) is bool(refusal)
    assert found.fp32_s == pytest.approx(6.0)
