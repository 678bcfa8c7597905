"""The timer's work, once a minute: read sums, learn thresholds anew where they are old, judge every active segment, write `drift`."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from llmtower_processors.audit.tables import insert
from llmtower_processors.drift import read
from llmtower_processors.drift.baselines import Baseline, baselines
from llmtower_processors.drift.judge import HOUR_S, Key, Row, Verdict, judge, profile_of
from llmtower_processors.drift.metrics import METRICS
from llmtower_processors.drift.models import Learnt, What, load, save
from llmtower_processors.drift.reference import DAY
from llmtower_processors.drift.thresholds import WINDOWS, Calibration, calibrate
from llmtower_processors.runtime.model import Block

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

SETTLE_S: Final = 60
"""Windows end so long before the timer fires: what is under way arrives."""
REFERENCE_DAYS: Final = 7
STATED_MINUTES: Final = 30 * DAY
"""Expected time between false alarms of a project."""
LEARN_AGAIN_S: Final = 6 * HOUR_S
LEARN_FOR_S: Final = 15.0
"""Seconds that one firing may spend on learning; segments that are left wait for the next minute, the longest waiting first."""
TRAILING: Final = "trailing"
_DAY_S: Final = 24 * HOUR_S
_NOT_YET: Final = "not learnt yet"


@dataclass(frozen=True, slots=True)
class Reference:
    """A span (seconds) that segments are held against; `covers` says which."""

    name: str
    start: int
    end: int
    covers: Callable[[Key], bool]


def evaluate_drift(
    client: "Client", window_end_ms: int, token: str, *, stated_minutes: float = STATED_MINUTES, clock: Callable[[], float] = time.monotonic
) -> list[tuple[What, Verdict]]:
    """Judge every active segment for windows that end shortly before `window_end_ms`; the verdicts are stored once per token."""
    end = window_end_ms // 60_000 * 60 - SETTLE_S
    hour = end // HOUR_S * HOUR_S
    minutes, hours = read.minutes(client, end - HOUR_S, end), read.hours(client, hour - _DAY_S + HOUR_S, hour + HOUR_S)
    learnt = load(client, end)
    tasks: list[tuple[What, Sequence[Row], Sequence[Row]]] = []
    references = list(_references(client, hour))
    for reference in references:
        active = {"active": hour - _DAY_S + HOUR_S, "until": hour + HOUR_S}
        known = read.hours_of_day(client, reference.start, reference.end, **active)
        for key in sorted(filter(reference.covers, hours)):
            tasks += [(what, _window(what, minutes, hours, end), known.get(key, ())) for what in _whats(key, reference.name)]
    made = _learn(client, references, [what for what, _, _ in tasks], learnt, end, clock)
    learnt |= made
    save(client, list(made.items()), f"{token}:thresholds")
    verdicts = _verdicts(tasks, learnt, stated_minutes)
    _write(client, verdicts, end, token)
    return verdicts


def _references(client: "Client", hour: int) -> Iterator[Reference]:
    """The day window reaches back 23 hours; the trailing reference ends before it, so that drift of today is not yet part of it."""
    until = hour - _DAY_S + HOUR_S
    yield Reference(TRAILING, until - REFERENCE_DAYS * _DAY_S, until, lambda key: True)
    for one in baselines(client):
        yield Reference(f"baseline {one.name}", int(one.start.timestamp()), int(one.end.timestamp()), _covers(one))


def _covers(baseline: Baseline) -> Callable[[Key], bool]:
    wanted = {"project": baseline.project} | {name: value for name, value in baseline.where().items() if name in Key._fields}
    return lambda key: all(getattr(key, name) == value for name, value in wanted.items())


def _whats(key: Key, reference: str) -> Iterator[What]:
    for metric in METRICS.values():
        if key.direction in metric.directions:
            yield from (What(key, window, metric.name, reference) for window in WINDOWS)


def _window(what: What, minutes: Mapping[Key, Sequence[Row]], hours: Mapping[Key, Sequence[Row]], end: int) -> Sequence[Row]:
    if what.window == DAY:
        return hours[what.key]
    return [row for row in minutes.get(what.key, ()) if row["at"] >= end - what.window * 60]


def _learn(
    client: "Client",
    references: Sequence[Reference],
    whats: Sequence[What],
    learnt: dict[What, Learnt],
    now: int,
    clock: Callable[[], float],
) -> dict[What, Learnt]:
    """Learn what is missing or old, oldest first, all windows and metrics of a segment together, as long as there is time."""
    spans = {reference.name: reference for reference in references}
    ages: dict[tuple[Key, str], int] = {}
    for what in whats:
        at = learnt[what].at if what in learnt else 0
        ages[what.key, what.reference] = min(at, ages.get((what.key, what.reference), at))
    made: dict[What, Learnt] = {}
    begun = clock()
    for (key, name), at in sorted(ages.items(), key=lambda item: (item[1], item[0])):
        if now - at < LEARN_AGAIN_S or clock() - begun > LEARN_FOR_S:
            break
        made |= _learn_one(client, key, spans[name], now)
    return made


def _learn_one(client: "Client", key: Key, reference: Reference, now: int) -> dict[What, Learnt]:
    last = reference.end // _DAY_S * _DAY_S
    days = min(REFERENCE_DAYS, (last - reference.start) // _DAY_S)
    whats = list(_whats(key, reference.name))
    if days < 1:
        return {what: Learnt("the reference has no whole day (UTC)", now) for what in whats}
    found = read.whole_days(client, key, last - days * _DAY_S, days, {what.metric for what in whats})
    return {what: Learnt(calibrate(*found[what.metric], what.window, seed=now), now) for what in whats}


def _verdicts(
    tasks: Sequence[tuple[What, Sequence[Row], Sequence[Row]]], learnt: dict[What, Learnt], stated_minutes: float
) -> list[tuple[What, Verdict]]:
    """The project's false alarms are shared out evenly among all that is judged in it."""
    models = {what: learnt[what].model if what in learnt else _NOT_YET for what, _, _ in tasks}
    shares = Counter(what.key.project for what, model in models.items() if isinstance(model, Calibration))
    verdicts = []
    for what, rows, known in tasks:
        minutes = stated_minutes * max(1, shares[what.key.project])
        profile = profile_of(what.metric, known, REFERENCE_DAYS)
        bin_minutes = 60 if what.window == DAY else 1
        verdicts.append((what, judge(what.metric, rows, profile, models[what], bin_minutes=bin_minutes, minutes=minutes)))
    return verdicts


def _write(client: "Client", verdicts: Sequence[tuple[What, Verdict]], end: int, token: str) -> None:
    if not verdicts:
        return
    columns: dict[str, list[object]] = {"at": [end] * len(verdicts), "window_minutes": [what.window for what, _ in verdicts]}
    columns |= {name: [getattr(what.key, name) for what, _ in verdicts] for name in Key._fields}
    columns |= {name: [getattr(what, name) for what, _ in verdicts] for name in ("metric", "reference")}
    found = [asdict(verdict) for _, verdict in verdicts]
    columns |= {name: [one[name] for one in found] for name in found[0]}
    insert(client, Block("drift", columns), token)
