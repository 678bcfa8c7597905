"""The queue's bounds and counters, also when many threads meet."""

import threading
from typing import Any

from llmtower.outbox import Item, Outbox, Tally


def item(number: int, size: int = 1) -> Item:
    return (str, number, size, number)


def made(**limits: Any) -> Outbox:
    outbox = Outbox(**{"max_events": 10, "max_bytes": 1 << 20, "wake": lambda: None, **limits})
    outbox.wake_at = outbox.max_events // 2
    return outbox


def test_the_oldest_is_dropped_and_counted() -> None:
    outbox = made()
    for number in range(25):
        outbox.put(item(number))

    assert [entry[1] for entry in outbox.items] == list(range(15, 25))
    assert outbox.emitted.value() == 25
    assert outbox.dropped["queue_events"].value() == 15


def test_bytes_are_bounded_too() -> None:
    outbox = made(max_bytes=100)
    for number in range(10):
        outbox.put(item(number, 30))

    assert [entry[1] for entry in outbox.items] == [7, 8, 9]
    assert outbox.dropped["queue_bytes"].value() == 7
    assert outbox.waiting_bytes() == 90


def test_one_event_larger_than_the_queue_is_kept() -> None:
    outbox = made(max_bytes=100)
    outbox.put(item(1))
    outbox.put(item(2, 1_000))

    assert [entry[1] for entry in outbox.items] == [2]


def test_the_courier_is_woken_for_the_first_event_and_when_half_full() -> None:
    woken: list[int] = []
    outbox = Outbox(max_events=10, max_bytes=1 << 20, wake=lambda: woken.append(len(outbox.items)))
    for number in range(8):
        outbox.put(item(number))

    assert woken == [1, 6, 7, 8]


def test_after_the_end_everything_is_dropped_and_counted() -> None:
    outbox = made()
    outbox.closed, outbox.wake_at = True, 0
    outbox.put(item(1))

    assert not outbox.items
    assert outbox.dropped["closed"].value() == 1


def test_a_tally_is_exact_among_threads() -> None:
    tally = Tally()

    def work() -> None:
        for number in range(2_000):
            tally.add()
            if number % 100 == 0:
                tally.value()

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tally.value() == tally.value() == 16_000


def test_nothing_is_lost_between_threads() -> None:
    outbox = made(max_events=100)
    taken = 0

    def work() -> None:
        for number in range(5_000):
            outbox.put(item(number))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or outbox.items:
        taken += outbox.take() is not None

    assert taken + outbox.lost() == outbox.emitted.value() == 20_000
    assert outbox.take() is None  # bytes are counted without a lock, so "about": an empty queue sets them right
    assert outbox.waiting_bytes() == 0
