"""The audit finds exactly what was planted, and nothing on clean data; repair mends it, and a second audit is clean."""

import pytest
from tests.integration.audit.plants import PLANTED, ROLLUPS, doubled_contents, lost_minute, missing_contents, missing_row, orphan
from tests.integration.audit.world import CLOSED, FIRST, HOUR, NOW, World, found, heartbeat, request, response

from llmtower_processors.audit.model import CHECKS
from llmtower_processors.runtime.model import Record
from llmtower_schemas.topics import CALLS, SIGNALS

pytestmark = pytest.mark.integration


def test_clean_data_has_no_findings(world: World) -> None:
    world.clean()
    report = world.audit()
    assert report.findings == []
    assert report.clean
    assert report.records == 27
    assert world.count("SELECT count() FROM audits WHERE found != 0") == 0
    assert world.count("SELECT uniqExact(check) FROM audits") == len(CHECKS)


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
    assert {f.check: f.open for f in repaired.findings} == {
        "missing_events": 1,
        "doubled_rows": 0,
        "rollup_1m": 0,
        "rollup_user_1h": 0,
        "rollup_models_1h": 0,
    }


def test_rows_are_never_judged_by_another_record(world: World) -> None:
    """A Kafka that lost its data has other records at the same offsets: nothing is deleted, nothing is taken from them."""
    own = world.clean()
    missing_row(world, own)
    rows = world.count("SELECT count() FROM calls")
    stranger = world.send([response(999, FIRST)], producer="stranger", partition=3)
    log = world.records.logs[CALLS, 0]
    log[own[3].offset] = Record(CALLS, 0, own[3].offset, FIRST * 1_000, None, stranger.value, stranger.headers)
    del world.records.logs[CALLS, 3]
    repaired = world.audit(repair=True)
    rollups = dict.fromkeys(("rollup_1m", "rollup_user_1h", "rollup_models_1h"), 0)
    assert {finding.check: finding.open for finding in repaired.findings} == {"missing_events": 1, **rollups}
    assert world.count("SELECT count() FROM calls") == rows


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
    world.client.command("ALTER TABLE requests DELETE WHERE true", settings={"mutations_sync": 2})  # as retention does
    assert world.count("SELECT count() FROM requests") == 0
    assert found(world.audit(repair=True)) == {}


def test_texts_that_only_the_ledger_knows_of_are_missed_until_retention_removes_them(world: World) -> None:
    own = world.clean()
    missing_contents(world, own)
    world.records.starts[CALLS, 0] = own[1].offset + 1  # Kafka has deleted the record
    assert {f.check: f.open for f in world.audit(repair=True).findings} == {"missing_events": 1}
    days_later = world.auditor(contents_days=2).run((NOW + 2 * 86_400) * 1_000, start=FIRST, end=CLOSED)
    assert days_later.findings == []


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


def test_an_envelope_dropped_as_a_duplicate_of_nothing_is_stored(world: World) -> None:
    own = world.clean()
    calls = world.count("SELECT count() FROM calls")
    orphan(world, own)
    assert found(world.audit()) == {"missing_events": 2}
    assert world.audit(repair=True).clean
    assert found(world.audit()) == {}
    assert world.count("SELECT count() FROM calls") == calls + 2
    assert world.count("SELECT count() FROM ledger WHERE producer = 'x' AND NOT duplicate") == 1


def test_many_lost_records_of_many_producers_in_weeks_of_hours_are_found_and_mended(world: World) -> None:
    began = FIRST - 20 * 86_400
    times = [began + number % 2 * HOUR for number in range(130)]
    sent = [world.send([response(number, at)], at=at, producer=f"{number:032x}") for number, at in enumerate(times)]
    world.store(sent)
    world.delete("calls", "1")
    assert found(world.audit(start=began))["missing_events"] == 130
    assert world.audit(start=began, repair=True).clean
    assert world.audit(start=began).findings == []
    assert world.count("SELECT count() FROM calls") == 130
