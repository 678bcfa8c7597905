"""What the runtime relies on in a store."""

from collections.abc import Sequence

import pytest

from llmtower_processors.runtime.edges import StoreUnfitError, TopicPartition
from llmtower_processors.runtime.envelopes import envelope, ledger_block
from llmtower_processors.runtime.model import Block, Record
from llmtower_processors.runtime.pending import Pending
from tests.contract.backends import StoreBackend

P = TopicPartition("t", 1)
DAY = 86_400


def events(offsets: Sequence[int], *, incarnation: str = "one", amount: int = 5, day: int = 20_000, spread: int = 0) -> Block:
    n = len(offsets)
    return Block(
        "events",
        {
            "incarnation": [incarnation] * n,
            "kafka_topic": [P.topic] * n,
            "kafka_partition": [P.partition] * n,
            "kafka_offset": list(offsets),
            "event_index": [0] * n,
            "amount": [amount] * n,
            "at": [(day + spread * i) * DAY for i in range(n)],
        },
    )


def ledger(records: Sequence[Record], processor: str = "calls", incarnation: str = "one") -> Block:
    pending = Pending(incarnation, records[0].offset, records[-1].offset, 0)
    return ledger_block(processor, pending, records, [envelope(r) for r in records], [False] * len(records))


def record(offset: int, producer: str, seq: int, partition: TopicPartition = P) -> Record:
    headers = (("producer", producer.encode()), ("seq", b"%d" % seq), ("count", b"10"), ("project", b"x"), ("app", "é".encode()))
    return Record(*partition, offset, 1_700_000_000_000, None, b"", headers)


def test_a_token_stores_its_rows_once_in_table_and_view(backend: StoreBackend) -> None:
    for _ in range(4):
        backend.store.insert(events([1, 2, 3]), "token")
    assert backend.rows("events", "kafka_offset") == [(1,), (2,), (3,)]
    assert backend.total() == (3, 15)


def test_rows_over_many_months_are_stored_once(backend: StoreBackend) -> None:
    for _ in range(3):
        backend.store.insert(events(range(14), spread=31), "token")
    assert len(backend.rows("events", "at")) == 14
    assert backend.total() == (14, 70)


def test_equal_rows_under_two_tokens_are_stored_twice(backend: StoreBackend) -> None:
    backend.store.insert(events([1]), "a")
    backend.store.insert(events([1]), "b")
    assert backend.rows("events", "kafka_offset") == [(1,), (1,)]
    assert backend.total() == (2, 10)


def test_a_token_wins_over_content(backend: StoreBackend) -> None:
    backend.store.insert(events([1], amount=5), "a")
    backend.store.insert(events([2], amount=6), "a")
    assert backend.rows("events", "kafka_offset") == [(1,)]
    assert backend.total() == (1, 5)


def test_one_token_serves_several_tables(backend: StoreBackend) -> None:
    backend.store.insert(events([1]), "a")
    backend.store.insert(ledger([record(1, "p", 0)]), "a")
    assert len(backend.rows("events", "kafka_offset")) == len(backend.rows("ledger", "offset")) == 1


def test_a_ledger_row_keeps_what_the_headers_said(backend: StoreBackend) -> None:
    backend.store.insert(ledger([record(7, "run", 30)]), "a")
    assert backend.rows("ledger", "processor", "incarnation", "topic", "partition", "offset", "producer", "first_seq", "count") == [
        ("calls", "one", "t", 1, 7, "run", 30, 10)
    ]
    assert backend.rows("ledger", "duplicate", "project", "app") == [(0, "x", "é")]


def test_the_floor_is_the_highest_offset_of_processor_incarnation_and_partition(backend: StoreBackend) -> None:
    other = TopicPartition("t", 2)
    backend.store.insert(ledger([record(3, "p", 0), record(9, "p", 10)]), "a")
    backend.store.insert(ledger([record(50, "p", 0)], processor="drift"), "b")
    backend.store.insert(ledger([record(70, "p", 0)], incarnation="two"), "c")
    assert backend.store.floors("calls", {P: "one", other: "one"}) == {P: 9, other: -1}
    assert backend.store.floors("calls", {P: "two"}) == {P: 70}
    assert backend.store.floors("calls", {P: "three"}) == {P: -1}


