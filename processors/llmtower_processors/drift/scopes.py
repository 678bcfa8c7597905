"""Which traffic a segment is held against: its own, or where it is too young for that, its siblings' (other versions, other models)."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

from llmtower_processors.drift.baselines import Baseline
from llmtower_processors.drift.judge import HOUR_S, Key, Row

TRAILING: Final = "trailing"
TRAILING_DAYS: Final = 7
EARLIER: Final = "earlier weeks"
EARLIER_DAYS: Final = 21
ENOUGH_DAYS: Final = 3
DAY_S: Final = 24 * HOUR_S
_SIBLINGS: Final = {"": "", "prompt_version": "other versions", "request_model": "other models"}
"""What may differ, in the order in which it is tried, and how the reference is then called."""


class Reference(NamedTuple):
    """A span (seconds) that segments are held against, and the filters (by column) that both must pass."""

    name: str
    start: int
    end: int
    where: Mapping[str, str]

    def covers(self, key: Key) -> bool:
        """Say whether a segment is held against it: a baseline of one version or model is for those that come after, too."""
        wanted = {name: value for name, value in self.where.items() if name in Key._fields and name not in _SIBLINGS}
        return all(getattr(key, name) == value for name, value in wanted.items())

    def holds(self, key: Key) -> bool:
        """Say whether a segment's traffic is part of it."""
        return all(getattr(key, name) == value for name, value in self.where.items() if name in Key._fields)


class Scope(NamedTuple):
    """The segments of a reference: those that are as `key`, but for `others` (a column, or empty), in which they differ."""

    name: str
    key: Key
    others: str


def references(hour: int, named: Sequence[Baseline]) -> Iterator[Reference]:
    """Give the trailing days before the day window (drift of today is not yet part of them), and the baselines."""
    until = hour + HOUR_S - DAY_S
    yield Reference(TRAILING, until - TRAILING_DAYS * DAY_S, until, {})
    for one in named:
        start, end = int(one.start.timestamp()) // HOUR_S * HOUR_S, int(one.end.timestamp()) // HOUR_S * HOUR_S
        yield Reference(f"baseline {one.name}", start, end, {"project": one.project} | one.where())


def earlier_weeks(hour: int) -> Reference:
    """Give the weeks before the last seven days, for slow drift."""
    until = hour + HOUR_S - 7 * DAY_S
    return Reference(EARLIER, until - EARLIER_DAYS * DAY_S, until, {})


def scope_of(key: Key, reference: Reference, known: Mapping[Key, Sequence[Row]]) -> tuple[Scope, list[Row]]:
    """Choose the first scope with enough days, and give its rows by hour of the day; the segment's own where none has."""
    for column, name in _SIBLINGS.items():
        rows = [row for other in _like(key, column, known) if reference.holds(other) for row in known[other]]
        if len({day for row in rows for day in row["days"]}) >= ENOUGH_DAYS:
            return Scope(_called(reference.name, name), key, column), rows
    return Scope(reference.name, key, ""), list(known.get(key, ())) if reference.holds(key) else []


def _like(key: Key, column: str, known: Mapping[Key, Sequence[Row]]) -> list[Key]:
    if not column:
        return [key] if key in known else []
    return [other for other in known if other != key and other._replace(**{column: getattr(key, column)}) == key]


def others(reference: str) -> str:
    """Give the column in which a reference's segments differ from what is held against it, by the reference's name; '' for none."""
    return next((column for column, name in _SIBLINGS.items() if name and reference.endswith(name)), "")


def _called(reference: str, siblings: str) -> str:
    if not siblings:
        return reference
    return siblings if reference == TRAILING else f"{reference}, {siblings}"
