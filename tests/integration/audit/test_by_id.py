"""Records that stand for themselves (spans by their ids): found when they are twice, whatever their number, in the memory of one slice."""

from datetime import UTC, datetime

import clickhouse_connect
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from tests.integration.audit.world import World

from llmtower_processors.audit.inspect import Overlap, orphans, overlaps
from llmtower_processors.audit.model import Place, Span
from llmtower_processors.engine import EngineProcess, Role

pytestmark = pytest.mark.integration
MANY = 400_000
SLICE = Span(Place("calls", "now", "llmtower.calls", 0), 1_000, 1_999)
LITTLE = {"max_memory_usage": 20_000_000, "max_threads": 1}
LEDGER = """
INSERT INTO ledger (processor, incarnation, topic, partition, offset, producer, first_seq, count, duplicate, minute)
SELECT 'calls', 'now', 'llmtower.calls', number % 4, intDiv(number, 4),
    concat('id-', lower(hex(toUInt8(number))), 'a'),
    bitAnd(cityHash64(number), toUInt64(4611686018427387903)), 1, 0, toDateTime('2026-11-20 12:00:00')
FROM numbers({many})
"""
AGAIN = """
INSERT INTO ledger (processor, incarnation, topic, partition, offset, producer, first_seq, count, duplicate, minute)
SELECT 'calls', '{incarnation}', 'llmtower.calls', {partition}, {offset}, producer, first_seq, 1, {duplicate}, minute + 60
FROM ledger WHERE partition = 0 AND offset = {of} AND incarnation = 'now' LIMIT 1
"""

ALL_SORTED = "SELECT offset, max(first_seq) OVER (PARTITION BY producer ORDER BY first_seq) AS reached FROM ledger ORDER BY reached"


def again(world: World, of: int, *, incarnation: str = "now", partition: int = 1, offset: int, duplicate: int = 0) -> None:
    """The record at `of` stands once more."""
    given = {"incarnation": incarnation, "partition": partition, "offset": offset, "of": of, "duplicate": duplicate}
    world.client.command(AGAIN.format(**given))


def test_records_by_id_that_stand_twice_are_found_in_little_memory(world: World, audit_engine: EngineProcess) -> None:
    world.client.command(LEDGER.format(many=MANY))
    again(world, 1_500, partition=3, offset=900_000)  # the one in the slice came first
    again(world, 1_501, incarnation="earlier", offset=5)
    again(world, 1_502, partition=0, offset=1_999 + MANY)
    again(world, 20, partition=0, offset=1_100_000)
    again(world, 10, partition=0, offset=1_000)
    again(world, 1_503, partition=0, offset=1_002, duplicate=1)
    password, minute = audit_engine.credentials.password(Role.WRITER), int(datetime(2026, 11, 20, 12, tzinfo=UTC).timestamp())
    with clickhouse_connect.get_client(
        host=audit_engine.host,
        port=audit_engine.port,
        username=Role.WRITER.value,
        password=password,
        database=world.client.database,
        settings=LITTLE,
    ) as little:
        assert overlaps(little, SLICE, "now") == [Overlap(1_000, minute + 60, 1), Overlap(1_501, minute, 1)]
        assert orphans(little, SLICE) == []
        with pytest.raises(DatabaseError, match="MEMORY_LIMIT_EXCEEDED"):
            little.query(ALL_SORTED)
