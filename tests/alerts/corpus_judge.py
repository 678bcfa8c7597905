"""Rules over a drawn world: their figures, what they tell, and how right that is; beside them what a plain threshold would tell."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Final

import numpy as np
from numpy.typing import NDArray
from tests.alerts.corpus import DAY, EDGES, MINUTE_US, PAIRS, START_US, Drawn, Floats, Pair
from tests.alerts.corpus_incidents import Incident

from llmtower_processors.alerts.history import against_days, burning, spent
from llmtower_processors.alerts.levels import Level, Levels
from llmtower_processors.alerts.replay import Episode, Track, replay, with_certainty
from llmtower_processors.alerts.rules import Rule

BASELINE_DAYS: Final = 7
FLAP_MINUTES: Final = 30
"""An alert that begins again so soon after it ended was not over."""
_RATIOS: Final = {
    "error_rate": ("errors", "calls"),
    "unpriced_share": ("unpriced", "calls"),
    "negative_feedback": ("bad_rating", "rated"),
    "toxicity_rate": ("toxic", "scored"),
    "pii_rate": ("personal", "scored"),
    "ungrounded_rate": ("ungrounded", "scored"),
    "irrelevant_rate": ("irrelevant", "scored"),
    "refusal_rate": ("refused", "scored"),
    "injection_rate": ("attacked", "scored"),
    "hung_calls": ("hung", "calls"),
}
_SUMS: Final = {
    "cost": ("cost", "calls"),
    "dead_letters": ("dead", "dead"),
    "events_dropped": ("dropped", "calls"),
    "user_cost": ("one_user", "calls"),
}
_TIMES: Final = {"duration_p95": "duration", "ttft_p95": "ttft"}
_COLUMNS: Final[dict[str, Callable[[Pair], str]]] = {
    "project": lambda pair: "default",
    "app": lambda pair: pair.app,
    "user_id": lambda pair: "u-1",
    "provider": lambda pair: pair.provider,
    "request_model": lambda pair: pair.model,
}
_NOT_DRAWN: Final = frozenset({"events_missing", "evaluator_blind"})
"""They count what never happens in a world without faults of our own."""


def tracks(rule: Rule, drawn: Drawn) -> list[Track]:
    """Give the figures of a rule, group by group, a minute apart."""
    if rule.name in _NOT_DRAWN:
        return []
    if rule.name in _WHOLE:
        group, figures = _WHOLE[rule.name]
        return [_track(group, figures(drawn), np.ones_like(drawn.silent))]
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for number, pair in enumerate(PAIRS):
        groups[tuple(_COLUMNS[name](pair) for name in rule.group_by)].append(number)
    found = [_of_group(rule, drawn, dict(zip(rule.group_by, group, strict=True)), members) for group, members in groups.items()]
    return [one for one in found if np.isfinite(one.values).any()]


def _of_group(rule: Rule, drawn: Drawn, group: Mapping[str, str], members: list[int]) -> Track:
    if rule.name in _PASSED_ON:
        values = _PASSED_ON[rule.name](drawn, members)
        return _track(group, values, np.ones_like(values))
    if rule.budget:
        values, _ = _figures(rule, drawn, members, 1)
        calls = drawn.sums["calls"][members].sum(axis=0)
        return spent(_track(group, values, calls), rule.budget.amount, rule.budget.period, START_US + MINUTE_US)
    if rule.burn_rate:
        windows = (rule.burn_rate.short, rule.burn_rate.long)
        near, far = (with_certainty(rule, _track(group, *_figures(rule, drawn, members, round(one / 60)))) for one in windows)
        return burning(near, far, rule.burn_rate.budget)
    track = with_certainty(rule, _track(group, *_figures(rule, drawn, members, round(rule.window / 60))))
    if rule.baseline is None:
        return track
    before = BASELINE_DAYS * DAY
    compared = against_days(track, before * MINUTE_US, rule)
    nothing, zeros = np.full(before, np.nan), np.zeros(before)
    sure = None if compared.sure is None else np.r_[nothing, compared.sure]
    return replace(_track(group, np.r_[nothing, compared.values], np.r_[zeros, compared.samples]), sure=sure)


def _away(drawn: Drawn) -> Floats:
    """The share of the judge's rounds, one a minute, that found nobody in half an hour."""
    return _sliding(drawn.judge_down, 30) / np.minimum(np.arange(1, len(drawn.judge_down) + 1), 30)


