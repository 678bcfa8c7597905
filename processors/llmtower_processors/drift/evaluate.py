"""The timer's work, once a minute: read sums, learn old thresholds anew, judge every active segment, write rows of `drift`."""

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from llmtower_processors.audit.tables import insert
from llmtower_processors.drift import read
from llmtower_processors.drift.alarms import explain_alarms
from llmtower_processors.drift.baselines import baselines
from llmtower_processors.drift.judge import HOUR_S, Key, Row, Verdict, judge, profile_of
from llmtower_processors.drift.metrics import EMBEDDING, METRICS
from llmtower_processors.drift.models import Learnt, What, load, save
from llmtower_processors.drift.reference import DAY, all_day
from llmtower_processors.drift.scopes import DAY_S, EARLIER_DAYS, TRAILING_DAYS, Reference, Scope, earlier_weeks, references, scope_of
from llmtower_processors.drift.thresholds import FEWEST_TEXTS, SLOW, WINDOWS, Calibration, calibrate
from llmtower_processors.runtime.model import Block

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

log = logging.getLogger(__name__)

SETTLE_S: Final = 60
"""Windows end so long before the timer fires: what is under way arrives."""
STATED_MINUTES: Final = 30 * DAY
"""Expected time between false alarms of a project."""
LEARN_AGAIN_S: Final = 6 * HOUR_S
CHANGED_SHARE: Final = 0.25
"""A reference that has grown or shrunk by more is learnt anew at once: history was sent late, or retention cut it."""
LEARN_FOR_S: Final = 15.0
"""Seconds that one firing may spend on learning; segments that are left wait for the next minute, the longest waiting first."""
MOST_SEGMENTS: Final = 300
"""That are judged; of more, those with the most texts of the last day."""
_NOT_YET: Final = "not learnt yet"
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Held:
    """One segment held against one scope of a reference: its windows, and the reference by hour of the day."""

    key: Key
    scope: Scope
    reference: Reference
    known: Sequence[Row]
    windows: Mapping[int, Sequence[Row]]
    metrics: Sequence[str]
    closed: Sequence[Row] = ()
    """The last 24 whole hours: the hour that is under way would look like one in which people ask less."""

    @property
    def texts(self) -> int:
        """Texts of the reference."""
        return sum(int(row["texts"]) for row in self.known)

    def whats(self) -> Iterator[What]:
        """Give what there is to judge."""
        for metric in map(METRICS.__getitem__, self.metrics):
            if self.key.direction in metric.directions:
                yield from (What(self.key, window, metric.name, self.scope.name) for window in self.windows if window >= metric.shortest)

    def rows(self, what: What) -> Sequence[Row]:
        """Give the rows of a window."""
        return self.closed if METRICS[what.metric].expects is all_day else self.windows[what.window]

    def age(self, learnt: Mapping[What, Learnt], now: int) -> float:
        """Give how old (seconds) its oldest threshold is; inf where one is missing, or the reference has changed much since."""
        found = [learnt.get(what) for what in self.whats()]
        changed = [one is None or abs(one.texts - self.texts) > FEWEST_TEXTS + CHANGED_SHARE * one.texts for one in found]
        return math.inf if any(changed) else max((now - one.at for one in found if one is not None), default=0)


def evaluate_drift(client: "Client", window_end_ms: int, token: str, *, clock: Clock = time.monotonic) -> list[tuple[What, Verdict]]:
    """Judge every active segment for windows that end shortly before `window_end_ms`; the verdicts are stored once per token."""
    end = window_end_ms // 60_000 * 60 - SETTLE_S
    verdicts, made = judge_all(client, end, lambda key: True, clock=clock)
    save(client, list(made.items()), f"{token}:thresholds")
    _write(client, verdicts, end, token)
    explain_alarms(client, verdicts, end, f"{token}:explained")
    return verdicts


def judge_all(
    client: "Client", end: int, wanted: Callable[[Key], bool], *, metrics: Sequence[str] = tuple(METRICS), clock: Clock = time.monotonic
) -> tuple[list[tuple[What, Verdict]], dict[What, Learnt]]:
    """Judge the wanted segments for windows that end at `end` (seconds); gives besides what was learnt for it. Writes nothing."""
    held = list(_held(client, end, wanted, metrics))
    learnt = load(client, end)
    made = _learn(client, held, learnt, end, clock)
    return _verdicts(held, learnt | made), made


