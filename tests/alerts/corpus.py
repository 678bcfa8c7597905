"""A seeded world of LLM traffic, minute by minute: days and weeks, weather of providers, harmless oddities, and incidents on top.

What is drawn are counts of calls, errors and ratings and histograms of times, as the rollups hold them; a rule's figures are made of
them as the tables' SQL makes them. No threshold is known here: parameters come from how such traffic looks, not from the rules.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

MINUTE_US: Final = 60_000_000
DAY: Final = 1_440
"""Minutes."""
START_US: Final = 1_791_763_200_000_000
"""Monday, 2026-10-12 00:00 UTC."""
CLASSES: Final = ("rate_limit", "timeout", "auth", "invalid_request", "content_filter", "server", "network")
BASE_ERRORS: Final = {
    "rate_limit": 0.0015,
    "timeout": 0.0007,
    "auth": 0.0,
    "invalid_request": 0.002,
    "content_filter": 0.002,
    "server": 0.0012,
    "network": 0.0003,
}
EDGES: Final = np.geomspace(0.05, 200.0, 57)
"""Seconds; borders of the histograms' 56 bins, 15 % wide each."""


@dataclass(frozen=True)
class Pair:
    """One application and model: calls a minute at midday, median seconds, dollars a call."""

    app: str
    provider: str
    model: str
    rate: float
    seconds: float
    spread: float
    dollars: float
    night: float = 0.15
    """Traffic at night relative to midday."""
    job: tuple[int, float] = (0, 0.0)
    """A nightly job: the minute of the day it begins at, and its calls a minute for about an hour."""


PAIRS: Final = (
    Pair("chat", "openai", "gpt-4o", 30.0, 1.8, 0.55, 0.0012),
    Pair("chat", "openai", "gpt-4o-mini", 45.0, 1.1, 0.5, 0.0002),
    Pair("search", "anthropic", "claude-haiku-4-5", 18.0, 0.9, 0.45, 0.0004),
    Pair("search", "openai", "text-embedding-3-small", 20.0, 0.15, 0.3, 0.00001),
    Pair("batch", "openai", "o4-mini", 0.6, 6.0, 0.7, 0.004, night=1.0, job=(120, 40.0)),
    Pair("intranet", "anthropic", "claude-sonnet-4-5", 1.2, 2.5, 0.6, 0.006, night=0.02),
)
APPS: Final = tuple(dict.fromkeys(pair.app for pair in PAIRS))
DRIFT_ALARM_DAYS: Final = 28.0
"""Between two alarms of drift in a project where nothing drifts: measured (docs/drift.md), 30 are aimed at."""


