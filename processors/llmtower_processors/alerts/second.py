"""Second looks: a minute whose window was not complete is looked at again when it is, because late events may have changed it."""

from collections.abc import Iterable
from typing import Final

from llmtower_processors.alerts.questions import MINUTE_US, Moment

SECOND_LOOK_US: Final = 600_000_000
"""A window is looked at a second time when its watermark has passed it, or after this time."""
MOST_LOOKS: Final = 60


class SecondLooks:
    """Minutes that have closed and wait for their second look."""

    def __init__(self) -> None:
        self._waiting: dict[int, bool] = {}

    def ready(self, moment: Moment) -> list[Moment]:
        """Give the minutes whose windows are to be looked at a second time now, again and again until they are `done`."""
        end = moment.end_us(None)
        minute = end // MINUTE_US * MINUTE_US
        if minute not in self._waiting and len(self._waiting) < MOST_LOOKS:
            share = moment.completeness(None, minute - MINUTE_US)
            self._waiting[minute] = share is not None and share < 1.0  # of a minute of which nothing is there yet it is 0
        mark = min(moment.marks.values(), default=moment.now_us)
        ready = [
            at
            for at, incomplete in self._waiting.items()
            if (incomplete and mark >= at) or not 0 <= moment.now_us - at < SECOND_LOOK_US + MINUTE_US
        ]
        return [Moment(at, moment.marks, moment.patience_us, closed=True, at_us=moment.now_us) for at in ready if at <= moment.now_us]

    def done(self, moment: Moment, looked: Iterable[Moment]) -> None:
        """Forget what was looked at, and what lies ahead of a clock that was set back."""
        for at in [*(one.now_us for one in looked), *(at for at in self._waiting if at > moment.now_us)]:
            del self._waiting[at]
