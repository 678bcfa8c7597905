"""Outages that are too long for a seeded run: ClickHouse away for minutes, Kafka away until the SDK's spool is full."""

import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import llmtower
from tests.faults.children import wait_for
from tests.faults.load import journal
from tests.faults.oracle import expected, judge
from tests.faults.run import Stack

SILENT_S = 60.0
REFUSED_S = 62.0
RSS_MIB = 450.0
BACK_TO_BASE_MIB = 60.0


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "run", random.Random(11))
    yield stack
    stack.close()


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_clickhouse_away_for_minutes_delays_and_loses_nothing_in_bounded_memory(stack: Stack) -> None:
    """First it is silent (every request runs into its time-out), then it refuses connections; the producers go on all the time."""
    stack.start(workers=1, producers=1, rate=6_000)
    worker = stack.workers[0]
    stack.store_proxy.set("refuse")
    stack.store_proxy.cut()
    time.sleep(8)
    stack.store_proxy.set("pass")
    stack.rest()
    base = worker.rss_mib()  # of one that has worked off a backlog before, in ranges of full size
    stack.add_producers(1, rate=3_000, seconds=SILENT_S + REFUSED_S)
    stack.store_proxy.set("hold")
    highest = _outage(stack, SILENT_S)
    assert worker.page("/livez")[0] == 200
    assert not worker.ready()
    stack.store_proxy.set("refuse")
    stack.store_proxy.cut()
    highest = max(highest, _outage(stack, REFUSED_S))
    assert not worker.ready()
    assert worker.process.poll() is None
    stack.store_proxy.set("pass")
    back = time.monotonic()
    wait_for("the worker", worker.ready, 30)
    stack.rest()
    drained = time.monotonic() - back
    wait_for(f"its memory back from {highest:.0f} to {base:.0f} MiB", lambda: worker.rss_mib() < base + BACK_TO_BASE_MIB, 30)
    assert highest < RSS_MIB
    print(f"RSS {base:.0f} MiB before, at most {highest:.0f}, {worker.rss_mib():.0f} after; drained in {drained:.1f} s")
    verdict = judge(stack.client(), stack.journals)
    assert verdict.faults == ()
    assert verdict.stored == verdict.acknowledged


def _outage(stack: Stack, seconds: float) -> float:
    """Let a phase pass, give the worker's highest RSS (MiB); what producers had begun halfway is acknowledged at its end: they go on."""
    paths = list(stack.journals.values())
    before = expected(paths)
    highest = _highest_rss(stack.workers[0].rss_mib, seconds / 2)
    halfway = expected(paths)
    highest = max(highest, _highest_rss(stack.workers[0].rss_mib, seconds / 2))
    assert before < halfway <= _acknowledged(paths)
    return highest


def _acknowledged(paths: list[Path]) -> int:
    journals = [journal(path) for path in paths]
    return sum(sent.count for begun, acknowledged in journals for sent in begun if sent.seq in acknowledged)


def _highest_rss(rss_mib: Callable[[], float], seconds: float) -> float:
    end = time.monotonic() + seconds
    highest = 0.0
    while time.monotonic() < end:
        highest = max(highest, rss_mib())
        time.sleep(1)
    return highest


SPOOL_BYTES = 1 << 20
QUEUE_EVENTS = 2_000


@pytest.mark.faults
@pytest.mark.timeout(900)
def test_a_full_spool_drops_the_oldest_counts_them_exactly_and_everything_else_is_stored(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LLMTOWER_SDK__SPOOL_BYTES", str(SPOOL_BYTES))
    monkeypatch.setenv("LLMTOWER_SDK__QUEUE_EVENTS", str(QUEUE_EVENTS))
    stack.start(workers=1, producers=0, rate=0)
    llmtower.configure(app="shop", bootstrap_servers=stack.kafka.bootstrap_servers, spool_dir=tmp_path / "spool")
    try:
        _calls(50)
        assert llmtower.flush(20).complete
        stack.kafka.kill()
        while llmtower.stats().dropped < 500:
            _calls(50)
            time.sleep(0.005)
            _balanced()
        assert _size(tmp_path / "spool") <= SPOOL_BYTES
        stack.kafka.start()
        wait_for("the SDK", lambda: llmtower.flush(5).complete, 60)
        stats = llmtower.stats()
    finally:
        llmtower.close()
    assert stats.dropped_by_reason == {"queue_events": stats.dropped}
    assert (stats.spooled, stats.queued) == (0, 0)
    assert stats.emitted == stats.delivered + stats.dropped
    assert stats.dropped >= 500
    client = stack.client()
    count = "SELECT count(), uniqExact(producer_seq) FROM (SELECT producer_seq FROM calls UNION ALL SELECT producer_seq FROM requests)"
    wait_for("the worker", lambda: client.query(count).result_rows[0][0] >= stats.delivered, 60)
    time.sleep(2)
    assert client.query(count).result_rows == [(stats.delivered, stats.delivered)]
    assert judge(client, {}).faults == ()


def _calls(number: int) -> None:
    for _ in range(number):
        with llmtower.call(provider="openai", model="gpt-4o", input="x" * 300) as call:
            call.finish(output="y" * 300, usage={"prompt_tokens": 5, "completion_tokens": 1})


def _balanced() -> None:
    stats = llmtower.stats()
    assert stats.emitted == stats.delivered + stats.spooled + stats.dropped + stats.queued


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
