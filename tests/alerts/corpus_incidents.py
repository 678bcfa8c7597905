"""What happens in a seeded world that people should be told of: kinds of incidents, and worlds struck by them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from tests.alerts.corpus import DAY, PAIRS, World


@dataclass(frozen=True)
class Incident:
    """Something that people should be told of: from minute to minute, of which applications, and the rules of which one must say so."""

    kind: str
    start: int
    end: int
    apps: tuple[str, ...]
    rules: tuple[str, ...]


Strike = Callable[[World, int, slice, np.random.Generator], None]


def _errors(name: str, low: float, high: float) -> Strike:
    def strike(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
        world.errors[name][_same_app(pair), when] += rng.uniform(low, high)

    return strike


def _times_factor(attribute: str, low: float, high: float) -> Strike:
    def strike(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
        getattr(world, attribute)[pair, when] *= rng.uniform(low, high)

    return strike


def _set(attribute: str, low: float, high: float) -> Strike:
    def strike(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
        getattr(world, attribute)[_same_app(pair), when] = rng.uniform(low, high)

    return strike


def _behind(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
    length = len(range(*when.indices(world.minutes)))
    world.lag_s[when] = np.minimum(np.arange(1, length + 1) * 60.0, rng.uniform(300, 1_500))


def _killed(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
    world.silent[when] = 1


def _spends(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
    length = len(range(*when.indices(world.minutes)))
    world.one_user[pair, when] = rng.uniform(30, 150) / length


def _drifts(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
    """The windows fill with the new topic for a while, then stay as far away."""
    length = len(range(*when.indices(world.minutes)))
    world.drift[_same_app(pair), when] = np.minimum(np.arange(1, length + 1) / rng.uniform(5, 40), 1) * rng.uniform(1.5, 8)


def _answers_differently(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
    world.snapshots[pair, when.start] = 1


def _judges_too_much(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
    """The budget of the day runs out, and stays spent until midnight."""
    day_end = (when.start // DAY + 1) * DAY
    spent = world.judge_spent[when.start : day_end]
    length = min(when.stop - when.start, len(spent)) - 5
    spent[:] = np.minimum(spent[0] + (1.0 - spent[0]) * np.arange(1, len(spent) + 1) / max(1, length), 1.0)


def _judge_away(world: World, pair: int, when: slice, rng: np.random.Generator) -> None:
    world.judge_down[when] = 1


def _same_app(pair: int) -> list[int]:
    return [number for number, one in enumerate(PAIRS) if one.app == PAIRS[pair].app]


_FAILING: Final = ("error_rate", "error_budget")
KINDS: Final[dict[str, tuple[Strike, tuple[int, int], tuple[str, ...]]]] = {
    "provider fails": (_errors("server", 0.15, 0.8), (15, 90), (*_FAILING, "provider_errors")),
    "rate limited": (_errors("rate_limit", 0.12, 0.7), (15, 120), (*_FAILING, "rate_limited")),
    "time-outs": (_errors("timeout", 0.12, 0.6), (15, 90), (*_FAILING, "timeouts")),
    "key revoked": (_errors("auth", 0.5, 1.0), (15, 60), (*_FAILING, "auth_failures")),
    "filtered": (_errors("content_filter", 0.15, 0.5), (30, 120), (*_FAILING, "content_filtered")),
    "slow model": (_times_factor("slow", 2.6, 6.0), (30, 120), ("latency_p95",)),
    "slow first token": (_times_factor("first_slow", 3.3, 8.0), (30, 120), ("ttft_p95",)),
    "dearer calls": (_times_factor("price", 4.0, 9.0), (120, 360), ("cost_spike", "budget_app", "budget_project")),
    "retry loop": (_times_factor("volume", 5.0, 15.0), (60, 240), ("cost_spike", "budget_app", "budget_project")),
    "one user spends": (_spends, (60, 240), ("budget_user", "cost_spike")),
    "toxic answers": (_set("toxic", 0.05, 0.3), (60, 240), ("toxicity",)),
    "personal data": (_set("personal", 0.03, 0.2), (60, 240), ("pii_leak",)),
    "ungrounded": (_set("ungrounded", 0.4, 0.8), (60, 240), ("ungrounded",)),
    "beside the point": (_set("irrelevant", 0.6, 0.95), (60, 240), ("irrelevant",)),
    "refusals": (_set("refused", 0.3, 0.8), (60, 240), ("refusals",)),
    "attacked": (_set("attacked", 0.15, 0.6), (60, 240), ("injections",)),
    "users complain": (_set("bad_rating", 0.45, 0.9), (120, 300), ("negative_feedback",)),
    "hung calls": (_set("hung", 0.08, 0.4), (30, 120), ("hung_calls",)),
    "no price": (_set("unpriced", 0.5, 1.0), (60, 240), ("unpriced_traffic",)),
    "producers drop": (_set("dropped", 5.0, 500.0), (10, 60), ("events_dropped",)),
    "bad deploy": (_set("dead", 5.0, 500.0), (10, 60), ("dead_letters",)),
    "producer killed": (_killed, (6, 60), ("producers_silent",)),
    "pipeline stands": (_behind, (8, 60), ("pipeline_behind",)),
    "topics drift": (_drifts, (60, 240), ("drift",)),
    "another snapshot": (_answers_differently, (5, 60), ("model_snapshot",)),
    "judge overspends": (_judges_too_much, (60, 180), ("budget_judge",)),
    "judge's endpoint down": (_judge_away, (45, 180), ("judge_blind",)),
}
"""By kind: what it does, how long it lasts (minutes), and the rules of which one must say so."""


def with_incidents(world: World, *, warm_days: int, count: int, kinds: tuple[str, ...] = tuple(KINDS)) -> list[Incident]:
    """Strike a world so often, one kind after the other, in the busier hours of different stretches, at random applications."""
    rng = np.random.default_rng((world.seed, 99))
    stretch = (world.minutes - warm_days * DAY) // count
    found = []
    for number in range(count):
        kind = kinds[(number + world.seed) % len(kinds)]
        strike, (shortest, longest), rules = KINDS[kind]
        length = int(rng.integers(shortest, longest + 1))
        first = warm_days * DAY + number * stretch
        pair = int(rng.integers(3))
        traffic = world.volume[pair, first : first + max(1, stretch - length)]
        start = first + int(rng.choice(np.flatnonzero(traffic >= traffic.max() / 2)))
        strike(world, pair, slice(start, start + length), rng)
        found.append(Incident(kind, start, start + length, (PAIRS[pair].app,), rules))
    return found
