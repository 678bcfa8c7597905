"""Delivery over a broker in memory that goes away, keeps silent and loses answers; the books balance at every moment."""

import asyncio
import logging
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from llmtower import courier as courier_module
from llmtower.books import Stats
from llmtower.contents import Policy
from llmtower.lines import CALLS, OLD_NS, Line, recorded
from llmtower.outbox import Item, Tally
from llmtower.run import Options, Run
from llmtower.spool import Spool
from llmtower.transport import Envelope, MemoryTransport

HEAD = {"project": "p", "app": "a", "environment": "e", "release": ""}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(courier_module, "STALL_S", 0.2)
    monkeypatch.setattr(courier_module, "GRACE_S", 0.2)
    monkeypatch.setattr(courier_module, "_BACKOFF_S", (0.02,))


@pytest.fixture
def broker() -> MemoryTransport:
    return MemoryTransport()


def options(broker: MemoryTransport, folder: Path | None, **changes: object) -> Options:
    given = {"linger_s": 0.01, "close_s": 1.0, "spool_dir": folder, "queue_events": 5_000, **changes}
    return Options(policy=Policy(HEAD), open_transport=lambda: broker, hook_failures=Tally(), **given)  # type: ignore[arg-type]


@pytest.fixture
def run(broker: MemoryTransport, tmp_path: Path) -> Iterator[Run]:
    made = Run(options(broker, tmp_path / "spool"))
    made.start()
    yield made
    made.close()


def plain(item: Item, policy: Policy) -> Line:
    return Line(CALLS, "p", "a", b'{"n":%d}' % item[1])


def emit(run: Run, count: int, first: int = 0) -> None:
    for number in range(first, first + count):
        run.outbox.put((plain, number, 100, time.time_ns()))


def numbers(broker: MemoryTransport) -> list[int]:
    """Give the events at the broker after the reader's own deduplication by (producer, seq), with its placement checked."""
    places: dict[tuple[str, int], Envelope] = {}
    for envelope in broker.records:
        if envelope.counted:
            known = places.setdefault((envelope.producer, envelope.seq), envelope)
            assert (known.partition, known.value, known.headers) == (envelope.partition, envelope.value, envelope.headers)
    return [int(line[5:-1]) for envelope in places.values() for line in envelope.value.split(b"\n")]


def balanced(stats: Stats) -> bool:
    return stats.emitted == stats.delivered + stats.spooled + stats.dropped + stats.queued and min(stats.queued, stats.spooled) >= 0


def until(condition: object, seconds: float = 20.0) -> None:
    assert callable(condition)
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.01)


def test_everything_arrives_once(run: Run, broker: MemoryTransport) -> None:
    emit(run, 3_000)

    report = run.flush(5)
    assert report.complete
    assert report.delivered <= run.stats().delivered == 3_000
    assert sorted(numbers(broker)) == list(range(3_000))
    assert run.stats().delivered_bytes == sum(len(e.value) for e in broker.records)


class _Slow(MemoryTransport):
    """Connects late, and answers only when told."""

    def __init__(self) -> None:
        super().__init__()
        self.answer = threading.Event()

    async def start(self) -> None:
        await asyncio.sleep(0.1)

    async def send(self, envelope: Envelope) -> None:
        await asyncio.to_thread(self.answer.wait)
        await super().send(envelope)


def test_flush_waits_for_the_answer_of_what_was_packed_before_kafka_was_connected(tmp_path: Path) -> None:
    broker = _Slow()
    run = Run(options(broker, tmp_path / "spool"))
    emit(run, 50)
    try:
        before = run.flush(0.15)
        assert (before.complete, before.delivered, before.queued) == (False, 0, 50)
        broker.answer.set()
        after = run.flush(5)
        assert (after.complete, after.queued, run.stats().delivered) == (True, 0, 50)
    finally:
        broker.answer.set()
        run.close()


def test_events_travel_together_for_the_linger_time(broker: MemoryTransport, tmp_path: Path) -> None:
    run = Run(options(broker, tmp_path / "spool", linger_s=0.2))
    run.start()
    until(lambda: run.stats().connected)
    started = time.monotonic()
    for number in range(100):
        emit(run, 3, number * 3)
        time.sleep(0.005)
    until(lambda: run.stats().delivered == 300)
    seconds = time.monotonic() - started
    run.close()

    assert 2 <= sum(envelope.counted for envelope in broker.records) <= seconds / 0.2 + 2


def test_a_whole_envelope_does_not_wait(broker: MemoryTransport, tmp_path: Path) -> None:
    run = Run(options(broker, tmp_path / "spool", linger_s=30.0))
    run.start()
    until(lambda: run.stats().connected)
    run.flush(20)
    emit(run, 3_000)
    until(lambda: run.stats().delivered >= 2_500)
    run.close()

    assert sorted(numbers(broker)) == list(range(3_000))