@dataclass
class World:
    """Parameters by pair and minute, which incidents change, and what is drawn from them."""

    seed: int
    days: int
    rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.minutes = self.days * DAY
        shape = (len(PAIRS), self.minutes)
        self.volume = np.stack([self._traffic(pair) for pair in PAIRS])
        self.errors = {name: np.full(shape, share) for name, share in BASE_ERRORS.items()}
        self.slow, self.first_slow = np.stack([self._weather(0.05) for _ in PAIRS]), np.ones(shape)
        self.price = np.stack([self._drifting_price() for _ in PAIRS])
        self.unpriced, self.hung, self.dropped, self.dead = (np.zeros(shape) for _ in range(4))
        self.bad_rating, self.toxic, self.personal, self.ungrounded = (np.full(shape, share) for share in (0.08, 0.0015, 0.001, 0.07))
        self.irrelevant, self.refused, self.attacked = (np.full(shape, share) for share in (0.2, 0.02, 0.004))
        self.one_user = np.zeros(shape)
        self.silent, self.lag_s = np.zeros(self.minutes), self.rng.gamma(4.0, 1.0, self.minutes)
        self._oddities()
        self._watchers()

    def _watchers(self) -> None:
        """What other parts of Llmtower say of such traffic, drawn apart: the rest of a seed stays as it was."""
        rng = np.random.default_rng((self.seed, 7))
        shape = (len(PAIRS), self.minutes)
        self.drift, self.snapshots = np.zeros(shape), np.zeros(shape)
        for app in APPS:
            ratio = np.clip(0.5 * np.exp(0.2 * np.repeat(rng.normal(0, 1, self.minutes // 10 + 1), 10)[: self.minutes]), 0.1, 0.95)
            for at in rng.integers(0, self.minutes, rng.poisson(self.days / DRIFT_ALARM_DAYS / len(APPS))):
                last = at + int(rng.integers(10, 70))
                ratio[at:last] = rng.uniform(1.0, 1.5)
            self.drift[[number for number, pair in enumerate(PAIRS) if pair.app == app]] = ratio
        through = (np.arange(self.minutes) % DAY + 1) / DAY
        self.judge_spent = through * np.repeat(rng.uniform(0.3, 0.85, self.days), DAY)
        self.judge_down = np.zeros(self.minutes)
        for at in rng.integers(0, self.minutes, rng.poisson(self.days * 0.5)):  # the endpoint hiccups
            self.judge_down[at : at + int(rng.integers(1, 9))] = 1

    def _traffic(self, pair: Pair) -> Floats:
        minute = np.arange(self.minutes)
        day = np.clip(np.sin(np.pi * ((minute % DAY) / DAY * 24 - 6) / 16), 0, 1)
        shape = pair.night + (1 - pair.night) * day
        weekend = np.where(minute // DAY % 7 >= 5, 0.45 if pair.night < 1 else 1.0, 1.0)
        by_day = np.repeat(self.rng.lognormal(0, 0.08, self.days), DAY)
        growth = 1 + self.rng.uniform(0, 0.3) * minute / (28 * DAY)
        traffic = pair.rate * shape * weekend * by_day * growth * self._weather(0.12)
        if pair.job[1]:
            for number in range(self.days):
                start = number * DAY + pair.job[0] + int(self.rng.integers(-3, 4))
                traffic[max(0, start) : start + int(self.rng.integers(50, 70))] += pair.job[1] * self.rng.lognormal(0, 0.1)
        return traffic

    def _weather(self, size: float) -> Floats:
        """A slow wander around 1, as of load: its logarithm has this deviation and forgets within about two hours."""
        steps = self.rng.normal(0, 1, self.minutes // 10 + 2)
        kernel = np.exp(-np.arange(72) / 12)
        wander = np.convolve(steps, kernel / np.sqrt((kernel**2).sum()))[: len(steps)]
        return np.asarray(np.exp(size * np.interp(np.arange(self.minutes), np.arange(len(steps)) * 10, wander)))

    def _drifting_price(self) -> Floats:
        """Dollars a call wander, and a deploy changes them for good now and then: longer prompts are no incident."""
        price = self._weather(0.08)
        for at in self.rng.integers(0, self.minutes, self.rng.poisson(self.days / 14)):
            price[at:] *= self.rng.uniform(0.85, 1.25)
        return price

    def _oddities(self) -> None:
        """What happens all the time and is nobody's business at night."""
        for _ in range(self.rng.poisson(self.days * 1.5)):  # a provider hiccups for a minute or two
            at, last = self._moment(1, 3)
            pair = self.rng.integers(len(PAIRS))
            self.errors[str(self.rng.choice(("server", "rate_limit", "network")))][pair, at:last] += self.rng.uniform(0.02, 0.12)
        for _ in range(self.rng.poisson(self.days)):  # a slow minute
            at, last = self._moment(1, 4)
            self.slow[self.rng.integers(len(PAIRS)), at:last] *= self.rng.uniform(1.2, 2.0)
        for _ in range(self.rng.poisson(self.days * 0.7)):  # a deploy restarts producers, a worker hands over
            at, last = self._moment(1, 2)
            self.silent[at:last] = 1
            self.lag_s[at:last] += self.rng.uniform(5, 45)
        for _ in range(self.rng.poisson(self.days * 0.3)):  # a newsletter, a lecture hall
            at, last = self._moment(10, 40)
            self.volume[self.rng.integers(len(PAIRS)), at:last] *= self.rng.uniform(1.5, 2.5)

    def _moment(self, shortest: int, longest: int) -> tuple[int, int]:
        at = int(self.rng.integers(0, self.minutes - longest))
        return at, at + int(self.rng.integers(shortest, longest))

    def draw(self) -> "Drawn":
        """Draw counts from the parameters."""
        rng = self.rng
        calls = rng.poisson(self.volume * rng.gamma(30.0, 1 / 30, self.volume.shape)).astype(np.float64)
        failed, errors = self._failures(calls)
        rated, scored = (rng.binomial(calls.astype(int), share).astype(np.float64) for share in (0.04, 0.25))
        dollars = np.array([pair.dollars for pair in PAIRS])[:, None]
        cost = calls * dollars * self.price * rng.gamma(np.maximum(calls, 1), 1 / np.maximum(calls, 1)) + self.one_user

        def of(count: Floats, share: Floats) -> Floats:
            return rng.binomial(count.astype(int), np.clip(share, 0, 1)).astype(np.float64)

        drawn = Drawn(
            sums={
                "calls": calls,
                "errors": failed,
                "cost": cost,
                "unpriced": of(calls, self.unpriced),
                "hung": of(calls, self.hung),
                "rated": rated,
                "bad_rating": of(rated, self.bad_rating),
                "scored": scored,
                "toxic": of(scored, self.toxic),
                "personal": of(scored, self.personal),
                "ungrounded": of(scored, self.ungrounded),
                "dropped": rng.poisson(self.dropped).astype(np.float64),
                "dead": rng.poisson(self.dead).astype(np.float64),
                "one_user": self.one_user,
                **{f"{name}_errors": one for name, one in errors.items()},
            },
            times={"duration": self._times(calls, self.slow, 1.0), "ttft": self._times(calls, self.slow * self.first_slow, 0.35)},
            silent=self.silent,
            lag_s=self.lag_s,
            drift=self.drift,
            snapshots=self.snapshots,
            judge_spent=self.judge_spent,
            judge_down=self.judge_down,
        )
        later = {"irrelevant": self.irrelevant, "refused": self.refused, "attacked": self.attacked}
        drawn.sums.update({name: of(scored, share) for name, share in later.items()})
        return drawn

    def _failures(self, calls: Floats) -> tuple[Floats, dict[str, Floats]]:
        """All that fail, and of which class."""
        whole = sum(self.errors.values())
        failed = self.rng.binomial(calls.astype(int), np.minimum(whole, 1.0)).astype(np.float64)
        shares = {name: np.clip(np.divide(one, np.maximum(whole, 1e-12)), 0, 1) for name, one in self.errors.items()}
        return failed, {name: self.rng.binomial(failed.astype(int), share).astype(np.float64) for name, share in shares.items()}

    def _times(self, calls: Floats, factor: Floats, share: float) -> NDArray[np.int32]:
        """Histograms by pair, minute and bin: calls spread over a log-normal whose median moves with the factor."""
        found = np.zeros((*calls.shape, len(EDGES) - 1), dtype=np.int32)
        for number, pair in enumerate(PAIRS):
            total = calls[number].astype(int)
            minute = np.repeat(np.arange(self.minutes), total)
            seconds = pair.seconds * share * factor[number, minute] * np.exp(pair.spread * self.rng.standard_normal(len(minute)))
            place = np.clip(np.searchsorted(EDGES, seconds) - 1, 0, len(EDGES) - 2)
            found[number] = np.bincount(minute * (len(EDGES) - 1) + place, minlength=self.minutes * (len(EDGES) - 1)).reshape(
                self.minutes, -1
            )
        return found


@dataclass(frozen=True)
class Drawn:
    """Counts by pair and minute, histograms of times, two figures of the pipeline, and what drift, snapshots and the judge say."""

    sums: dict[str, Floats]
    times: dict[str, NDArray[np.int32]]
    silent: Floats
    lag_s: Floats
    drift: Floats
    """Statistic over threshold, by pair and minute."""
    snapshots: Floats
    """Snapshots first seen, by pair and minute."""
    judge_spent: Floats
    """Share of the judge's budget of the day."""
    judge_down: Floats
    """1 where the judge's endpoint does not answer."""
