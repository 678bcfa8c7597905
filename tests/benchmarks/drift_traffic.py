"""Seeded traffic for the drift benchmark: minutes of texts as sums of their real feature rows, with nothing drifting or a known shift."""

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from llmtower_processors.demo.texts import ask
from llmtower_processors.drift.embedders import HashedNgrams, Vectors, unit
from llmtower_processors.drift.features import features
from llmtower_processors.drift.reference import DAY
from tests.benchmarks.prose import documents

Array = npt.NDArray[np.float64]

TEXTS: Final = 300
TOPICS: Final = 6
NULLS: Final = ("iid", "autocorrelated", "daily-seasonal")
SHIFTS: Final = ("5 % contamination", "mean", "variance", "new topic", "language switch")
RAMP: Final = "slow ramp"
"""To a new topic, within two days."""
WORDS: Final = HashedNgrams()


@dataclass(frozen=True, slots=True)
class Pools:
    """Feature rows of texts: usual ones, and of each shift."""

    usual: Array
    shifted: dict[str, Array]
    vectors: dict[str, Vectors]
    """The embeddings behind them; the usual ones under ""."""


def pools(seed: int = 4) -> Pools:
    """Embed the texts."""
    import random

    chance, rng = random.Random(seed), np.random.default_rng(seed)
    drawn = features(WORDS.label, WORDS.dimension)

    usual = WORDS.embed(documents(TEXTS, size=300, seed=seed))
    topic = WORDS.embed([ask("support-bot", chance) for _ in range(TEXTS)])
    foreign = WORDS.embed([text.translate(_FOREIGN) for text in documents(TEXTS, size=300, seed=seed + 1)])
    direction = unit(rng.standard_normal((1, WORDS.dimension)))
    vectors = {
        "": usual,
        "5 % contamination": np.concatenate([np.repeat(usual, 19, axis=0), topic]),
        "mean": unit(usual + np.float32(0.25) * direction),
        "variance": unit(usual + np.float32(0.35) * unit(rng.standard_normal(usual.shape))),
        "new topic": topic,
        "language switch": foreign,
    }
    found = {name: drawn.of(rows).astype(np.float64) for name, rows in vectors.items()}
    return Pools(found.pop(""), found, vectors)


_FOREIGN: Final = str.maketrans("abcdefghijklmnopqrstuvwxyz", "nopqrstuvwxyzabcdefghijklm")


def minutes(kind: str, days: int, rng: np.random.Generator, usual: Array, *, rate: float = 20.0) -> tuple[Array, Array]:
    """Give feature sums (days, 1440, features) and counts (days, 1440) of traffic in which nothing drifts."""
    drawn = draw(kind, days, rng, rate=rate)
    return (drawn @ usual).reshape(days, DAY, -1), drawn.sum(axis=1).reshape(days, DAY).astype(np.float64)


def draw(kind: str, days: int, rng: np.random.Generator, *, rate: float = 20.0) -> npt.NDArray[np.int64]:
    """Give how often each usual text comes in each minute (minutes, TEXTS).

    autocorrelated: topics wander with a half-life of 14 minutes; daily-seasonal: besides, topics and traffic (tenfold) follow the hour.
    """
    count = days * DAY
    preference = np.zeros((count, TOPICS))
    expected = np.full(count, rate)
    if kind != "iid":
        preference += _wandering(count, rng)
    if kind == "daily-seasonal":
        at = np.arange(count) / DAY * 2 * np.pi
        expected = rate * (1 + 0.8 * np.sin(at))
        preference += 0.8 * np.sin(at[:, None] + np.arange(TOPICS))
    weights = np.exp(preference)
    share = weights[:, np.arange(TEXTS) % TOPICS]
    found: npt.NDArray[np.int64] = rng.multinomial(rng.poisson(expected), share / share.sum(axis=1, keepdims=True))
    return found


def _wandering(count: int, rng: np.random.Generator) -> Array:
    keep, size = 0.95, 0.5
    steps = rng.normal(0, size * np.sqrt(1 - keep**2), (count, TOPICS))
    state, found = np.zeros(TOPICS), np.empty((count, TOPICS))
    for index in range(count):
        state = keep * state + steps[index]
        found[index] = state
    return found


def mixed(sums: Array, counts: Array, pool: Array, share: Array | float, rng: np.random.Generator) -> Array:
    """Replace a share of each minute's texts (one number, or one a minute) by texts of a pool."""
    replaced = rng.binomial(counts.astype(np.int64), np.asarray(share, dtype=np.float64))
    total = np.where(counts > 0, replaced / np.maximum(counts, 1), 0)
    fresh = np.stack([pool[rng.integers(0, len(pool), number)].sum(axis=0) for number in replaced.reshape(-1)])
    kept: Array = sums * (1 - total)[..., None] + fresh.reshape(sums.shape)
    return kept
