"""What a page shows, as its address: the range, the filters, the time zone. Every view can be shared as a link."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from llmtower_dashboards.macros import MAX_VALUES, Frame, interval_for
from llmtower_dashboards.panels.narrow import ONLY

RANGES: Final = (
    ("now-15m", "last 15 min"),
    ("now-1h", "last 1 h"),
    ("now-6h", "last 6 h"),
    ("now-24h", "last 24 h"),
    ("now-7d", "last 7 days"),
    ("now-30d", "last 30 days"),
)
"""Ranges to choose from, as `from`; they all end now."""
DEFAULT_START: Final = "now-1h"
NOW: Final = "now"
CHOICES: Final = ("list", "rule")
"""Parameters of an address besides range, filters and zone."""
MAX_RANGE: Final = timedelta(days=400)
_RELATIVE: Final = re.compile(r"now(?:-(\d{1,6})(s|m|h|d|w))?")
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_MAX_TEXT: Final = 512


@dataclass(frozen=True, slots=True)
class View:
    """A range (relative or ISO 8601), the chosen values by variable (none = all), the zone times are shown in ("" = the browser's)."""

    start: str = DEFAULT_START
    end: str = NOW
    variables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    zone: str = ""
    choices: Mapping[str, str] = field(default_factory=dict)
    """What else a page shows: which list of calls, which rule of alerts."""
    notice: str = ""
    """What of the address could not be understood, in one sentence."""

    @property
    def live(self) -> bool:
        """True when the range ends now, so that it moves on."""
        return self.end == NOW

    def query(self) -> str:
        """The address's query; what is default is left out."""
        parts = [("from", self.start)] if self.start != DEFAULT_START or self.end != NOW else []
        parts += [("to", self.end)] if self.end != NOW else []
        parts += [(name, value) for name, values in self.variables.items() for value in values]
        parts += [("tz", self.zone)] if self.zone else []
        parts += list(self.choices.items())
        return urlencode(parts, quote_via=quote, safe=":,")

    def link(self, path: str) -> str:
        """The address of another page with the same range and filters."""
        query = self.query()
        return f"{path}?{query}" if query else path

    def choosing(self, **choices: str) -> "View":
        """The same view with other choices; "" takes one back."""
        return replace(self, choices={name: value for name, value in {**self.choices, **choices}.items() if value})

    def fixed(self, frame: Frame) -> "View":
        """The same view of exactly this range, as a link that shows the same tomorrow."""
        return self.spanning(frame.start, frame.end)

    def spanning(self, start: datetime, end: datetime) -> "View":
        """The same view of another range."""
        return replace(self, start=_iso(start), end=_iso(end))

    def since(self, start: datetime) -> "View":
        """The same view from another moment on, to the same end."""
        return replace(self, start=_iso(start))

    def only_having(self, variables: Mapping[str, tuple[str, ...]]) -> "View":
        """The same view with these filters and no others."""
        return replace(self, variables=dict(variables))

    def having(self, name: str, values: Sequence[str]) -> "View":
        """The same view with other values of one variable; none = all."""
        rest = {key: chosen for key, chosen in self.variables.items() if key != name}
        return replace(self, variables={**rest, name: tuple(values)} if values else rest)

    def frame(self, now: datetime, points: int = 120) -> Frame:
        """The frame at this moment, with a bucket for about so many points."""
        start, end = _moment(self.start, now), _moment(self.end, now)
        return Frame(start, end, interval_for(start, end, points), self.variables)

    def title(self, zone: tzinfo) -> str:
        """The range in words."""
        for start, words in RANGES:
            if self.live and start == self.start:
                return words
        if self.live:
            return f"since {self.start}"
        return f"{_short(self.start, zone)} to {_short(self.end, zone)}"


def parse(parameters: Sequence[tuple[str, str]], known: Sequence[str], now: datetime) -> View:
    """Read an address's query; what cannot be understood becomes the default and a notice, never an error page."""
    single = dict(parameters)
    start, end, notice = single.get("from", DEFAULT_START), single.get("to", NOW), ""
    try:
        begin, until = _moment(start, now), _moment(end, now)
    except (ValueError, OverflowError):
        start, end, notice = DEFAULT_START, NOW, "The time range of this link cannot be read; this is the last hour."
    else:
        if begin >= until:
            start, end, notice = DEFAULT_START, NOW, "The time range of this link ends before it starts; this is the last hour."
        elif until - begin > MAX_RANGE:
            start, end, notice = "now-30d", NOW, f"At most {MAX_RANGE.days} days can be shown at once; these are the last 30."
    chosen: dict[str, list[str]] = {}
    for name, value in parameters:
        if name in known and 0 < len(value) <= _MAX_TEXT and len(chosen.setdefault(name, [])) < MAX_VALUES and value not in chosen[name]:
            chosen[name].append(value)
    if not ONLY.keys() >= {one for value in chosen.get("only", ()) for one in value.split(",")}:
        notice = f'"Only" of this link names what is not known, so that no call is listed; known are {", ".join(ONLY)}.'
    zone = single.get("tz", "")
    if zone and zone_of(zone) is None:
        zone, notice = "", "The time zone of this link is not known; times are shown in yours."
    choices = {name: single[name][:_MAX_TEXT] for name in CHOICES if single.get(name)}
    return View(start, end, {name: tuple(values) for name, values in chosen.items() if values}, zone, choices, notice)


def zone_of(name: str) -> tzinfo | None:
    """The time zone of that name; None when there is none."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, KeyError):
        return None


def offset(zone: tzinfo, at: datetime) -> str:
    """The zone as people say it: "UTC", "UTC+2", "UTC-3:30"."""
    minutes = round((at.astimezone(zone).utcoffset() or timedelta()).total_seconds() / 60)
    if not minutes:
        return "UTC"
    hours, rest = divmod(abs(minutes), 60)
    return f"UTC{'+' if minutes > 0 else '-'}{hours}{f':{rest:02}' if rest else ''}"


def _moment(text: str, now: datetime) -> datetime:
    """Raises ValueError."""
    if relative := _RELATIVE.fullmatch(text):
        return now - timedelta(seconds=int(relative[1]) * _UNITS[relative[2]]) if relative[1] else now
    found = datetime.fromisoformat(text)
    found = found if found.tzinfo else found.replace(tzinfo=UTC)
    if not 2000 <= found.year < 2200:
        raise ValueError(text)
    return found


def _iso(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _short(text: str, zone: tzinfo) -> str:
    if _RELATIVE.fullmatch(text):
        return text
    at = _moment(text, datetime.now(UTC)).astimezone(zone)
    return f"{at.day} {at:%b %H:%M}"
