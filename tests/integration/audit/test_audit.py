"""The audit finds exactly what was planted, and nothing on clean data; repair mends it, and a second audit is clean."""

from collections.abc import Callable
from typing import Any, cast

import pytest
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import OperationalError
from tests.integration.audit.world import CLOSED, FIRST, HOUR, NOW, World, found, heartbeat, request, response

from llmtower_processors.audit import Auditor
from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime.model import Record
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.topics import CALLS, SIGNALS

pytestmark = pytest.mark.integration

Plant = Callable[[World, list[Record]], None]


def test_clean_data_has_no_findings(world: World) -> None:
    world.clean()
    report = world.audit()
    assert report.findings == []
    assert report.clean
    assert report.records == 27
    assert world.count("SELECT count() FROM audits WHERE found != 0") == 0
    assert world.count("SELECT uniqExact(check) FROM audits") == 13


def missing_row(world: World, own: list[Record]) -> None:
    """A call is lost, its request, its contents and the rollups are not."""
    world.delete("calls", f"kafka_offset = {own[3].offset} AND kafka_partition = 0 AND event_index = 1")


def missing_rows_of_a_record(world: World, own: list[Record]) -> None:
    """All rows of a record are lost, its ledger row is not."""
    for table in ("calls", "requests", "steps", "contents"):
        world.delete(table, f"kafka_offset = {own[2].offset} AND kafka_partition = 0")


def missing_dead_letter(world: World, own: list[Record]) -> None:
    """A dead letter is lost with its bytes."""
    for table in ("dead_letters", "dead_letter_bytes"):
        world.delete(table, "1")


def missing_record(world: World, own: list[Record]) -> None:
    """A record was stepped over: it has neither rows nor ledger."""
    missing_rows_of_a_record(world, own)
    world.delete("ledger", f"topic = '{CALLS}' AND offset = {own[2].offset} AND partition = 0")


def rows_without_ledger(world: World, own: list[Record]) -> None:
    """The ledger row of a stored record is lost."""
    world.delete("ledger", f"topic = '{CALLS}' AND offset = {own[4].offset} AND partition = 0")


def doubled_row(world: World, own: list[Record]) -> None:
    """The rows of one event stand twice."""
    for block in world.rows(own[1], "calls"):
        world.insert(type(block)(block.table, {name: column[:1] for name, column in block.columns.items()}))


def doubled_contents(world: World, own: list[Record]) -> None:
    """Only the contents of a record stand twice."""
    for block in world.rows(own[1], "contents"):
        world.insert(block)


def doubled_ledger(world: World, own: list[Record]) -> None:
    """A ledger row stands twice."""
    world.insert(world.ledger(own[5]))


def doubled_envelope(world: World, own: list[Record]) -> None:
    """An envelope was sent twice, and stored twice."""
    again = Record(CALLS, 0, len(world.records.logs[CALLS, 0]), own[1].timestamp_ms, None, own[1].value, own[1].headers)
    world.records.logs[CALLS, 0].append(again)
    world.store([again])


def stored_duplicate(world: World, own: list[Record]) -> None:
    """An envelope was sent twice; the ledger calls it a duplicate, but its rows are there."""
    again = Record(CALLS, 0, len(world.records.logs[CALLS, 0]), own[1].timestamp_ms, None, own[1].value, own[1].headers)
    world.records.logs[CALLS, 0].append(again)
    for block in [*world.rows(again), world.ledger(again, duplicate=True)]:
        world.insert(block)


def orphan(world: World, own: list[Record]) -> None:
    """An envelope was dropped as a duplicate of one that nobody has."""
    lost = world.send([response(500, FIRST), response(501, FIRST)], producer="x")
    world.insert(world.ledger(lost, duplicate=True))


PLANTED: dict[str, tuple[Plant, dict[str, int]]] = {
    "missing_row": (missing_row, {"missing_events": 1, "rollup_1m": 1, "rollup_user_1h": 1}),
    "missing_rows_of_a_record": (missing_rows_of_a_record, {"missing_events": 4, "rollup_1m": 2, "rollup_user_1h": 2}),
    "missing_dead_letter": (missing_dead_letter, {"missing_events": 1}),
    "missing_record": (missing_record, {"missing_records": 4, "missing_from_producers": 4, "rollup_1m": 2, "rollup_user_1h": 2}),
    "rows_without_ledger": (rows_without_ledger, {"rows_without_ledger": 4, "missing_from_producers": 4}),
    "doubled_row": (doubled_row, {"doubled_rows": 1}),
    "doubled_contents": (doubled_contents, {"doubled_rows": 2}),
    "doubled_ledger": (doubled_ledger, {"doubled_ledger": 1}),
    "doubled_envelope": (doubled_envelope, {"doubled_envelopes": 4, "doubled_from_producers": 4}),
    "stored_duplicate": (stored_duplicate, {"rows_without_ledger": 4}),
}


