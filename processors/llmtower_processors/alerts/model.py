"""What the parts of alerting hand to each other: a notification, who sends it, and what is remembered of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from llmtower_processors.alerts.rules import Rule
from llmtower_processors.errors import LlmtowerError
from llmtower_schemas.alerts import Sent, Transition


@dataclass(frozen=True, slots=True)
class Notification:
    """What a sender is given: one transition that people are to be told of, and what is needed to put it into words."""

    transition: Transition
    rule: Rule | None
    """None when the rule is no longer in the file (an alert that is resolved for that reason, or the evaluator's own)."""
    route: str
    possible_repeat: bool = False
    """The leader may have told this before it died; a chat may show it twice."""
    links: Mapping[str, str] = field(default_factory=dict)
    """Addresses by what they show: `panel`, `calls`, `alert`, `runbook`; those that are not known are left out."""


class SendError(LlmtowerError):
    """A receiver did not take a notification. The message never holds an address's secret part, nor what the receiver wrote back."""

    def __init__(self, message: str, *, retriable: bool = True, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retriable = retriable
        self.retry_after_s = retry_after_s


class Sender(Protocol):
    """Tells one receiver."""

    async def send(self, notification: Notification) -> None:
        """Return when the receiver has taken it. Raises SendError."""


class Recorder(Protocol):
    """Remembers for all leaders to come what was told."""

    async def record(self, sent: Sequence[Sent]) -> None:
        """Return when it is written to the topic. Raises LeadershipLostError when another process leads: stop sending."""


@dataclass(frozen=True, slots=True)
class RouteState:
    """How it stands with one route."""

    waiting: int
    attempts: int = 0
    """Since it last succeeded."""
    trouble: str = ""
    """What the last attempt met, when it failed."""


class Router(Protocol):
    """Brings notifications to the senders of their routes, again and again until they are taken."""

    def routes_of(self, transition: Transition) -> tuple[str, ...]:
        """Names of the routes by which this transition is told; empty = none (too mild, or no such route)."""

    async def dispatch(self, notifications: Sequence[Notification], recorder: Recorder) -> None:
        """Take these over and return at once. Each is recorded after its receiver took it, was superseded, or is refused for good."""

    async def resume(self, notifications: Sequence[Notification], recorder: Recorder) -> None:
        """Take note of what fires and was told by an earlier leader, for receivers that have to be told again and again."""

    def states(self) -> Mapping[str, RouteState]:
        """Say how it stands with each route that had something to tell."""

    async def close(self) -> None:
        """Stop sending and forget; what was not recorded is told by the next leader. May be used again afterwards."""


class MemoryRouter:
    """Tells nobody, and keeps what it would have told; `take` decides whether a receiver takes a notification."""

    def __init__(self, routes: Sequence[str] = ("default",)) -> None:
        self.routes = tuple(routes)
        self.told: list[Notification] = []

    def routes_of(self, transition: Transition) -> tuple[str, ...]:
        """Those of its routes that there are."""
        return tuple(route for route in transition.routes if route in self.routes)

    async def dispatch(self, notifications: Sequence[Notification], recorder: Recorder) -> None:
        """Take all at once, then record them."""
        self.told += notifications
        await recorder.record(
            [
                Sent(
                    transition_id=one.transition.transition_id,
                    route=one.route,
                    at_us=one.transition.at_us,
                    possible_repeat=one.possible_repeat,
                )
                for one in notifications
            ]
        )

    async def resume(self, notifications: Sequence[Notification], recorder: Recorder) -> None:
        """Its receiver forgets nothing."""

    def states(self) -> Mapping[str, RouteState]:
        """Nothing ever waits."""
        return {}

    async def close(self) -> None:
        """Nothing to stop."""


class LeadershipLostError(LlmtowerError):
    """Another process leads: whatever this one writes is refused."""