def test_envelopes_are_spread_over_partitions(run: Run, broker: MemoryTransport) -> None:
    for _ in range(60):
        emit(run, 1)
        run.flush(20)

    assert {envelope.partition for envelope in broker.records} == {0, 1, 2, 3}


def record(run: Run, count: int, *, ago_ns: int) -> None:
    now = time.time_ns()
    for number in range(count):
        raw = b'{"type":"step","project":"p","app":"a","started_at_ns":%d,"n":%d}' % (now - ago_ns, number)
        run.outbox.put((recorded, (CALLS, raw), 100, now))


def test_a_history_that_is_sent_in_keeps_to_the_last_partition_and_what_happens_now_to_all(run: Run, broker: MemoryTransport) -> None:
    for ago_ns in (OLD_NS - 10**9, OLD_NS + 10**9, 7 * 86_400 * 10**9):
        for _ in range(20):
            record(run, 3, ago_ns=ago_ns)
            assert run.flush(5.0)
    sent: dict[bool, set[int]] = {True: set(), False: set()}
    for one in broker.records:
        for line in one.value.split(b"\n") if one.counted else ():
            began = orjson.loads(line)["started_at_ns"]
            sent[one.at_ns - began > OLD_NS].add(one.partition)
    assert sent[True] == {3}
    assert len(sent[False]) > 1


def test_a_history_keeps_its_place_on_the_disk(run: Run, broker: MemoryTransport) -> None:
    broker.down = True
    record(run, 1_200, ago_ns=2 * OLD_NS)
    until(lambda: run.stats().spooled == 1_200)
    broker.down = False
    until(lambda: run.stats().delivered == 1_200)
    assert {one.partition for one in broker.records if one.counted} == {3}


def test_while_the_broker_is_down_events_are_on_the_disk(run: Run, broker: MemoryTransport) -> None:
    emit(run, 10)
    run.flush(20)
    broker.down = True
    emit(run, 1_000, 10)

    report = run.flush(3)
    assert not report.complete
    assert (run.stats().spooled, run.stats().queued) == (1_000, 0)

    broker.down = False
    until(lambda: run.stats().delivered == 1_010)
    assert sorted(numbers(broker)) == list(range(1_010))
    assert run.stats().spooled == 0
    assert run.flush(1).complete


def test_a_silent_broker_is_insured_against(run: Run, broker: MemoryTransport) -> None:
    emit(run, 10)
    run.flush(20)
    broker.silent = True
    emit(run, 100, 10)
    until(lambda: run.stats().spooled == 100)
    assert balanced(run.stats())

    run.close()  # comes back although nobody answers
    assert run.stats().spooled == 100
    assert run.stats().queued == 0


def test_lost_answers_are_sent_again_as_they_were(run: Run, broker: MemoryTransport) -> None:
    broker.lose_answers = True
    emit(run, 100)
    until(lambda: run.stats().spooled == 100)
    broker.lose_answers = False
    until(lambda: run.stats().delivered == 100)

    assert len(broker.records) > len({(e.producer, e.seq) for e in broker.records})
    assert sorted(numbers(broker)) == list(range(100))


def test_the_next_run_delivers_what_the_last_one_left(broker: MemoryTransport, tmp_path: Path) -> None:
    broker.down = True
    first = Run(options(broker, tmp_path / "spool"))
    emit(first, 500)
    first.close()
    assert first.stats().spooled == 500
    assert balanced(first.stats())

    broker.down = False
    second = Run(options(broker, tmp_path / "spool"))
    second.start()
    until(lambda: second.stats().replayed == 500)
    emit(second, 5, 500)
    assert second.flush(2).complete
    second.close()
    assert sorted(numbers(broker)) == list(range(505))
    assert (second.stats().emitted, second.stats().delivered) == (5, 5)
    assert list((tmp_path / "spool").iterdir()) == []


def test_a_full_spool_drops_the_oldest_in_memory(broker: MemoryTransport, tmp_path: Path) -> None:
    broker.down = True
    run = Run(options(broker, tmp_path / "spool", spool_bytes=4_096, queue_events=200))
    emit(run, 20)
    until(lambda: run.stats().spooled > 0)
    for _ in range(40):
        emit(run, 50)
        time.sleep(0.01)
        assert balanced(run.stats())
    stats = run.stats()
    assert stats.dropped_by_reason["queue_events"] > 0
    assert sum(path.stat().st_size for path in (tmp_path / "spool").iterdir()) <= 4_096

    run.close()
    last = run.stats()
    assert last.queued == 0
    assert last.emitted == 2_020 == last.delivered + last.spooled + last.dropped
    assert last.dropped_by_reason["undeliverable"] > 0


def test_without_a_spool_nothing_is_hidden(broker: MemoryTransport) -> None:
    broker.down = True
    run = Run(options(broker, None))
    emit(run, 100)
    run.close()

    assert run.stats().dropped_by_reason == {"undeliverable": 100}