def _held(client: "Client", end: int, wanted: Callable[[Key], bool], metrics: Sequence[str]) -> Iterator[Held]:
    hour = end // HOUR_S * HOUR_S
    since, until = hour - DAY_S + HOUR_S, hour + HOUR_S
    minutes, longer = read.minutes(client, end - HOUR_S, end), read.hours(client, since - HOUR_S, until)
    hours = {key: [row for row in rows if row["at"] >= since] for key, rows in longer.items()}
    keys = _largest({key: rows for key, rows in hours.items() if rows and wanted(key)})
    for reference in references(hour, baselines(client)):
        known = read.hours_of_day(client, reference.start, reference.end, active=since, until=until)
        for key in filter(reference.covers, keys):
            scope, rows = scope_of(key, reference, known)
            windows = {window: [row for row in minutes.get(key, ()) if row["at"] >= end - window * 60] for window in WINDOWS}
            closed = [row for row in longer[key] if row["at"] < hour]
            yield Held(key, scope, reference, rows, windows | {DAY: hours[key]}, metrics, closed)
    if end % HOUR_S == 0:
        yield from _slow(client, hour - HOUR_S, keys)


def _slow(client: "Client", hour: int, keys: Sequence[Key]) -> Iterator[Held]:
    """Once an hour, hold the last seven days against the three weeks before them, for drift too slow for trailing days to see."""
    reference = earlier_weeks(hour)
    span = {"active": hour - DAY_S, "until": hour + HOUR_S}
    week = read.hours(client, reference.end, reference.end + 7 * DAY_S)
    known = read.hours_of_day(client, reference.start, reference.end, **span)
    for key in keys:
        if key in known and key in week:
            yield Held(key, Scope(reference.name, key, ""), reference, known[key], {SLOW: week[key]}, (EMBEDDING,))


def _largest(hours: Mapping[Key, Sequence[Row]]) -> list[Key]:
    order = sorted(hours, key=lambda key: (-sum(row["answered"] for row in hours[key]), key))
    if len(order) > MOST_SEGMENTS:
        log.warning("drift: %d segments are active, the %d with the most texts are judged", len(order), MOST_SEGMENTS)
    return order[:MOST_SEGMENTS]


def _learn(client: "Client", held: Sequence[Held], learnt: Mapping[What, Learnt], now: int, clock: Clock) -> dict[What, Learnt]:
    """Learn what is missing or old, oldest first, all windows and metrics of a segment together, as long as there is time."""
    ages = sorted(((one.age(learnt, now), number) for number, one in enumerate(held)), key=lambda pair: (-pair[0], pair[1]))
    made: dict[What, Learnt] = {}
    begun = clock()
    for age, number in ages:
        if age < LEARN_AGAIN_S or clock() - begun > LEARN_FOR_S:
            break
        made |= _learn_one(client, held[number], now)
    return made


def _learn_one(client: "Client", held: Held, now: int) -> dict[What, Learnt]:
    last, texts = held.reference.end, held.texts
    days = min(EARLIER_DAYS if SLOW in held.windows else TRAILING_DAYS, (last - held.reference.start) // DAY_S)
    whats = list(held.whats())
    if days < 1 or not held.known:
        return {what: Learnt("no reference" if days else "the reference is shorter than a day", now, texts) for what in whats}
    bin_minutes = 60 if min(held.windows) >= DAY else 1
    found = read.whole_days(client, held.scope, last - days * DAY_S, days, {what.metric for what in whats}, bin_minutes=bin_minutes)
    return {
        what: Learnt(calibrate(*found[what.metric], what.window, seed=now, expects=METRICS[what.metric].expects), now, texts)
        for what in whats
    }


def _verdicts(held: Sequence[Held], learnt: Mapping[What, Learnt]) -> list[tuple[What, Verdict]]:
    """The project's false alarms are shared out evenly among all that is judged in it."""
    models = {what: learnt[what].model if what in learnt else _NOT_YET for one in held for what in one.whats()}
    shares = Counter(what.key.project for what, model in models.items() if isinstance(model, Calibration))
    verdicts = []
    for one in held:
        minutes = STATED_MINUTES * max(1, shares[one.key.project])
        profiles = {metric: profile_of(metric, one.known) for metric in {what.metric for what in one.whats()}}
        for what in one.whats():
            bin_minutes = 60 if what.window >= DAY else 1
            rows, known = one.rows(what), profiles[what.metric]
            verdicts.append((what, judge(what.metric, rows, known, models[what], bin_minutes=bin_minutes, minutes=minutes)))
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
