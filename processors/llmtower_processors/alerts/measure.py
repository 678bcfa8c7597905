"""Ask the tables what the rules want to know: few queries, two at a time, each rule as often as its window needs."""

from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final

from llmtower_processors.alerts.conditions import Reading
from llmtower_processors.alerts.figures import readings, usual
from llmtower_processors.alerts.questions import (
    DAY_US,
    Answer,
    Batch,
    Group,
    Moment,
    Pair,
    Span,
    View,
    baseline_spans,
    batches,
    cadence_s,
    read,
    spans,
)
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.tables import QuestionRefusedError, Tables
from llmtower_schemas.queries import Query, QueryError

CACHED_US: Final = 300_000_000
"""How long a baseline, and the list of groups that should have data, stand."""
MARKS_US: Final = 600_000_000
_MARKS: Final = """
SELECT project, toUnixTimestamp64Micro(argMax(watermark, at)) FROM watermarks
WHERE at >= fromUnixTimestamp64Micro({since:Int64}) AND at <= fromUnixTimestamp64Micro({until:Int64}) GROUP BY project
"""


@dataclass
class Measured:
    """What one look at the tables gave, by the rule's name; a rule that failed has a sentence in `failed` and no readings."""

    moment: Moment
    readings: dict[str, dict[Group, Reading]] = field(default_factory=dict)
    expected: dict[str, frozenset[Group]] = field(default_factory=dict)
    """Groups that had data within a day, of the rules to which silence is bad news."""
    cut: set[str] = field(default_factory=set)
    """Rules with more groups than they allow."""
    failed: dict[str, str] = field(default_factory=dict)
    queries: int = 0


@dataclass
class _Kept:
    at_us: int
    usual: dict[Group, float] = field(default_factory=dict)
    expected: frozenset[Group] = frozenset()


class Meter:
    """Asks for the rules that are due; remembers baselines. Blocks: call it in a thread."""

    def __init__(self, tables: Tables, rules: Iterable[Rule], *, period_s: float) -> None:
        self._tables = tables
        self._rules = {rule.name: rule for rule in rules if rule.queried}
        self._every_us = {rule.name: round(cadence_s(rule, period_s) * 1_000_000) for rule in self._rules.values()}
        self._asked_us: dict[str, int] = {}
        self._kept: dict[str, _Kept] = {}
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="alerts")

    def close(self) -> None:
        """Let go of the threads."""
        self._pool.shutdown(wait=False)

    def marks(self, now_us: int) -> dict[str, int]:
        """Give the watermark of every project, in microseconds. Raises Unreachable, QuestionRefusedError."""
        _, rows = self._tables.ask(Query(_MARKS, {"since": now_us - MARKS_US, "until": now_us}))
        return {str(project): int(mark) for project, mark in rows}

    def due(self, now_us: int, rest_us: int = 0, awake: Collection[str] = ()) -> list[Rule]:
        """Give the rules whose turn it is, those not `awake` after a rest at the earliest; a clock that was set back makes all due."""
        return [
            rule
            for name, rule in self._rules.items()
            if not 0 <= now_us - self._asked_us.get(name, -(1 << 62)) < max(self._every_us[name], 0 if name in awake else rest_us) - 200_000
        ]

    def closing(self) -> list[Rule]:
        """Give the rules that have windows which close, to be looked at a second time."""
        return [rule for rule in self._rules.values() if not rule.budget]

    def measure(self, rules: Sequence[Rule], moment: Moment) -> Measured:
        """Look once. Raises Unreachable when ClickHouse is away."""
        found = Measured(moment)
        if not moment.closed:
            self._asked_us |= dict.fromkeys((rule.name for rule in rules), moment.now_us)
            self._refresh(rules, moment, found)
        able = [rule for rule in rules if rule.name not in found.failed]
        answers = self._ask(((rule, span) for rule in able for span in spans(rule)), moment, found)
        for rule in able:
            own = {span: answers[rule.name, span] for span in spans(rule) if (rule.name, span) in answers}
            if len(own) == len(spans(rule)):
                kept = self._kept.get(rule.name)
                found.readings[rule.name] = readings(rule, own, kept.usual if kept else None)
                if kept and rule.no_data == "alert":
                    found.expected[rule.name] = kept.expected
                if any(answer.cut for answer in own.values()):
                    found.cut.add(rule.name)
        return found

    def _refresh(self, rules: Sequence[Rule], moment: Moment, found: Measured) -> None:
        """Ask again for baselines and expected groups that are old; all that is old in one go, so that queries are shared."""
        stale = [rule for rule in rules if (rule.baseline or rule.no_data == "alert") and self._is_stale(rule, moment)]
        answers = self._ask([(rule, span) for rule in stale for span in self._background(rule)], moment, found)
        for rule in stale:
            if rule.name in found.failed:
                continue
            days = [answers[rule.name, span] for span in baseline_spans(rule)]
            day = answers.get((rule.name, _DAY))
            name = rule.metric or rule.name
            groups = frozenset(g for g, one in day.readings[name].items() if one.sample > 0) if day else frozenset[Group]()
            self._kept[rule.name] = _Kept(moment.now_us, usual(rule, days) if days else {}, groups)

    def _background(self, rule: Rule) -> list[Span]:
        return [*baseline_spans(rule), *([_DAY] if rule.no_data == "alert" else [])]

    def _is_stale(self, rule: Rule, moment: Moment) -> bool:
        kept = self._kept.get(rule.name)
        return kept is None or not 0 <= moment.now_us - kept.at_us < CACHED_US

    def _ask(self, pairs: Iterable[Pair], moment: Moment, found: Measured) -> dict[tuple[str, Span], Answer]:
        wanted = batches(pairs)
        found.queries += len(wanted)
        answers: dict[tuple[str, Span], Answer] = {}
        views = self._pool.map(lambda part: self._one(part[0], moment), wanted)
        for (batch, asked), by_view in zip(wanted, views, strict=True):
            if isinstance(by_view, str):
                found.failed |= dict.fromkeys(batch.rules, by_view)
            else:
                answers |= {(rule.name, span): by_view[View.of(rule, span)] for rule, span in asked}
        return answers

    def _one(self, batch: Batch, moment: Moment) -> dict[View, Answer] | str:
        try:
            return read(batch, *self._tables.ask(batch.query(moment)))
        except (QuestionRefusedError, QueryError, ValueError) as error:
            return str(error)


_DAY: Final = Span(DAY_US / 1e6)
