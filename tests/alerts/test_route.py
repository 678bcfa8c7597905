"""The router against real receivers: down, refusing; each route by itself; all is recorded once, an end reaches whoever heard."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

from tests.alerts.receiver import Receiver, notification, receiving

from llmtower_processors.alerts.digest import URGENT_S
from llmtower_processors.alerts.model import LeadershipLostError, Notification
from llmtower_processors.alerts.route import SendingRouter
from llmtower_processors.alerts.rules import Route
from llmtower_processors.alerts.send.build import build_senders
from llmtower_processors.local.ports import PortReservation
from llmtower_processors.runtime.edges import SystemClock
from llmtower_schemas.alerts import Sent
from llmtower_schemas.settings import AlertSettings


class Book:
    """A recorder that remembers; `lost`: another leads."""

    def __init__(self) -> None:
        self.sent: list[Sent] = []
        self.lost = False

    async def record(self, sent: Sequence[Sent]) -> None:
        if self.lost:
            raise LeadershipLostError("Another process leads.")
        self.sent += sent

    def outcomes(self) -> Counter[str]:
        return Counter(one.outcome for one in self.sent)


def router(*, first_wait_s: float = 0.02, **routes: Route) -> SendingRouter:
    return SendingRouter(routes, build_senders(routes, AlertSettings(), {}), SystemClock(), first_wait_s=first_wait_s)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - the receiver is another thread
            await asyncio.sleep(0.01)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def within() -> None:
        await story()

    asyncio.run(within())


def test_a_receiver_that_refuses_for_a_while_gets_everything_once_it_takes_again() -> None:
    with receiving((500, {}), (503, {}), (429, {"Retry-After": "0"})) as receiver:

        async def story() -> None:
            book, it = Book(), router(default=Route(url=receiver.url))
            await it.dispatch([notification()], book)
            await until(lambda: len(receiver.requests) == 2)
            await until(lambda: bool(book.sent))
            assert it.states()["default"].attempts == 0
            await it.close()
            assert [(one.outcome, one.transition_id) for one in book.sent] == [("sent", "chat-1")]

        run(story)
    assert len(receiver.requests) == 4
    assert len({request.headers["idempotency-key"] for request in receiver.requests}) == 1


def test_a_receiver_that_is_down_holds_up_nobody_else_and_hears_only_the_newest_words() -> None:
    reserved = PortReservation(0, purpose="a receiver", option="-")
    with receiving() as good:

        async def story() -> None:
            book = Book()
            it = router(bad=Route(url=f"http://{reserved.address}/hook"), good=Route(url=good.url))
            told = [notification(route=route) for route in ("bad", "good")]
            await it.dispatch(told, book)
            await until(lambda: len(good.taken) == 1)
            await until(lambda: it.states()["bad"].attempts >= 2)
            assert it.states()["bad"].trouble == "The webhook at 127.0.0.1 cannot be reached (ConnectError)."
            await it.dispatch([notification(sequence=2, route="bad"), notification(sequence=3, state="resolved", route="bad")], book)
            with receiving(port=reserved.port) as late:
                await until(lambda: Counter(one.route for one in book.sent)["bad"] == 3)
                assert [request.value["status"] for request in late.taken] == ["resolved"]
            await it.close()
            assert book.outcomes() == {"superseded": 2, "sent": 2}

        try:
            run(story)
        finally:
            reserved.release()


def test_what_will_never_be_taken_is_recorded_as_refused_and_the_next_goes_on() -> None:
    with receiving((422, {})) as receiver:

        async def story() -> None:
            book, it = Book(), router(default=Route(url=receiver.url))
            await it.dispatch([notification("a"), notification("b")], book)
            await it.dispatch([notification("c", route="gone")], book)
            await until(lambda: len(book.sent) == 3)
            await it.close()
            found = {one.transition_id: (one.outcome, one.detail) for one in book.sent}
            assert found["a-1"] == ("refused", "The webhook at 127.0.0.1 answered 422.")
            assert found["b-1"] == ("sent", "")
            assert found["c-1"] == ("refused", "There is no route gone in the file any more.")

        run(story)


def test_a_storm_is_one_message() -> None:
    with receiving() as receiver:

        async def story() -> None:
            book, it = Book(), router(default=Route(url=receiver.url))
            await it.dispatch([notification(f"app-{number}") for number in range(100)], book)
            await until(lambda: len(book.sent) == 100)
            await it.close()

        run(story)
    (request,) = receiver.taken
    assert request.value["title"] == "Llmtower: 100 alerts (100 firing)"


def test_what_is_critical_breaks_into_the_wait_of_a_storm() -> None:
    """A milder alert waits for an hour until others of the storm are forgotten; then something critical comes."""

    class Ahead(SystemClock):
        by_s = 0.0

        def monotonic(self) -> float:
            return super().monotonic() + self.by_s

    with receiving() as receiver:

        async def story() -> None:
            routes, clock, book = {"default": Route(url=receiver.url, digest=3_600, burst=1)}, Ahead(), Book()
            it = SendingRouter(routes, build_senders(routes, AlertSettings(), {}), clock)
            await it.dispatch([notification("a", severity="warning")], book)
            await until(lambda: len(book.sent) == 1)
            await it.dispatch([notification("b", severity="warning")], book)
            await until(lambda: it.states()["default"].waiting == 1)
            await asyncio.sleep(0.05)  # it has begun to wait
            clock.by_s = URGENT_S
            await it.dispatch([notification("c", severity="critical")], book)
            await until(lambda: len(book.sent) == 3)
            await it.close()

        run(story)
    assert len(receiver.taken) == 2, "both together, as a digest"


def test_the_receiver_decides_how_long_to_wait() -> None:
    with receiving((429, {"Retry-After": "1"})) as receiver:

        async def story() -> None:
            book, it = Book(), router(default=Route(url=receiver.url))
            await it.dispatch([notification()], book)
            await until(lambda: bool(book.sent))
            await it.close()

        run(story)
    first, second = receiver.requests
    assert second.at_s - first.at_s >= 1.0


def test_a_leader_that_was_replaced_stops_telling() -> None:
    with receiving() as receiver:

        async def story() -> None:
            book, it = Book(), router(default=Route(url=receiver.url))
            book.lost = True
            await it.dispatch([notification("a")], book)
            await until(lambda: len(receiver.taken) == 1)
            await it.dispatch([notification("b")], book)
            await asyncio.sleep(0.1)
            await it.close()
            assert len(receiver.taken) == 1
            assert book.sent == []

        run(story)


def test_severities_choose_routes_and_an_end_reaches_all_that_heard() -> None:
    it = router(pager=Route(severities=("critical",)), chat=Route(), mute=Route(resolved=False))
    every = ("pager", "chat", "mute", "unknown")

    def routes(one: Notification) -> tuple[str, ...]:
        return it.routes_of(one.transition.model_copy(update={"routes": every}))

    assert routes(notification(severity="critical")) == ("pager", "chat", "mute")
    assert routes(notification(severity="warning")) == ("chat", "mute")
    assert routes(notification(state="resolved", severity="warning")) == ("pager", "chat"), "it was critical before"


def test_alertmanager_is_reminded_of_what_an_earlier_leader_told() -> None:
    with receiving() as receiver:

        async def story(receiver: Receiver) -> None:
            book = Book()
            it = router(am=Route(kind="alertmanager", url=receiver.url), hook=Route(url=receiver.url))
            await it.resume([notification(route="am"), notification(route="hook")], book)
            sender = it._senders["am"]
            await sender.resend()  # type: ignore[attr-defined]  # of Alertmanager only
            await it.close()
            assert book.sent == []
            await sender.resend()  # type: ignore[attr-defined]  # forgotten with the lead

        run(lambda: story(receiver))
    assert [request.path for request in receiver.taken] == ["/hook/api/v2/alerts"]


def test_a_fault_at_the_desk_silences_no_route() -> None:
    class Clumsy(Book):
        async def record(self, sent: Sequence[Sent]) -> None:
            if not self.sent and not self.stumbled:
                self.stumbled = True
                raise RuntimeError
            await super().record(sent)

        stumbled = False

    with receiving() as receiver:

        async def story() -> None:
            book, it = Clumsy(), router(default=Route(url=receiver.url))
            await it.dispatch([notification("a")], book)
            await until(lambda: book.stumbled)
            await it.dispatch([notification("b")], book)
            await until(lambda: bool(book.sent))
            await it.close()

        run(story)
    assert len(receiver.taken) == 2
