"""Two repairs of one database are kept apart, wherever they run and whatever happened to an earlier one."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.audit.plants import missing_row
from tests.integration.audit.world import CLOSED, FIRST, NOW, World

from llmtower_processors.audit import exclusive as module
from llmtower_processors.audit.exclusive import SILENT_S, RepairRunning, Turn, exclusive
from llmtower_processors.engine import EngineProcess, Role

pytestmark = pytest.mark.integration


@contextmanager
def connected(engine: EngineProcess, database: str) -> Iterator[Client]:
    address = {
        "host": engine.host,
        "port": engine.port,
        "username": Role.WRITER.value,
        "password": engine.credentials.password(Role.WRITER),
    }
    with clickhouse_connect.get_client(**address, database=database) as client:  # type: ignore[arg-type]
        yield client


def begun(world: World, owner: str, silent_s: int) -> None:
    """A repair that began that long ago and never ended."""
    sql = "INSERT INTO repairs (number, owner, at) SELECT max(number) + 1, {owner:String}, now64(3) - {silent:UInt32} FROM repairs"
    world.client.command(sql, parameters={"owner": owner, "silent": silent_s})


def test_a_second_repair_is_refused_until_the_first_has_ended(world: World) -> None:
    with exclusive(lambda: world.client) as turn:
        with pytest.raises(RepairRunning, match=rf"{socket.gethostname()}, pid {os.getpid()}.*wait until"), exclusive(lambda: world.client):
            pass
        turn.check()
    with exclusive(lambda: world.client) as turn:
        assert turn.number == 2


def test_a_repair_killed_elsewhere_holds_nobody_up_for_longer_than_its_silence(world: World) -> None:
    begun(world, "elsewhere, pid 1, x", silent_s=SILENT_S - 20)
    with pytest.raises(RepairRunning, match="elsewhere"), exclusive(lambda: world.client):
        pass
    begun(world, "elsewhere, pid 1, y", silent_s=SILENT_S + 20)
    with exclusive(lambda: world.client):
        pass


def test_a_repair_killed_here_holds_nobody_up(world: World) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    begun(world, f"{socket.gethostname()}, pid {process.pid}, x", silent_s=0)
    with exclusive(lambda: world.client):
        pass


def test_one_that_slept_while_another_began_mends_nothing_more(world: World) -> None:
    """It is stopped before its next step, and gives nobody else's turn away."""
    missing_row(world, world.clean())
    rows = world.count("SELECT count() FROM calls")
    with exclusive(lambda: world.client) as turn:
        begun(world, "elsewhere, pid 1, x", silent_s=0)
        with pytest.raises(RepairRunning, match="elsewhere"):
            world.auditor().run(NOW * 1_000, start=FIRST, end=CLOSED, repair=turn.check)
    assert world.count("SELECT count() FROM calls") == rows
    with pytest.raises(RepairRunning, match="elsewhere"), exclusive(lambda: world.client):
        pass


def test_of_many_that_begin_at_once_one_repairs(world: World, audit_engine: EngineProcess) -> None:
    def take(number: int) -> bool:
        with connected(audit_engine, str(world.client.database)) as client:
            turn = Turn(client, 1, f"elsewhere, pid {number}, x")
            turn.say(0)
            try:
                turn.check()
            except RepairRunning:
                return False
            return True

    with ThreadPoolExecutor(4) as threads:
        assert sorted(threads.map(take, range(8))) == [False] * 7 + [True]


def test_it_beats_while_it_works(world: World, audit_engine: EngineProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BEAT_S", 0.02)
    clients = [connected(audit_engine, str(world.client.database)) for _ in range(2)]
    with clients[0] as first, clients[1] as second, exclusive(partial(next, iter((first, second)))):
        while world.count("SELECT count() FROM repairs") < 3:
            time.sleep(0.01)