@pytest.mark.parametrize("name", PLANTED)
def test_planted_faults_are_found_exactly_and_mended(world: World, name: str) -> None:
    plant, expected = PLANTED[name]
    own = world.clean()
    before = world.truth()
    plant(world, own)
    assert found(world.audit()) == expected
    repaired = world.audit(repair=True)
    assert repaired.clean
    assert found(repaired).items() >= {check: count for check, count in expected.items() if not check.endswith("from_producers")}.items()
    assert found(world.audit()) == {}
    assert world.truth() == before


def wrong_minute(world: World, own: list[Record]) -> None:
    """A minute of `rollup_1m` counts too much, and so does the hour fed by it."""
    world.client.command("INSERT INTO rollup_1m SELECT * FROM rollup_1m ORDER BY minute LIMIT 1")


def lost_minute(world: World, own: list[Record]) -> None:
    """A view missed an insert into `calls`."""
    world.delete("rollup_1m", f"minute = toDateTime({FIRST}, 'UTC')")


def wrong_money(world: World, own: list[Record]) -> None:
    """One nano-dollar too much in `rollup_1h`."""
    world.client.command("INSERT INTO rollup_1h (hour, project, cost_nano_usd) SELECT max(hour), 'default', 1 FROM rollup_1h")


def lost_user(world: World, own: list[Record]) -> None:
    """A user's hour is gone from `rollup_user_1h`."""
    world.delete("rollup_user_1h", f"user_id = 'user1' AND hour = toDateTime({FIRST}, 'UTC')")


ROLLUPS: dict[str, tuple[Plant, set[str]]] = {
    "wrong_minute": (wrong_minute, {"rollup_1m"}),
    "lost_minute": (lost_minute, {"rollup_1m", "rollup_1h"}),
    "wrong_money": (wrong_money, {"rollup_1h"}),
    "lost_user": (lost_user, {"rollup_user_1h"}),
}


@pytest.mark.parametrize("name", ROLLUPS)
def test_wrong_rollups_are_found_and_rebuilt(world: World, name: str) -> None:
    plant, expected = ROLLUPS[name]
    own = world.clean()
    before = world.truth()
    plant(world, own)
    assert world.truth() != before
    assert set(found(world.audit())) == expected
    assert world.audit(repair=True).clean
    assert found(world.audit()) == {}
    assert world.truth() == before


def test_lost_events_of_a_producer_are_found(world: World) -> None:
    """Three events were acknowledged by Kafka, as the producer says, and nobody has them."""
    world.clean()
    beat = world.send([heartbeat("p", CLOSED - 50, emitted=101, delivered=101, closing=True)], topic=SIGNALS, producer="p", at=CLOSED - 50)
    world.store([beat])
    report = world.audit()
    assert found(report) == {"missing_from_producers": 3}
    assert "producer p: emitted 101" in report.findings[0].detail
    assert not report.clean


def test_gaps_are_told_apart(world: World) -> None:
    """A marker is no loss, a record is, and what Kafka has deleted is named as such."""
    records = [world.send([response(number, FIRST)]) for number in range(8)]
    log = world.records.logs[CALLS, 0]
    del log[3]  # a transaction marker stands here
    world.store([record for record in records if record.offset not in (3, 5)])
    report = world.audit()
    assert [(f.check, f.found, f.detail) for f in report.findings] == [("missing_records", 1, "llmtower.calls[0] offsets 5")]
    world.records.starts[CALLS, 0] = 6
    assert found(world.audit()) == {"expired_records": 2}
    assert not world.audit(repair=True).clean