def test_waiting_for_a_broker_costs_no_processor_time(broker: MemoryTransport, monkeypatch: pytest.MonkeyPatch) -> None:
    broker.down = True
    run = Run(options(broker, None, linger_s=0.2))
    pumps: list[float] = []
    pump = run.courier.pump

    async def counted() -> None:
        pumps.append(time.monotonic())
        await pump()

    monkeypatch.setattr(run.courier, "pump", counted)
    emit(run, 10)
    time.sleep(1.0)
    assert len(pumps) <= 8
    run.close()


def test_what_was_sent_and_not_acknowledged_is_named_so(broker: MemoryTransport) -> None:
    run = Run(options(broker, None))
    run.start()
    until(lambda: run.stats().connected)
    broker.silent = True
    emit(run, 10)
    time.sleep(0.05)
    run.close()

    assert run.stats().dropped_by_reason == {"unacknowledged": 10}


def test_an_envelope_refused_for_good_is_dropped_and_the_rest_delivered(
    run: Run, broker: MemoryTransport, caplog: pytest.LogCaptureFixture
) -> None:
    def huge(item: Item, policy: Policy) -> Line:
        return Line(CALLS, "p", "a", b"x" * 2_000_000)

    emit(run, 1)
    run.outbox.put((huge, 1, 100, 1))
    emit(run, 1, 2)
    run.flush(20)

    assert run.stats().dropped_by_reason == {"rejected": 1}
    assert sorted(numbers(broker)) == [0, 2]
    assert "refused an envelope for good" in caplog.text


def test_events_after_the_end_are_counted(run: Run) -> None:
    run.close()
    emit(run, 3)

    assert run.stats().dropped_by_reason == {"closed": 3}
    assert balanced(run.stats())


def test_the_books_balance_while_everything_happens(run: Run, broker: MemoryTransport) -> None:
    stop = threading.Event()

    def work(first: int) -> None:
        number = first
        while not stop.is_set():
            emit(run, 5, number)
            number += 5
            time.sleep(0.001)

    threads = [threading.Thread(target=work, args=(base * 1_000_000,)) for base in range(3)]
    for thread in threads:
        thread.start()
    for turn in range(12):
        broker.down, broker.silent, broker.lose_answers = turn % 4 == 1, turn % 4 == 2, turn % 4 == 3
        for _ in range(10):
            assert balanced(run.stats())
            time.sleep(0.01)
    stop.set()
    for thread in threads:
        thread.join()
    broker.down = broker.silent = broker.lose_answers = False
    until(lambda: run.flush(1).complete, 20)
    stats = run.stats()
    assert (stats.queued, stats.spooled, stats.dropped) == (0, 0, 0)
    assert len(numbers(broker)) == len(set(numbers(broker))) == stats.emitted


def test_heartbeats_tell_the_books(broker: MemoryTransport, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmtower import run as run_module
    from llmtower_schemas.codec import decode
    from llmtower_schemas.events import HeartbeatEvent

    monkeypatch.setattr(run_module, "HEARTBEAT_S", 0.05)
    run = Run(options(broker, tmp_path))
    run.start()
    emit(run, 10)
    run.flush(20)
    until(lambda: sum(not e.counted for e in broker.records) >= 2)
    run.close()

    beats = [event for e in broker.records if not e.counted for event in decode(e.value) if isinstance(event, HeartbeatEvent)]
    assert (beats[-1].closing, beats[-1].emitted, beats[-1].delivered, beats[-1].producer) == (True, 10, 10, run.id)
    assert [int(dict(e.headers)["seq"]) for e in broker.records if not e.counted] == list(range(len(beats)))
    assert run.stats().emitted == 10


def test_a_fault_of_ours_is_counted_and_delivery_goes_on(
    run: Run, broker: MemoryTransport, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(item: Item, policy: Policy) -> Line:
        raise KeyError("secret prompt")

    monkeypatch.delenv("PYTEST_VERSION")
    caplog.set_level(logging.WARNING)
    run.outbox.put((broken, 0, 100, 1))
    emit(run, 1, 1)
    run.flush(20)

    assert run.stats().dropped_by_reason == {"internal_error": 1}
    assert numbers(broker) == [1]


def test_only_one_of_two_runs_replays_a_segment(broker: MemoryTransport, tmp_path: Path) -> None:
    spool = Spool(tmp_path, run="old", max_bytes=1 << 20)
    for number in range(50):
        spool.append(Envelope(CALLS, 1, (("producer", b"old"),), b'{"n":%d}' % number, "old", number, 1, 1))
    spool.close()

    runs = [Run(options(broker, tmp_path)) for _ in range(3)]
    for run in runs:
        run.start()
    until(lambda: sum(run.stats().replayed for run in runs) == 50)
    for run in runs:
        run.close()
    assert len([e for e in broker.records if e.counted]) == 50
