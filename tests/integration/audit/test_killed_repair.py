"""A repair that is killed anywhere is finished by the next one."""

from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError
from tests.integration.audit.plants import (
    doubled_envelope,
    doubled_row,
    lost_user,
    missing_record,
    missing_row,
)
from tests.integration.audit.world import CLOSED, FIRST, NOW, World, alone, found, response

from llmtower_processors.audit import Auditor
from llmtower_processors.errors import Unreachable
from llmtower_schemas.settings import RetentionSettings

pytestmark = pytest.mark.integration


class Killed(Exception):  # noqa: N818 - reads as a state
    """The audit was killed here."""


class DyingClient:
    """A client that is cut off before its n-th write."""

    def __init__(self, client: Any, writes: int) -> None:
        self._client = client
        self._left = writes
        self.query = client.query

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def _spend(self) -> None:
        if not self._left:
            raise Killed
        self._left -= 1

    def insert(self, *arguments: Any, **options: Any) -> Any:
        """Insert, or die before it."""
        self._spend()
        return self._client.insert(*arguments, **options)

    def command(self, *arguments: Any, **options: Any) -> Any:
        """Run a command, or die before it."""
        self._spend()
        return self._client.command(*arguments, **options)


def repair_until_killed(world: World, writes: int) -> bool:
    """Repair with a client that dies before its n-th write; say whether it died."""
    dying = cast(Client, DyingClient(world.client, writes))
    auditor = Auditor(dying, world.records, world.processors, RetentionSettings())
    try:
        auditor.run((NOW + writes) * 1_000, start=FIRST, end=CLOSED, repair=alone)
    except Killed:
        return True
    return False


def plant_in_a_small_world(world: World) -> dict[str, list[tuple[Any, ...]]]:
    """Lose one record of three, store another one twice; give what the rollups should hold."""
    world.reset()
    own = [world.send([response(number * 2, FIRST), response(number * 2 + 1, FIRST)]) for number in range(3)]
    world.store(own)
    before = world.truth()
    missing_record(world, own)
    doubled_envelope(world, own)
    return before


@pytest.mark.timeout(900)
def test_a_repair_killed_before_any_of_its_writes_is_finished_by_the_next(world: World) -> None:
    writes, killed = 0, True
    while killed:
        before = plant_in_a_small_world(world)
        killed = repair_until_killed(world, writes)
        if killed:
            assert not repair_until_killed(world, 1_000)
        assert found(world.audit()) == {}, f"killed before write {writes}"
        assert world.truth() == before, f"killed before write {writes}"
        writes += 1
    assert writes > 10


@pytest.mark.timeout(600)
def test_a_repair_killed_again_and_again_comes_to_an_end(world: World) -> None:
    own = world.clean()
    before = world.truth()
    for plant in (missing_row, doubled_row, doubled_envelope, lost_user):
        plant(world, own)
    rounds = 0
    while repair_until_killed(world, rounds + 1):
        rounds += 1
    assert rounds >= 3
    assert found(world.audit()) == {}
    assert world.truth() == before


def test_a_server_that_does_not_answer_is_said_so(world: World) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OperationalError("connection refused")

    client = DyingClient(world.client, 10)
    client.query = refuse
    with pytest.raises(Unreachable, match="ClickHouse"):
        Auditor(cast(Client, client), world.records, world.processors, RetentionSettings()).run(NOW * 1_000)
