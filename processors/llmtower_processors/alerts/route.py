"""The router: one task per route, so that a receiver that is down holds up nobody else; nothing is forgotten until it is recorded."""

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from typing import Final, Literal

from llmtower_processors.alerts.digest import Line
from llmtower_processors.alerts.model import LeadershipLostError, Notification, Recorder, RouteState, SendError
from llmtower_processors.alerts.rules import Route
from llmtower_processors.alerts.send.build import ManySender
from llmtower_processors.runtime.edges import Clock
from llmtower_schemas.alerts import Sent, Transition

log = logging.getLogger(__name__)

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
RESEND_S: Final = 60.0


class SendingRouter:
    """Tells receivers until they take it. `first_wait_s` is the first pause after a failure; it doubles up to a minute."""

    def __init__(
        self, routes: Mapping[str, Route], senders: Mapping[str, ManySender], clock: Clock, *, first_wait_s: float = FIRST_WAIT_S
    ) -> None:
        self._routes, self._senders, self._clock, self._first = dict(routes), dict(senders), clock, first_wait_s
        self._desks: dict[str, Desk] = {}

    def routes_of(self, transition: Transition) -> tuple[str, ...]:
        """Those of the alert's routes that there are, and that want to hear of its severity.

        An end is told wherever the incident was told, however grave it was then: a pager must not ring on.
        """
        found = [(name, self._routes[name]) for name in transition.routes if name in self._routes]
        if transition.to_state != "firing":
            return tuple(name for name, route in found if route.resolved)
        return tuple(name for name, route in found if transition.severity in route.severities)

    async def dispatch(self, notifications: Sequence[Notification], recorder: Recorder) -> None:
        """Take over and return at once."""
        for one in notifications:
            self._desk(one.route, recorder).add(one)

    async def resume(self, notifications: Sequence[Notification], recorder: Recorder) -> None:
        """Let receivers that forget what nobody repeats (Alertmanager) hear of this again and again."""
        for one in notifications:
            keep = getattr(self._senders.get(one.route), "keep", None)
            if keep is not None:
                self._desk(one.route, recorder)
                keep(one)

    def states(self) -> dict[str, RouteState]:
        """Say how it stands with each route that had something to tell."""
        return {name: desk.state for name, desk in self._desks.items()}

    async def close(self) -> None:
        """Stop all tasks and forget what waits; the next leader tells it."""
        desks, self._desks = self._desks, {}
        for desk in desks.values():
            await desk.close()

    def _desk(self, name: str, recorder: Recorder) -> "Desk":
        """Give the desk of a route; one that was taken out of the file while something waited for it refuses for good."""
        if name not in self._desks:
            route = self._routes.get(name, Route())
            self._desks[name] = Desk(name, route, self._senders.get(name), recorder, self._clock, self._first)
        return self._desks[name]


class Desk:
    """One route at work."""

    def __init__(self, name: str, route: Route, sender: ManySender | None, recorder: Recorder, clock: Clock, first_wait_s: float) -> None:
        self._name, self._sender, self._recorder, self._clock, self._first = name, sender, recorder, clock, first_wait_s
        self._line = Line(route)
        self._needless: list[Notification] = []
        self._wake = asyncio.Event()
        self._attempts, self._trouble = 0, ""
        self._tasks = [asyncio.create_task(self._run(), name=f"alerts to {name}")]
        if sender is not None:
            self._tasks.append(asyncio.create_task(self._again(sender), name=f"alerts again to {name}"))

    @property
    def state(self) -> RouteState:
        """How it stands."""
        return RouteState(len(self._line.waiting), self._attempts, self._trouble)

    def add(self, notification: Notification) -> None:
        """Put one into the line."""
        self._needless += self._line.add(notification)
        self._wake.set()

    async def close(self) -> None:
        """Stop."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        forget = getattr(self._sender, "forget", None)
        if forget is not None:
            forget()

    async def _run(self) -> None:
        while True:
            try:
                await self._turn()
            except LeadershipLostError:
                log.warning("alerts: route %s stops telling: another leads", self._name)
                return
            except Exception as error:  # a fault of ours: it may not silence the route
                log.error("alerts: route %s: %s at its desk", self._name, type(error).__name__)
                await asyncio.sleep(self._failed(f"{type(error).__name__} at its desk.", None))

    async def _turn(self) -> None:
        self._wake.clear()
        if not self._line.waiting and not self._needless:
            await self._wake.wait()
        await self._settle_needless()
        if self._line.waiting:
            await self._pause(await self._one())

    async def _pause(self, wait_s: float) -> None:
        """Wait. A receiver that failed gets all of its rest; where a storm is held back, what comes may be urgent: look again."""
        if self._attempts:
            await asyncio.sleep(wait_s)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._wake.wait()

    async def _again(self, sender: ManySender) -> None:
        """Tell a receiver that may forget of what fires, again and again."""
        resend = getattr(sender, "resend", None)
        while resend is not None:
            await asyncio.sleep(RESEND_S)
            try:
                await resend()
            except SendError:
                continue  # what is new says it louder
            except Exception as error:
                log.error("alerts: route %s: %s while telling again", self._name, type(error).__name__)

    async def _one(self) -> float:
        """Tell once; gives the seconds to wait before the next time."""
        told, wait_s = self._line.next(self._clock.monotonic())
        if not told:
            return wait_s
        try:
            await self._tell(told)
        except SendError as error:
            if error.retriable:
                return self._failed(str(error), error.retry_after_s)
            log.error("alerts: route %s: refused for good: %s", self._name, error)
            await self._settle(told, "refused", str(error))
        except LeadershipLostError:
            raise
        except Exception as error:  # a fault of ours or of a library: neither may stop the route
            log.error("alerts: route %s: %s while sending", self._name, type(error).__name__)
            return self._failed(f"{type(error).__name__} while sending.", None)
        else:
            await self._settle(told, "sent", "")
        return 0.0

    async def _tell(self, told: list[Notification]) -> None:
        if self._sender is None:
            raise SendError(f"There is no route {self._name} in the file any more.", retriable=False)
        if len(told) == 1:
            await self._sender.send(told[0])
        else:
            await self._sender.send_many(told)

    def _failed(self, sentence: str, retry_after_s: float | None) -> float:
        wait_s: float = min(self._first * 2 ** min(self._attempts, 20), LONGEST_WAIT_S)
        self._attempts, self._trouble = self._attempts + 1, sentence
        self._needless += self._line.failed()
        if self._attempts in (1, 5) or self._attempts % 60 == 0:
            log.warning("alerts: route %s: %s Attempt %d, %d waiting.", self._name, sentence, self._attempts, len(self._line.waiting))
        return max(wait_s, retry_after_s or 0.0)

    async def _settle(self, told: list[Notification], outcome: Literal["sent", "refused"], detail: str) -> None:
        if self._attempts and outcome == "sent":
            log.info("alerts: route %s takes messages again after %d attempts", self._name, self._attempts)
        self._attempts, self._trouble = 0, detail
        self._line.done(told, self._clock.monotonic())
        await self._recorder.record([self._sent(one, outcome, detail) for one in told])

    async def _settle_needless(self) -> None:
        needless, self._needless = self._needless, []
        if needless:
            await self._recorder.record([self._sent(one, "superseded", "") for one in needless])

    def _sent(self, one: Notification, outcome: Literal["sent", "superseded", "refused"], detail: str) -> Sent:
        return Sent(
            transition_id=one.transition.transition_id,
            route=self._name,
            at_us=self._clock.now_ms() * 1_000,
            outcome=outcome,
            possible_repeat=one.possible_repeat,
            detail=detail,
        )
