"""The evaluator, run by the leader of the timers: ask, judge, write to the journal, and only then tell.

Written first: a transition that people hear of is in the journal, so that the next leader knows of it. Told before recorded: what was
not recorded as told is told again by the next leader, marked as a possible repeat. Whatever goes wrong with the journal ends this term;
the next begins by opening it, which refuses everybody else, and reading it.
"""

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from llmtower_processors.alerts.books import Books
from llmtower_processors.alerts.changes import begins, changes_query, with_changes
from llmtower_processors.alerts.conditions import Reading
from llmtower_processors.alerts.incidents import Incidents
from llmtower_processors.alerts.journal import Journal, Page
from llmtower_processors.alerts.links import links
from llmtower_processors.alerts.measure import Measured, Meter
from llmtower_processors.alerts.metrics import AlertMetrics
from llmtower_processors.alerts.model import LeadershipLostError, Notification, Router
from llmtower_processors.alerts.news import News
from llmtower_processors.alerts.questions import MINUTE_US, Group, Moment
from llmtower_processors.alerts.rules import BLIND, Rule, Rules
from llmtower_processors.alerts.second import SecondLooks
from llmtower_processors.alerts.sight import Sight
from llmtower_processors.alerts.silences import SilenceFeed, Silences
from llmtower_processors.alerts.tables import QuestionRefusedError, Tables
from llmtower_processors.errors import LlmtowerError, Unreachable
from llmtower_processors.leader import Firing
from llmtower_processors.runtime.edges import Clock
from llmtower_schemas.alerts import Sent, Transition
from llmtower_schemas.settings import AlertSettings

log = logging.getLogger(__name__)

REOPEN_S: Final = 5.0
"""After the journal failed: longer than a process that was frozen needs to hear that another leads."""
FENCED_S: Final = 30.0
MUTE_ATTEMPTS: Final = 5
"""A receiver that refused so often in a row (half a minute) is an alert of its own, told by the other routes."""


class AlertService:
    """Judges rules while this process leads. `fire` is the timer's function, `resign` is called when the lead is lost."""

    def __init__(
        self,
        rules: Rules,
        settings: AlertSettings,
        *,
        journal: Journal,
        tables: Tables,
        silences: SilenceFeed,
        router: Router,
        clock: Clock,
        metrics: AlertMetrics,
    ) -> None:
        self._rules = {rule.name: rule for rule in rules.active()}
        self._settings = settings
        self._journal = journal
        self._tables = tables
        self._feed = silences
        self._router = router
        self._clock = clock
        self._metrics = metrics
        self._term: Term | None = None
        self._not_before = float("-inf")

    async def fire(self, firing: Firing) -> None:
        """Run one round, taking over first where that has not been done. Never raises for what passes."""
        if self._clock.monotonic() < self._not_before:
            return
        try:
            if self._term is None:
                self._term = await self._take_over()
            await self._term.round()
        except LeadershipLostError as error:
            await self._give_up(error, FENCED_S)
        except Unreachable as error:
            await self._give_up(error, REOPEN_S)
        except Exception as error:  # a fault of ours: what is known may be half a truth, so begin again from the journal
            log.error("alerts: %s in a round of judging", type(error).__name__)
            await self._give_up(LlmtowerError(f"A round of judging failed ({type(error).__name__})."), REOPEN_S)

    async def resign(self) -> None:
        """Forget everything; another leads."""
        term, self._term = self._term, None
        self._not_before = float("-inf")
        if term is not None:
            await term.end()

    async def _take_over(self) -> "Term":
        term = Term(self._rules, self._settings, self._journal, self._tables, self._feed, self._router, self._clock, self._metrics)
        try:
            await term.begin()
        except BaseException:
            await term.end()
            raise
        return term

    async def _give_up(self, error: LlmtowerError, wait_s: float) -> None:
        log.warning("alerts: %s Beginning again in %.0f s.", error, wait_s)
        self._metrics.failures.labels("journal").inc()
        await self.resign()
        self._not_before = self._clock.monotonic() + wait_s


