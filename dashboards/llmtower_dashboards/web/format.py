"""Figures as people read them: three significant figures, the unit always, "unknown" for what is not known.

`page.js` holds a twin of `figure` for axes and tooltips; a browser test compares the two.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Any, Final

from llmtower_dashboards.panel import Panel, PanelUnit, State

UNKNOWN: Final = "unknown"
THIN: Final = "\u202f"
"""Between a number and its unit; no line is broken there."""
TINY: Final = 0.01
"""Dollars below which the price of a call is written per 1,000 calls."""
_PREFIXES: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_WORDS: Final = {
    "calls/min": "/min",
    "tokens/min": "/min",
    "tokens/s": "/s",
    "records/s": "/s",
    "percent_points": "pp",
    "calls": "",
    "tokens": "",
    "events": "",
    "records": "",
    "rows": "",
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A number and what stands after it."""

    number: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.number}{THIN}{self.unit}" if self.unit else self.number


def figure(value: Any, unit: PanelUnit, *, scale: str = "") -> Figure:
    """Write a value of a unit; `scale` (s, ms, min) fixes the unit of durations, so that a chart never mixes them."""
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return Figure(UNKNOWN)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        return Figure(str(value))
    number = float(value)
    if unit == "seconds":
        return _seconds(number, scale)
    if unit == "ratio":
        return Figure(_percent(number), "%")
    if unit in ("usd", "usd/h"):
        return _dollars(number, "/h" if unit == "usd/h" else "")
    if unit == "bytes":
        shown, prefix = _prefixed(number)
        return Figure(shown, f"{prefix}B")
    shown, prefix = _prefixed(number)
    return Figure(shown, f"{prefix}{' ' if prefix and _WORDS.get(unit) else ''}{_WORDS.get(unit, '')}")


def per_thousand(dollars: Any) -> Figure:
    """Write the price of one call: tiny ones per 1,000 calls."""
    if dollars is None or float(dollars) >= TINY or float(dollars) <= 0:
        return figure(dollars, "usd")
    return Figure(f"{figure(float(dollars) * 1_000, 'usd')}", "per 1,000 calls")


def change(now: Any, before: Any, unit: PanelUnit) -> Figure | None:
    """Write how a figure differs from another: points for ratios, seconds for durations, percent for the rest; None when unknown."""
    if now is None or before is None:
        return None
    now, before = float(now), float(before)
    if not (math.isfinite(now) and math.isfinite(before)):
        return None
    if unit == "ratio":
        return _signed((now - before) * 100, "pp")
    if unit == "seconds":
        scale = "ms" if max(abs(now), abs(before)) < 1 else "s"
        return _signed((now - before) * (1_000 if scale == "ms" else 1), scale)
    return _signed((now / before - 1) * 100, "%") if before else None


def age(seconds: float) -> str:
    """Write a span of time in words that fit into a sentence: "6 min", "3 h", "2 days"."""
    for limit, divisor, word in ((100, 1, "s"), (6_000, 60, "min"), (172_800, 3_600, "h")):
        if seconds < limit:
            return f"{_three(seconds / divisor, at_most=0)}{THIN}{word}"
    return f"{_three(seconds / 86_400, at_most=0)}{THIN}days"


def scale_of(values: Sequence[float | None]) -> str:
    """The one unit of durations that fits all of these: ms, s or min."""
    most = max((abs(value) for value in values if value is not None and math.isfinite(value)), default=0.0)
    return "ms" if most < 1 else "min" if most >= 300 else "s"


def moment(at: datetime, zone: tzinfo, *, now: datetime | None = None, seconds: bool = False) -> str:
    """Write a time in a zone: the date only when it is not today's."""
    local = at.astimezone(zone)
    clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
    today = now is not None and local.date() == now.astimezone(zone).date()
    return clock if today else f"{local.day} {local:%b} {clock}"


def state_of(panel: Panel, value: Any) -> State | None:
    """The state of a panel's figure by its thresholds; None without any, or when the figure is unknown."""
    if value is None or not panel.thresholds or not isinstance(value, int | float | Decimal):
        return None
    down = panel.worse == "down"
    passed = [limit for limit in panel.thresholds if (value <= limit.value if down else value >= limit.value)]
    if not passed:
        return "ok"
    return min(passed, key=lambda limit: limit.value).state if down else max(passed, key=lambda limit: limit.value).state


def _seconds(number: float, scale: str) -> Figure:
    scale = scale or ("ms" if abs(number) < 1 and number else "min" if abs(number) >= 300 else "s")
    return Figure(_three(number * {"ms": 1_000, "s": 1, "min": 1 / 60}[scale]), scale)


def _percent(ratio: float) -> str:
    """Near 100 % the missing part counts: never rounded up to whole."""
    if 0.99 <= ratio < 1:
        return f"{math.floor(ratio * 10_000) / 100:g}"
    return _three(ratio * 100)


def _dollars(number: float, per: str) -> Figure:
    sign, size = ("-" if number < 0 else ""), abs(number)
    if 0 < size < 0.01:
        return Figure(f"{sign}${THIN}{_three(size)}", per)
    if size < 10_000:
        return Figure(f"{sign}${THIN}{size:,.2f}", per)
    shown, prefix = _prefixed(size)
    return Figure(f"{sign}${THIN}{shown}", f"{prefix}{per}")


def _prefixed(number: float) -> tuple[str, str]:
    for factor, prefix in _PREFIXES:
        if abs(number) >= factor * 0.9995:
            return _three(number / factor), prefix
    return _three(number), ""


def _signed(number: float, unit: str) -> Figure:
    if abs(number) >= 1_000 and unit == "%":
        return Figure(f"{'+' if number > 0 else '-'}{_three(abs(number) / 100)}", "\u00d7")
    shown = _three(number, at_most=1)
    return Figure(shown if shown == "0" or number < 0 else f"+{shown}", unit)


def _three(number: float, at_most: int = 9) -> str:
    """Three significant figures, at most so many decimals, without trailing zeros; never in exponents."""
    if number == 0:
        return "0"
    decimals = min(max(0, 2 - math.floor(math.log10(abs(number)))), at_most)
    shown = f"{number:.{decimals}f}"
    if "." in shown:
        shown = shown.rstrip("0").rstrip(".")
    return "0" if shown in ("-0", "") else shown
