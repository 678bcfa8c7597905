"""The users: live questions at a steady rate of calls against the apps, and the script's changes of scene. Keeps its own count."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Mapping

import httpx

from .identity import now_ns, uuid7
from .scenario import APPS, NORMAL, AppProfile, Phase, Script, pick_app
from .texts import ask

MAX_IN_FLIGHT = 160
"""Beyond this many open questions the users wait: an overloaded machine shows a lower rate, not a pile."""
ANSWER_TIMEOUT_S = 30.0
FEEDBACK_SHARE = 0.08
USERS = 250


class Traffic:
    """Asks until told to stop; `asked`, `answered` and `failed` are counts by app."""

    def __init__(self, *, apps: Mapping[str, str], standin: str, rate: float, seed: int) -> None:
        self.phase: Phase = NORMAL
        self.script: Script | None = None
        """What is played; nothing before it is given."""
        self.began: dict[str, float] = {}
        """When each scene began first, by name, seconds since the epoch."""
        self.asked: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self._apps = apps
        self._standin = standin
        self._questions_per_s = rate / sum(app.traffic * (1 + app.embedding_calls) for app in APPS.values())
        self._chance = random.Random(f"{seed}/traffic")  # noqa: S311  (a script, no secret)
        self._open: set[asyncio.Task[None]] = set()
        self._since: float | None = None

    @property
    def in_flight(self) -> int:
        """Questions without an answer yet."""
        return len(self._open)

    @property
    def elapsed_s(self) -> float:
        """Seconds since the first question."""
        return 0.0 if self._since is None else time.monotonic() - self._since

    async def run(self, stop: asyncio.Event) -> None:
        """Ask at the set rate until `stop`, then wait for the answers that are still out."""
        self._since = due = time.monotonic()
        limits = httpx.Limits(max_connections=MAX_IN_FLIGHT + 20, max_keepalive_connections=64)
        async with httpx.AsyncClient(timeout=ANSWER_TIMEOUT_S, limits=limits) as client:
            scenes = asyncio.create_task(self._play(client, stop))
            while not stop.is_set():
                due = max(due, time.monotonic() - 1.0) + self._chance.expovariate(self._questions_per_s)
                await _pause(stop, due - time.monotonic())
                if len(self._open) < MAX_IN_FLIGHT and not stop.is_set():
                    self._start(client)
            await asyncio.gather(*self._open, scenes)
            await self._change(client, NORMAL)

    def _start(self, client: httpx.AsyncClient) -> None:
        task = asyncio.create_task(self._ask(client, pick_app(self._chance)))
        self._open.add(task)
        task.add_done_callback(self._open.discard)

    async def _ask(self, client: httpx.AsyncClient, app: AppProfile) -> None:
        user = int(self._chance.paretovariate(1.2) * 5) % USERS
        question = {
            "text": ask(app.name, self._chance, drifted=self.phase.drift_app == app.name),
            "user_id": f"user-{user:04d}",
            "session_id": f"s-{user:04d}-live",
            "request_id": uuid7(now_ns(), self._chance),
            "stream": self._chance.random() < app.stream_share,
        }
        self.asked[app.name] += 1
        try:
            reply = await client.post(self._apps[app.name] + app.route, json=question)
        except httpx.HTTPError:
            self.failed[app.name] += 1
            return
        if reply.is_error:
            self.failed[app.name] += 1
            return
        self.answered[app.name] += 1
        if self._chance.random() < FEEDBACK_SHARE:
            await self._rate_answer(client, app, reply.json()["response_id"], question["user_id"])

    async def _rate_answer(self, client: httpx.AsyncClient, app: AppProfile, response_id: str, user_id: object) -> None:
        liked = self._chance.random() < (0.1 if self.phase.toxic_app == app.name else 0.85)
        opinion = {"response_id": response_id, "user_id": user_id, "score": 1.0 if liked else -1.0}
        await client.post(self._apps[app.name] + "/feedback", json=opinion)

    async def _play(self, client: httpx.AsyncClient, stop: asyncio.Event) -> None:
        while not stop.is_set():
            phase = self.script.at(self.elapsed_s) if self.script else NORMAL
            if phase is not self.phase:
                await self._change(client, phase)
                self.began.setdefault(phase.name, time.time())
            await _pause(stop, 0.25)

    async def _change(self, client: httpx.AsyncClient, phase: Phase) -> None:
        before, self.phase = self.phase, phase
        await client.put(f"{self._standin}/control/phase", json={"name": phase.name})
        for name in {before.upgraded_app, phase.upgraded_app} & set(APPS):
            await client.put(f"{self._apps[name]}/deployment", json={"upgraded": phase.upgraded_app == name})


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    """Wait, but not beyond `stop`."""
    if seconds <= 0:
        await asyncio.sleep(0)
        return
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return