def test_the_highest_offset_is_that_of_any_table_above_what_is_known(backend: StoreBackend) -> None:
    backend.store.insert(events([5, 8]), "a")
    backend.store.insert(shared([(6, "calls"), (11, "drift")]), "b")
    tables = ("events", "shared")
    assert backend.store.highest("calls", tables, {P: ("one", -1)}) == {P: 8}
    assert backend.store.highest("drift", tables, {P: ("one", 4)}) == {P: 11}
    assert backend.store.highest("calls", tables, {P: ("one", 8)}) == {P: -1}
    assert backend.store.highest("calls", tables, {P: ("two", -1), TopicPartition("u", 1): ("one", -1)}) == {
        P: -1,
        TopicPartition("u", 1): -1,
    }


def shared(rows: Sequence[tuple[int, str]]) -> Block:
    n = len(rows)
    return Block(
        "shared",
        {
            "incarnation": ["one"] * n,
            "topic": [P.topic] * n,
            "partition": [P.partition] * n,
            "offset": [offset for offset, _ in rows],
            "event_index": [3] * n,
            "processor": [processor for _, processor in rows],
        },
    )


def test_known_envelopes_are_those_before_the_range_and_those_of_an_earlier_topic(backend: StoreBackend) -> None:
    backend.store.insert(ledger([record(1, "p", 0), record(2, "q'\\\"", 5), record(8, "p", 40)]), "a")
    backend.store.insert(ledger([record(99, "p", 70)], incarnation="zero"), "b")
    backend.store.insert(ledger([record(1, "p", 80)], processor="drift"), "c")
    backend.store.insert(ledger([record(1, "p", 90, TopicPartition("t", 2))]), "d")
    asked = {("p", 0), ("q'\\\"", 5), ("q'\\\"", 0), ("p", 40), ("p", 70), ("p", 80), ("p", 90), ("r", 0)}
    assert backend.store.known("calls", "one", P, 8, asked) == {("p", 0), ("q'\\\"", 5), ("p", 70)}
    assert backend.store.known("calls", "one", P, 9, asked) == {("p", 0), ("q'\\\"", 5), ("p", 70), ("p", 40)}


def test_thousands_of_envelopes_are_looked_up_at_once(backend: StoreBackend) -> None:
    backend.store.insert(ledger([record(n, f"p{n % 3}", n) for n in range(0, 5_000, 2)]), "a")
    asked = {(f"p{n % 3}", n) for n in range(5_000)}
    assert backend.store.known("calls", "one", P, 5_000, asked) == {(f"p{n % 3}", n) for n in range(0, 5_000, 2)}
    scattered = [*asked, *((f"p{n % 3}", n * 1_000_003) for n in range(5, 5_000))]  # as a gateway's records are
    assert backend.store.known("calls", "one", P, 5_000, scattered) == {(f"p{n % 3}", n) for n in range(0, 5_000, 2)}
    assert backend.store.known("calls", "one", P, 5_000, ()) == set()


def test_present_rows_are_told_by_the_columns_asked_for(backend: StoreBackend) -> None:
    backend.store.insert(events([1, 2, 7]), "a")
    backend.store.insert(shared([(1, "calls"), (2, "drift")]), "b")
    backend.store.insert(ledger([record(2, "p", 0)]), "c")
    columns = ("kafka_offset", "event_index")
    assert backend.store.present("events", columns, "one", P, (2, 9)) == {(2, 0), (7, 0)}
    assert backend.store.present("events", columns, "two", P, (2, 9)) == set()
    assert backend.store.present("events", columns, "one", TopicPartition("t", 2), (2, 9)) == set()
    shared_columns = ("offset", "event_index", "processor")
    assert backend.store.present("shared", shared_columns, "one", P, (0, 9)) == {(1, 3, "calls"), (2, 3, "drift")}
    assert backend.store.present("ledger", ("offset", "processor"), "one", P, (0, 9)) == {(2, "calls")}


def test_tables_that_remember_enough_are_fit(backend: StoreBackend) -> None:
    backend.store.check(("events", "shared", "ledger"))


@pytest.mark.parametrize("small", ["events", "totals", "ledger"])
def test_a_small_window_is_refused_also_behind_a_view(backend: StoreBackend, small: str) -> None:
    backend.shrink_window(small)
    with pytest.raises(StoreUnfitError, match=rf"{small}: non_replicated_deduplication_window is 10"):
        backend.store.check(("events", "ledger"))


def test_a_missing_table_is_refused(backend: StoreBackend) -> None:
    with pytest.raises(StoreUnfitError, match="nowhere"):
        backend.store.check(("events", "nowhere"))
