"""How many rows a range may have so that a slow function is done with it in time: learnt from what the last ranges took."""

from dataclasses import replace
from typing import Final

from llmtower_processors.runtime.buffer import Limits

FIRST_ROWS: Final = 200
"""Of the first range, whose cost nobody knows."""
_AIM: Final = 0.5
"""Share of the allowed time aimed at: rows differ, and others take the machine."""
_CALM: Final = 0.3
"""How much of an estimate a cheaper range replaces; a dearer one replaces it whole."""


class Pace:
    """The pace of one processor; without a bound (seconds) limits stay what they are."""

    def __init__(self, range_s: float | None) -> None:
        self._range_s = range_s
        self._row_s: float | None = None

    def ran(self, rows: int, took_s: float) -> None:
        """Note what a range took; dearer at once, cheaper little by little."""
        if self._range_s is None or rows < 1:
            return
        cost = took_s / rows
        known = self._row_s
        self._row_s = cost if known is None or cost > known else known + _CALM * (cost - known)

    def within(self, limits: Limits) -> Limits:
        """Give the limits under which a range takes no longer than it may; a single record is never cut."""
        if self._range_s is None:
            return limits
        fit = FIRST_ROWS if self._row_s is None else int(_AIM * self._range_s / max(self._row_s, 1e-9))
        return replace(limits, rows=max(1, min(limits.rows, fit)))
