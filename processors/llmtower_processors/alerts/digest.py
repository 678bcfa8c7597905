"""What waits on one route: newer words replace older ones of the same incident, and a storm becomes few messages. Pure.

Messages are limited, not alerts: what does not fit one by one is told at once as a digest, and only when `burst` messages were told within
`digest` seconds does it wait for the oldest of them to be forgotten.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from llmtower_processors.alerts.model import Notification
from llmtower_processors.alerts.rules import Route

URGENT_S: Final = 5.0
"""What is critical and not told yet waits no longer, however much was told."""


@dataclass
class Line:
    """The waiting line of a route; times are seconds of a clock that only grows."""

    route: Route
    waiting: dict[str, Notification] = field(default_factory=dict)
    """By incident: what is told next of it."""
    _told: deque[float] = field(default_factory=deque)
    """When messages were told."""
    _telling: list[Notification] = field(default_factory=list)
    """On its way to the receiver: what comes meanwhile does not make it needless, until the receiver refuses it."""

    def add(self, notification: Notification) -> list[Notification]:
        """Take one in; gives what it makes needless. The end of what nobody heard of here is still told: as an end."""
        key = notification.transition.dedup_key
        before = self.waiting.pop(key, None)
        if before is not None and before.transition.sequence > notification.transition.sequence:
            self.waiting[key] = before
            return [notification]
        self.waiting[key] = notification
        if before is None or before in self._telling or before.transition.transition_id == notification.transition.transition_id:
            return []
        return [before]

    def next(self, now: float) -> tuple[list[Notification], float]:
        """Give what to tell now (one, or several as a digest), or nothing and the seconds until something may be told."""
        self._telling, wait_s = self._choose(now)
        return self._telling, wait_s

    def _choose(self, now: float) -> tuple[list[Notification], float]:
        while self._told and now - self._told[0] >= self.route.digest:
            self._told.popleft()
        room = self.route.burst - len(self._told)
        if len(self.waiting) <= room:
            return [next(iter(self.waiting.values()))], 0.0
        wait_s = 0.0 if room > 0 else self.route.digest - (now - self._told[0])
        if wait_s > 0 and any(_urgent(one) for one in self.waiting.values()):
            wait_s = min(wait_s, URGENT_S - (now - self._told[-1]))
        return ([], wait_s) if wait_s > 0 else (list(self.waiting.values()), 0.0)

    def failed(self) -> list[Notification]:
        """Nothing was told; gives what newer words have made needless meanwhile."""
        telling, self._telling = self._telling, []
        return [one for one in telling if self.waiting.get(one.transition.dedup_key) is not one]

    def done(self, told: list[Notification], now: float) -> None:
        """What was told waits no longer; newer words that came meanwhile do."""
        self._telling = []
        self._told.append(now)
        for one in told:
            if self.waiting.get(one.transition.dedup_key) is one:
                del self.waiting[one.transition.dedup_key]


def _urgent(notification: Notification) -> bool:
    return notification.transition.to_state == "firing" and notification.transition.severity == "critical"