def _newly_seen(drawn: Drawn, members: list[int]) -> Floats:
    """Snapshots first seen since the full hour before the window of an hour began."""
    seen = np.r_[0.0, np.cumsum(drawn.snapshots[members].sum(axis=0))]
    minute = np.arange(len(seen) - 1)
    return np.asarray(seen[1:] - seen[np.maximum((minute - 60) // 60 * 60, 0)])


_WHOLE: Final[dict[str, tuple[dict[str, str], Callable[[Drawn], Floats]]]] = {
    "producers_silent": ({"project": "default"}, lambda drawn: drawn.silent),
    "pipeline_behind": ({"project": "default"}, lambda drawn: drawn.lag_s),
    "budget_judge": ({"model": "gpt-4o-mini"}, lambda drawn: drawn.judge_spent),
    "judge_blind": ({"model": "gpt-4o-mini"}, _away),
}
"""Rules with one group: its name and its figures."""
_PASSED_ON: Final[dict[str, Callable[[Drawn, list[int]], Floats]]] = {
    "drift": lambda drawn, members: drawn.drift[members[0]],
    "model_snapshot": _newly_seen,
}
"""Rules that pass on what another part of Llmtower says of a group."""


def _track(group: Mapping[str, str], values: Floats, samples: Floats) -> Track:
    return Track(group, START_US + MINUTE_US, MINUTE_US, values, samples)


def _figures(rule: Rule, drawn: Drawn, members: list[int], window: int) -> tuple[Floats, Floats]:
    """Values and samples over a sliding window of so many minutes."""
    name = rule.metric or rule.name
    if name in _TIMES:
        times = _sliding(drawn.times[_TIMES[name]][members].sum(axis=0), window)
        total = times.sum(axis=1)
        return np.where(total > 0, _percentile(times, 0.95), np.nan), total.astype(np.float64)
    if name in _SUMS:
        value, sample = (_sliding(drawn.sums[one][members].sum(axis=0), window) for one in _SUMS[name])
        return np.where(sample > 0, value, np.nan), sample
    part, whole = _RATIOS.get(name) or (f"{name.removesuffix('_share')}_errors", "calls")
    value, sample = (_sliding(drawn.sums[one][members].sum(axis=0), window) for one in (part, whole))
    return np.divide(value, sample, out=np.full_like(value, np.nan), where=sample > 0), sample


def _sliding(counts: NDArray[np.generic], window: int) -> Floats:
    total = np.cumsum(counts, axis=0, dtype=np.float64)
    total[window:] = total[window:] - total[:-window]
    return np.maximum(total, 0.0)


def _percentile(times: Floats, share: float) -> Floats:
    """Find the bin, and go into it as far as is needed, on a logarithmic scale."""
    total = np.cumsum(times, axis=1)
    wanted = share * total[:, -1:]
    place = np.minimum((total < wanted).sum(axis=1), times.shape[1] - 1)
    rows = np.arange(len(times))
    before = total[rows, place] - times[rows, place]
    part = np.clip((wanted[:, 0] - before) / np.maximum(times[rows, place], 1), 0, 1)
    return np.asarray(EDGES[place] * (EDGES[place + 1] / EDGES[place]) ** part, dtype=np.float64)


@dataclass
class Tally:
    """What came of it, over any number of worlds."""

    days: float = 0.0
    incidents: int = 0
    found: int = 0
    told: int = 0
    false: Counter[str] = field(default_factory=Counter)
    """False pages by rule."""
    flaps: Counter[str] = field(default_factory=Counter)
    missed: Counter[str] = field(default_factory=Counter)
    """By kind of incident."""
    delays: list[float] = field(default_factory=list)
    """Minutes from the start of an incident that was found to the first page."""

    @property
    def recall(self) -> float:
        """The share of incidents of which a rule that should told."""
        return self.found / max(1, self.incidents)

    @property
    def false_per_week(self) -> float:
        """False pages of all rules together in a simulated week."""
        return self.false.total() / max(1e-9, self.days / 7)

    def add(self, told: Mapping[str, Sequence[Episode]], incidents: Sequence[Incident], days: float) -> None:
        """Take in one world: the episodes by rule."""
        self.days += days
        self.incidents += len(incidents)
        self.told += sum(map(len, told.values()))
        for incident in incidents:
            firsts = [at for rule in incident.rules for one in told.get(rule, ()) if (at := _within(one, incident)) is not None]
            self.found += bool(firsts)
            self.missed += Counter() if firsts else Counter([incident.kind])
            self.delays += [min(firsts)] if firsts else []
        for rule, episodes in told.items():
            self.false[rule] += sum(not any(_explained(one, incident) for incident in incidents) for one in episodes)
            self.flaps[rule] += _flaps(episodes, incidents)


def _minute(at_us: int) -> float:
    return (at_us - START_US) / MINUTE_US


def _within(one: Episode, incident: Incident) -> float | None:
    """Minutes until it was told; None when it was not, or of something else."""
    if one.group.get("app", incident.apps[0]) not in incident.apps:
        return None
    at = _minute(one.fired_us)
    ended = float("inf") if one.ended_us is None else _minute(one.ended_us)
    return max(0.0, at - incident.start) if at <= incident.end + 60 and ended >= incident.start else None


def _explained(one: Episode, incident: Incident) -> bool:
    """A page is right while an incident goes on, and as long after it as a window of a day's budget or an hour still holds it."""
    day_end = (incident.end // DAY + 1) * DAY
    late = day_end if one.group.keys() <= {"project", "app", "user_id"} and incident.kind in _SPENDING else incident.end + 60
    return one.group.get("app", incident.apps[0]) in incident.apps and incident.start <= _minute(one.fired_us) <= late


_SPENDING: Final = frozenset({"dearer calls", "retry loop", "one user spends"})


def _flaps(episodes: Iterable[Episode], incidents: Sequence[Incident] = ()) -> int:
    """An alert that ends and begins again soon, unless something else has happened between."""
    by_group: dict[tuple[str, ...], list[Episode]] = defaultdict(list)
    for one in episodes:
        by_group[tuple(one.group.values())].append(one)

    def again(before: Episode, after: Episode) -> bool:
        if before.ended_us is None or after.fired_us - before.ended_us >= FLAP_MINUTES * MINUTE_US:
            return False
        return not any(_minute(before.fired_us) < one.start <= _minute(after.fired_us) for one in incidents)

    return sum(again(before, after) for group in by_group.values() for before, after in pairwise(group))


def told(rules: Iterable[Rule], drawn: Drawn, *, after_us: int) -> dict[str, list[Episode]]:
    """Play every rule, and keep what fired after the warm-up."""
    return {rule.name: [one for track in tracks(rule, drawn) for one in replay(rule, track) if one.fired_us > after_us] for rule in rules}


def naive(rule: Rule, drawn: Drawn, warm_minutes: int) -> tuple[Rule, list[Track]]:
    """A plain threshold on the same figure: a minute's patience, no hysteresis, no least sample, and a constant in place of what is usual.

    The constant is the level of the shipped rule; where that is a ratio to what is usual, times the mean of the first week.
    """
    mildest = rule.levels.graded()[-1][1]
    plain = rule.model_copy(
        update={
            "levels": Levels.model_construct(
                warning=Level.model_construct(above=mildest.above, below=mildest.below, recover=None), critical=None
            ),
            "for_": 60.0,
            "recover_for": 0.0,
            "min_sample": 0.0,
            "sure": 0.0,
            "baseline": None,
        }
    )
    found = []
    for track in tracks(plain, drawn):
        scale = 1.0
        if rule.baseline:
            scale = max(float(np.nanmean(track.values[:warm_minutes])), rule.baseline.floor)
        found.append(Track(track.group, track.start_us, track.step_us, track.values / scale, track.samples))
    return plain, found


def told_naively(rules: Iterable[Rule], drawn: Drawn, *, after_us: int) -> dict[str, list[Episode]]:
    """The same for plain thresholds."""
    warm = (after_us - START_US) // MINUTE_US
    result = {}
    for rule in rules:
        plain, found = naive(rule, drawn, warm)
        result[rule.name] = [one for track in found for one in replay(plain, track) if one.fired_us > after_us]
    return result
