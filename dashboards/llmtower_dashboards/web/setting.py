"""What all charts of a page share. Pure.

Times are shown in the page's zone by moving them: ECharts is told UTC and given the wall clock.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo

from llmtower_dashboards.web.colours import Palette


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened: a deploy, a new prompt version, a new model."""

    at: datetime
    title: str
    text: str = ""
    app: str = ""
    """Whose it is; "" = of none in particular."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What all charts of a page share: the range, its bucket, the zone, the colours, the events, how far data has arrived."""

    start: datetime
    end: datetime
    bucket_s: int
    zone: tzinfo = UTC
    palette: Palette = field(default_factory=Palette)
    marks: Sequence[Mark] = ()
    arrived: datetime | None = None
    """Up to here everything is stored; what comes later is drawn greyed."""
    share: float | None = None


def millis(at: datetime, zone: tzinfo) -> int:
    """A moment for ECharts: milliseconds of the zone's wall clock."""
    return round(wall(at, zone).replace(tzinfo=UTC).timestamp() * 1_000)


def wall(at: datetime, zone: tzinfo) -> datetime:
    """A moment as clocks of the zone show it."""
    return at.astimezone(zone)