class Term:
    """From taking over to losing the lead: everything that is known in between."""

    def __init__(
        self,
        rules: dict[str, Rule],
        settings: AlertSettings,
        journal: Journal,
        tables: Tables,
        feed: SilenceFeed,
        router: Router,
        clock: Clock,
        metrics: AlertMetrics,
    ) -> None:
        self._settings, self._journal, self._tables, self._feed = settings, journal, tables, feed
        self._router, self._clock, self._metrics = router, clock, metrics
        self._incidents = Incidents(rules, router.routes_of)
        self._meter = Meter(tables, rules.values(), period_s=settings.period_s)
        self._news = News(tables)
        self._sight = Sight(clock)
        self._silences = Silences()
        self._books = Books(tables)
        self._second = SecondLooks()
        self._cut: set[str] = set()
        self._lost: LlmtowerError | None = None

    async def begin(self) -> None:
        """Become the only writer, read the journal, and tell what was written but not told."""
        for page in await self._journal.open():
            self._incidents.recall(page.entries)
            self._books.add(page)
        await self._listen()
        owed = [(transition, route) for (_, route), transition in self._incidents.unsent.items()]
        await self._router.dispatch(self._notifications(owed, possible_repeat=True), self)
        await self._router.resume(self._notifications(self._incidents.told()), self)
        await self._write(self._incidents.orphans(self._now_us()))
        log.info("alerts: took over, %d alerts are active, %d notifications unsent", len(self._incidents.last), len(owed))

    async def end(self) -> None:
        """Let go of everything."""
        self._meter.close()
        await self._router.close()
        await self._feed.close()
        await self._journal.close()

    async def record(self, sent: Sequence[Sent]) -> None:
        """See model.Recorder."""
        if self._lost:
            raise LeadershipLostError(str(self._lost))
        try:
            pages = await self._journal.append(sent)
        except LlmtowerError as error:
            self._lost = error
            raise LeadershipLostError(str(error)) from error
        self._learn(pages)

    async def round(self) -> None:
        """Ask what is due, judge, write, tell. Raises LeadershipLostError, Unreachable (of the journal)."""
        if self._lost:
            raise self._lost
        with self._metrics.round_seconds.time():
            await self._listen()
            now_us = self._now_us()
            measured = await self._measure(now_us)
            transitions = [one for found in measured for one in self._incidents.judge(found, self._silences)]
            await self._write(await self._explained(transitions))
            await self._keep_books()
        self._report(now_us)

    async def _measure(self, now_us: int) -> list[Measured]:
        """What the tables say, and what the evaluator knows of itself, which it judges alike."""
        found: list[Measured] = []
        try:
            await asyncio.to_thread(self._news.listen, now_us)
            if due := self._meter.due(now_us, self._news.rest_us(now_us), self._incidents.awake()):
                found = await self._look(due, now_us)
            self._sight.saw("ClickHouse")
        except (Unreachable, QuestionRefusedError) as error:
            self._metrics.failures.labels("ClickHouse").inc()
            self._sight.failed("ClickHouse", str(error))
        for name, state in self._router.states().items():
            if state.attempts >= MUTE_ATTEMPTS:
                self._sight.failed(f"route {name}", state.trouble)
            elif not state.attempts:
                self._sight.saw(f"route {name}")
        rule = next((rule for rule in self._incidents.rules.values() if rule.metric == BLIND), None)
        if rule is not None:
            own: dict[Group, Reading] = {(what,): Reading(seconds, 1.0) for what, seconds in self._sight.blind().items()}
            found.append(Measured(Moment(now_us), readings={rule.name: own}))
        return found

    async def _look(self, due: Sequence[Rule], now_us: int) -> list[Measured]:
        """What the tables say now, then what they say once more of minutes that have closed. Raises Unreachable, QuestionRefusedError.

        In this order, because late events often come all at once: what they correct must not look bad from the round before.
        """
        marks = await asyncio.to_thread(self._meter.marks, now_us)
        moment = Moment(now_us, marks, round(self._settings.patience_s * 1e6))
        now = await asyncio.to_thread(self._meter.measure, due, moment)
        ready = self._second.ready(moment)
        late = [one for one in ready if self._news.since(one.now_us - 2 * MINUTE_US)]
        again = [await asyncio.to_thread(self._meter.measure, self._meter.closing(), one) for one in late]
        self._second.done(moment, ready)
        for name in now.readings:
            self._sight.saw(f"rule {name}")
        self._say_cut(now)
        for name, sentence in now.failed.items():
            self._sight.failed(f"rule {name}", sentence)
        return [now, *reversed(again)]

    def _say_cut(self, measured: Measured) -> None:
        """Say once of each rule that not all of its groups are judged, and once when they are again."""
        for name in measured.cut - self._cut:
            top = self._incidents.rules[name].top
            log.warning("alerts: rule %s has more than %d groups; those with the largest sample are judged. Group less finely.", name, top)
        self._cut = (self._cut - measured.readings.keys()) | measured.cut

    async def _explained(self, transitions: list[Transition]) -> list[Transition]:
        """Add what changed shortly before; when that cannot be told, people are told without."""
        if not any(begins(transition) for transition in transitions):
            return transitions
        try:
            _, rows = await asyncio.to_thread(self._tables.ask, changes_query(transitions[0].at_us))
        except (Unreachable, QuestionRefusedError) as error:
            log.warning("alerts: what changed cannot be told: %s", error)
            return transitions
        return [with_changes(transition, rows) if begins(transition) else transition for transition in transitions]

    async def _write(self, transitions: Sequence[Transition]) -> None:
        """First the journal, then people."""
        if not transitions:
            return
        self._learn(await self._journal.append(transitions))
        for transition in transitions:
            self._incidents.owe(transition)
            self._metrics.transitions.labels(transition.to_state).inc()
        told = [(transition, route) for transition in transitions if transition.notify for route in transition.routes]
        if told:
            await self._router.dispatch(self._notifications(told), self)

    def _notifications(self, told: Sequence[tuple[Transition, str]], *, possible_repeat: bool = False) -> list[Notification]:
        return [
            Notification(
                transition=transition,
                rule=self._incidents.rules.get(transition.rule),
                route=route,
                possible_repeat=possible_repeat,
                links=links(transition, self._settings.page_url),
            )
            for transition, route in told
        ]

    def _learn(self, pages: Sequence[Page]) -> None:
        for page in pages:
            self._books.add(page)
            for entry in page.entries:
                if isinstance(entry, Sent):
                    self._incidents.unsent.pop((entry.transition_id, entry.route), None)

    async def _listen(self) -> None:
        records = await self._feed.poll()
        self._silences.learn(records)
        for record in records:
            self._books.add_silence(record)

    async def _keep_books(self) -> None:
        try:
            await asyncio.to_thread(self._books.write)
        except (Unreachable, QuestionRefusedError) as error:
            self._metrics.failures.labels("tables").inc()
            log.warning("alerts: %s Trying again.", error)

    def _report(self, now_us: int) -> None:
        metrics = self._metrics
        blind = self._sight.blind()
        for what, seconds in blind.items():
            metrics.blind_seconds.labels(what).set(seconds)
        if not blind.get("ClickHouse"):
            metrics.last_round.set(now_us / 1e6)
        metrics.active.set(len(self._incidents.last))
        metrics.unsent.set(len(self._incidents.unsent))
        metrics.unwritten.set(self._books.waiting)
        metrics.cut.set(len(self._cut))

    def _now_us(self) -> int:
        return self._clock.now_ms() * 1_000
