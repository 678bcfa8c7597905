"""One demo on a running stack: history and live traffic at once, the view, then the end of every producer."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import httpx
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console

from llmtower_processors.local.endpoints import Endpoints, read_credentials

from . import figures
from .accounts import Accounts
from .display import display_on
from .history import CALLS, calls_by_app
from .identity import now_ns
from .numbers import count
from .processes import Process
from .said import Said
from .scenario import APPS, script
from .staging import Ending, Parts, Wishes
from .told import Inbox
from .traffic import Traffic
from .view import Progress, Screen

SEED = 7
"""Of the apps, the users and the history."""
START_S = 60.0
REFRESH_S = 1.0
PATIENCE_S = 120.0
"""The pipeline may stand still for this long before the books are closed as they are: a worker that was killed needs its successor, and
Kafka gives away the partitions of a dead member only after the session time-out (30 s)."""
SAY_S = 5.0
HEAD_START_S = 12.0
"""The history, four processes at full speed, waits this long for the first live figures and scores: what scores steps back, also while
it starts, and would not come to it before the history is sent."""
LATEST_S, LATEST_SHARE = 30.0, 0.25
"""The script begins without figures after so long, or so much of a run."""
DATABASE = "llmtower"
READER = "dashboards"


class Play:
    """The performance; afterwards `said` has what every producer said, `scenes` when each began, and `client` reads the tables."""

    client: Client

    def __init__(self, accounts: Accounts, console: Console, ending: Ending, wishes: Wishes) -> None:
        self.said: list[Said] = []
        self.began = 0.0
        self.scenes: Mapping[str, float] = {}
        self._accounts = accounts
        self._console = console
        self._ending = ending
        self._wishes = wishes
        self._sent: Counter[str] = Counter()
        self._history_total = 0
        self._history_began = self._history_ended = 0.0
        self._screen = Screen()
        self._first_figures, self._first_scores = asyncio.Event(), asyncio.Event()

    async def perform(self, parts: Parts) -> None:
        """Play until the end, then end the apps and collect what they said. Raises DemoError when a part fails."""
        endpoints = parts.endpoints
        password = read_credentials(self._wishes.data_dir)[READER]
        self.client = await asyncio.to_thread(figures.connect, endpoints.clickhouse, database=DATABASE, user=READER, password=password)
        page = (("live page", endpoints.web),) if endpoints.web else ()
        self._screen = replace(self._screen, addresses=(*page, ("Kafka", endpoints.kafka), ("ClickHouse", endpoints.clickhouse)))
        provider = str((await parts.standin.line(START_S))["url"])
        await parts.apps.say({"standin": provider, "kafka": endpoints.kafka, "apps": list(APPS), "seed": SEED})
        urls = {line["app"]: line["url"] for line in [await parts.apps.line(START_S) for _ in APPS]}
        self.began = time.time()
        traffic = Traffic(apps=urls, standin=provider, rate=self._wishes.rate, seed=SEED)
        await self._run(traffic, parts)
        self.scenes = traffic.began
        await self._collect(parts.apps, provider)

    async def drain(self) -> None:
        """Wait until everything the producers delivered has arrived in ClickHouse, as long as it makes progress."""
        producers, expected = [entry.producer for entry in self.said], sum(entry.events for entry in self.said)
        arrived, moved, said = -1, time.monotonic(), 0.0
        while time.monotonic() - moved < PATIENCE_S:
            now = await asyncio.to_thread(figures.read_arrived, self.client, producers)
            if now > arrived:
                arrived, moved = now, time.monotonic()
            if arrived >= expected:
                return
            if time.monotonic() - said > SAY_S:
                said = time.monotonic()
                still = f", nothing new for {said - moved:.0f} s" if said - moved > SAY_S else ""
                self._tell(f"closing: {count(arrived)} of {count(expected)} events are stored{still}")
            await asyncio.sleep(0.25)

    async def _start_history(self, sender: Process, endpoints: Endpoints) -> bool:
        """Let the senders begin once the first figures and scores are there, or a little later; False when it is over before."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first_scores.wait(), HEAD_START_S)
        if self._ending.interrupted.is_set():
            return False
        calls = calls_by_app(CALLS)
        self._history_total, self._history_began = CALLS, time.monotonic()
        await sender.say({"kafka": endpoints.kafka, "calls": calls, "end_ns": now_ns(), "seed": SEED})
        return True

    async def _run(self, traffic: Traffic, parts: Parts) -> None:
        """Play until the traffic has its answers and the history is sent; the first failure of a part ends everything."""
        sender = parts.sender
        try:
            async with asyncio.TaskGroup() as around:
                around_tasks = [around.create_task(one) for one in (self._view(traffic, parts.inbox), self._time(), self._stage(traffic))]
                if sender is not None:
                    around_tasks.append(around.create_task(self._cut_short(sender)))
                async with asyncio.TaskGroup() as work:
                    work.create_task(traffic.run(self._ending.stop))
                    if sender is not None:
                        work.create_task(self._follow(sender, parts.endpoints))
                for task in around_tasks:
                    task.cancel()
        except BaseExceptionGroup as group:
            raise _first(group) from group

    async def _stage(self, traffic: Traffic) -> None:
        """Begin the script when its beginning can be seen: on a busy machine the first figures take their time."""
        seconds = self._wishes.seconds
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._first_figures.wait(), LATEST_S if seconds is None else seconds * LATEST_SHARE)
        elapsed = traffic.elapsed_s
        traffic.script = script(None if seconds is None else max(seconds - elapsed, 1.0), begins_s=elapsed)

    async def _time(self) -> None:
        if self._wishes.seconds is not None:
            await asyncio.sleep(self._wishes.seconds)
            self._ending.stop.set()

    async def _cut_short(self, sender: Process) -> None:
        await self._ending.interrupted.wait()
        sender.close_input()

    async def _follow(self, sender: Process, endpoints: Endpoints) -> None:
        """Start the senders and read their progress until all of them have said what they emitted."""
        if not await self._start_history(sender, endpoints):
            return
        said: list[Said] = []
        async for line in sender.lines():
            self._sent[line["app"]] = line["sent"]
            if "said" in line:
                said.append(Said(**line["said"]))
        self._history_ended = time.monotonic()
        if len(said) < len(APPS):
            raise sender.ended()
        self.said += said

    async def _collect(self, apps: Process, provider: str) -> None:
        """End the apps: each flushes and says what it emitted; the provider's own count is put beside it."""
        self._tell("closing: the apps flush")
        async with httpx.AsyncClient() as client:
            calls: dict[str, int] = (await client.get(f"{provider}/control/counts")).json()["calls"]
        apps.close_input()
        said = [Said(**line["said"]) async for line in apps.lines()]
        if len(said) < len(APPS):
            raise apps.ended()
        for entry in said:
            seen = sum(number for key, number in calls.items() if key.startswith(f"{entry.app}/"))
            self.said.append(replace(entry, provider_saw=seen))

    async def _view(self, traffic: Traffic, inbox: Inbox) -> None:
        with display_on(self._console) as display:
            while True:
                began = time.monotonic()
                await self._look()
                self._screen = replace(self._now(traffic), told=tuple(inbox.told))
                display.show(self._screen)
                await asyncio.sleep(max(0.1, REFRESH_S - (time.monotonic() - began)))

    async def _look(self) -> None:
        """Read the tables; what was read last stays on the screen while they cannot be read."""
        try:
            live = await asyncio.to_thread(figures.read_live, self.client)
        except (ClickHouseError, OSError) as error:
            self._screen = replace(self._screen, trouble=f"ClickHouse cannot be read just now ({type(error).__name__})")
        else:
            self._screen = replace(self._screen, live=live, trouble="")
            if live.rows:
                self._first_figures.set()
            if live.rows and live.scored.newest_age_s is not None:
                self._first_scores.set()

    def _now(self, traffic: Traffic) -> Screen:
        elapsed = traffic.elapsed_s
        return replace(
            self._screen,
            elapsed_s=elapsed,
            left_s=None if self._wishes.seconds is None else self._wishes.seconds - elapsed,
            phase=traffic.phase,
            next_scene_s=traffic.script.until_next(elapsed) if traffic.script else None,
            questions=traffic.asked.total(),
            in_flight=traffic.in_flight,
            history=self._progress(),
            history_note=self._accounts.history_note,
        )

    def _progress(self) -> Progress | None:
        if not self._history_total:
            return None
        until = self._history_ended or time.monotonic()
        return Progress(self._sent.total(), self._history_total, until - self._history_began)

    def _tell(self, line: str) -> None:
        self._console.print(line, style="dim", highlight=False, markup=False, soft_wrap=True)


def _first(group: BaseExceptionGroup[Any]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
