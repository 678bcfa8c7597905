"""The figures of a report as values: of the span, and of the span of equal length before it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple


class Value(NamedTuple):
    """A figure and how many calls, ratings or scores it rests on; None: nothing to say."""

    value: float | None
    sample: float


Figures = Mapping[str, Mapping[str, Value]]
"""By application and metric."""


class Change(NamedTuple):
    """Something that was deployed, moved or seen for the first time, or a figure that left what was usual."""

    at: datetime
    kind: str
    app: str
    what: str
    detail: str


class Fired(NamedTuple):
    """An alert rule in the span."""

    rule: str
    group: str
    times: int
    firing: bool


class Stranger(NamedTuple):
    """A model in production that nobody registered."""

    model: str
    first_seen: datetime
    calls: int


class Point(NamedTuple):
    """One application in one bucket of time."""

    at: datetime
    app: str
    usd: float
    calls: int
    errors: int


class Worse(NamedTuple):
    """A figure of an application that got worse, beyond what chance explains or by a fifth."""

    app: str
    metric: str
    title: str
    unit: str
    before: float
    now: float
    sample: int
    sure: str


class Action(NamedTuple):
    """Something worth doing: why, on which evidence, how. `weight` orders them: about the share of calls or money it concerns."""

    title: str
    evidence: str
    command: str
    weight: float


@dataclass(frozen=True, slots=True)
class Facts:
    """All that a report is made of."""

    project: str
    start: datetime
    end: datetime
    now: Figures
    before: Figures
    models: Sequence[tuple[str, float, float, float]] = ()
    """Model, US dollars in the span, before it, unpriced calls in the span."""
    errors: Mapping[str, tuple[str, int]] = field(default_factory=dict)
    """By application: the commonest class of errors and how many."""
    changes: Sequence[Change] = ()
    fired: Sequence[Fired] = ()
    strangers: Sequence[Stranger] = ()
    points: Sequence[Point] = ()
    bucket_s: int = 86_400
