"""Databases on the session's engine: empty, one call, many, some scored later, a million. The third is asked as the roles that will ask."""

import asyncio
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.dashboards.evaluated import evaluated
from tests.integration.dashboards.widen import million
from tests.integration.dashboards.world import World, many, single

from llmtower_dashboards.ask import Answer, Asker, AskError
from llmtower_dashboards.completeness import Completeness
from llmtower_dashboards.macros import Frame
from llmtower_dashboards.panel import Panel, Variable
from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_schemas.settings import RetentionSettings

KEEP_ALL = RetentionSettings(calls_days=0, contents_days=0, requests_days=0, heartbeats_days=0, dead_letter_bytes_days=0, rollup_1m_days=0)
READABLE = "llmtower"
"""The only database of the engine that its readers may read."""
MAKERS: dict[str, tuple[str, Callable[[], World]]] = {
    "empty": (f"t{uuid.uuid4().hex[:12]}", World),
    "single": (f"t{uuid.uuid4().hex[:12]}", single),
    "many": (READABLE, many),
    "evaluated": (f"t{uuid.uuid4().hex[:12]}", evaluated),
    "million": (f"t{uuid.uuid4().hex[:12]}", million),
}


@dataclass(frozen=True)
class Place:
    """A database, what was put into it, and with what options each reader asks it."""

    world: World
    writer: dict[str, Any]
    readers: dict[str, dict[str, Any]]

    def ask(self, panel: Panel, frame: Frame) -> Answer:
        """Ask one panel as its reader."""
        (answer,) = self.ask_all([panel], frame)
        if isinstance(answer, AskError):
            raise answer
        return answer

    def ask_all(self, panels: Sequence[Panel], frame: Frame) -> list[Answer | AskError]:
        """Ask several, as their readers; one that cannot be answered does not hide the others."""

        async def ask() -> list[Answer | AskError]:
            async with Asker(self.readers["dashboards"]) as plain, Asker(self.readers["content"]) as content:
                return [await _asked(content if panel.reader == "content" else plain, panel, frame) for panel in panels]

        return asyncio.run(ask())

    def completeness(self, frame: Frame) -> Completeness | None:
        """Ask how complete a frame is."""

        async def ask() -> Completeness | None:
            async with Asker(self.readers["dashboards"]) as asker:
                return await asker.completeness(frame)

        return asyncio.run(ask())

    def values(self, variable: Variable, frame: Frame) -> list[str]:
        """List a variable as the dashboards' reader."""

        async def ask() -> list[str]:
            async with Asker(self.readers["dashboards"]) as asker:
                return await asker.values(variable, frame)

        return asyncio.run(ask())

    def client(self) -> Client:
        """A writer's client; close it."""
        return clickhouse_connect.get_client(**self.writer)


async def _asked(asker: Asker, panel: Panel, frame: Frame) -> Answer | AskError:
    try:
        return await asker.ask(panel, frame)
    except AskError as error:
        return error


class Places(Mapping[str, Place]):
    """The databases by the name of their world, each made when a test first asks for it."""

    def __init__(self, engine: EngineProcess) -> None:
        self._engine = engine
        self._made: dict[str, Place] = {}

    def __getitem__(self, name: str) -> Place:
        if name not in self._made:
            self._made[name] = self._make(*MAKERS[name])
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(MAKERS)

    def __len__(self) -> int:
        return len(MAKERS)

    def _make(self, database: str, make: Callable[[], World]) -> Place:
        with clickhouse_connect.get_client(**_address(self._engine, Role.WRITER)) as server:
            create_database(server, database)
        world, writer = make(), _address(self._engine, Role.WRITER, database)
        with clickhouse_connect.get_client(**writer) as client:
            migrate(client, KEEP_ALL)
            world.store(client)
        roles = {"dashboards": Role.DASHBOARDS, "content": Role.CONTENT}
        readers = {
            reader: _address(self._engine, role if database == READABLE else Role.WRITER, database) for reader, role in roles.items()
        }
        return Place(world, writer, readers)

    def drop(self) -> None:
        """Give their room back."""
        with clickhouse_connect.get_client(**_address(self._engine, Role.WRITER)) as server:
            for name in self._made:
                server.command(f"DROP DATABASE {MAKERS[name][0]}")


@pytest.fixture(scope="package")
def places(engine: EngineProcess) -> Iterator[Places]:
    """The databases, by the name of their world."""
    made = Places(engine)
    yield made
    made.drop()


def _address(engine: EngineProcess, role: Role, database: str = "default") -> dict[str, Any]:
    password = engine.credentials.password(role)
    return {"host": engine.host, "port": engine.port, "username": role.value, "password": password, "database": database}