def test_old_records_that_nobody_processed_are_named(world: World) -> None:
    first, *_ = (world.send([response(number, FIRST)]) for number in range(3))
    world.store([first])
    world.send([response(9, CLOSED + 60)], at=CLOSED + 60)  # in an hour that is not closed
    report = world.audit(repair=True)
    assert found(report) == {"unprocessed_records": 2}
    assert "llmtower.calls[0] offsets 1-2" in report.findings[0].detail


def test_an_earlier_incarnation_is_audited_without_kafka(world: World) -> None:
    """Its records cannot be read again: a loss is found and stays, a double is mended."""
    own = world.clean()
    missing_row(world, own)
    doubled_contents(world, own)
    world.records.incarnations[CALLS] = "cluster.anew"
    world.records.logs |= {(CALLS, 0): [], (CALLS, 1): []}
    assert found(world.audit())["missing_events"] == 1
    repaired = world.audit(repair=True)
    assert {f.check: f.open for f in repaired.findings} == {"missing_events": 1, "doubled_rows": 0, "rollup_1m": 0, "rollup_user_1h": 0}


def test_an_audit_goes_on_where_the_last_one_ended_and_looks_again_at_what_is_open(world: World) -> None:
    own = world.clean()
    missing_row(world, own)
    first = world.audit(start=None, end=None)
    assert first.goes_on
    assert (first.start, first.end, found(first)["missing_events"]) == (FIRST, CLOSED, 1)
    late = world.send([response(700, FIRST)], at=FIRST, producer="late")  # stored long after its hour was audited
    world.store([late])
    world.client.command(
        f"ALTER TABLE calls DELETE WHERE kafka_offset = {late.offset} AND kafka_partition = 0", settings={"mutations_sync": 2}
    )
    second = world.audit(start=None, end=None, now=NOW + HOUR, repair=True)
    assert (second.start, second.end, found(second)["missing_events"]) == (CLOSED, CLOSED + HOUR, 2)
    assert second.clean
    third = world.audit(start=None, end=None, now=NOW + 2 * HOUR)
    assert (third.start, third.records, third.findings) == (CLOSED + HOUR, 0, [])
    assert world.audit(start=None, end=None, now=NOW + 2 * HOUR).hours == ()


def test_what_retention_removes_is_not_missing(world: World) -> None:
    """Requests are kept for 30 days, calls longer: an old request that came late may be gone already."""
    old = FIRST - 40 * 86_400
    late = world.send([request(1, old), response(2, old)])
    world.store([late])
    world.client.command("OPTIMIZE TABLE requests FINAL")
    assert world.count("SELECT count() FROM requests") == 0
    assert found(world.audit(repair=True)) == {}


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
        auditor.run((NOW + writes) * 1_000, start=FIRST, end=CLOSED, repair=True)
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


def test_an_hour_with_a_range_under_way_is_not_rebuilt(world: World) -> None:
    """The range will be replayed into the views: a rebuild now would count it twice."""
    own = world.clean()
    log = world.records.logs[CALLS, 0]
    begun = world.send([response(800, FIRST)], at=NOW)
    for block in world.rows(begun, "calls"):
        world.insert(block)
    lost_minute(world, own)
    report = world.audit(repair=True)
    assert {(f.check, f.open > 0) for f in report.findings} >= {("rollup_1m", True)}
    assert all("run the audit again" in f.detail for f in report.findings)
    world.insert(world.ledger(log[begun.offset]))
    assert world.audit(repair=True).clean
    assert world.count("SELECT sum(calls) FROM rollup_1h") == world.count("SELECT count() FROM calls")


def test_a_server_that_does_not_answer_is_said_so(world: World) -> None:
    def refuse(*arguments: Any, **options: Any) -> Any:
        raise OperationalError("connection refused")

    client = DyingClient(world.client, 10)
    client.query = refuse
    with pytest.raises(Unreachable, match="ClickHouse"):
        Auditor(cast(Client, client), world.records, world.processors, RetentionSettings()).run(NOW * 1_000)


def test_an_envelope_dropped_as_a_duplicate_of_nothing_is_stored(world: World) -> None:
    own = world.clean()
    calls = world.count("SELECT count() FROM calls")
    orphan(world, own)
    assert found(world.audit()) == {"missing_events": 2}
    assert world.audit(repair=True).clean
    assert found(world.audit()) == {}
    assert world.count("SELECT count() FROM calls") == calls + 2
    assert world.count("SELECT count() FROM ledger WHERE producer = 'x' AND NOT duplicate") == 1
