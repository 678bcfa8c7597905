"""What waits on a route: newest words per incident, one message in a storm, nothing lost and nothing recorded twice."""

import random

import pytest
from tests.alerts.receiver import notification

from llmtower_processors.alerts.digest import URGENT_S, Line
from llmtower_processors.alerts.model import Notification
from llmtower_processors.alerts.rules import Route


def test_a_few_are_told_one_by_one_in_the_order_in_which_they_came() -> None:
    line = Line(Route(burst=3, digest=30))
    many = [notification(f"a{number}") for number in range(3)]
    for one in many:
        assert line.add(one) == []
    told = []
    while line.waiting:
        now, wait_s = line.next(0.0)
        assert wait_s == 0
        told += now
        line.done(now, 0.0)
    assert told == many


def test_a_storm_becomes_few_messages_and_none_of_them_waits_without_need() -> None:
    line = Line(Route(burst=3, digest=30))
    sizes, times = [], []
    for number in range(100):
        line.add(notification(f"a{number}", severity="warning"))
        if number == 0 or number % 20 == 19:
            told, wait_s = line.next(number / 10)
            sizes.append(len(told))
            times.append(wait_s)
            if told:
                line.done(told, number / 10)
    assert sizes == [1, 19, 20, 0, 0, 0]
    assert times[3:] == pytest.approx([24.1, 22.1, 20.1])
    assert len(line.next(30.0)[0]) == 60


def test_what_is_critical_waits_a_few_seconds_at_most() -> None:
    line = Line(Route(burst=1, digest=30))
    line.add(notification("first"))
    line.done(line.next(0.0)[0], 0.0)
    line.add(notification("mild", severity="warning"))
    assert line.next(1.0) == ([], 29.0)
    line.add(notification("grave"))
    assert line.next(1.0) == ([], URGENT_S - 1.0)
    assert len(line.next(URGENT_S)[0]) == 2


def test_newer_words_of_an_incident_replace_older_ones_whatever_the_order() -> None:
    line = Line(Route())
    first, second = notification(sequence=1), notification(sequence=2, state="resolved")
    assert line.add(first) == []
    assert line.add(second) == [first]
    assert line.add(first) == [first], "an old one that comes late is needless itself"
    assert line.next(0.0)[0] == [second]


def test_what_is_on_its_way_is_needless_only_when_the_receiver_refuses_it() -> None:
    line = Line(Route())
    first, second = notification(sequence=1), notification(sequence=2)
    line.add(first)
    told, _ = line.next(0.0)
    assert line.add(second) == []
    assert line.failed() == told == [first]
    told, _ = line.next(0.0)
    assert told == [second]
    line.done(told, 0.0)
    assert line.waiting == {}


def test_over_random_histories_every_notification_is_settled_exactly_once() -> None:
    rng = random.Random(5)
    for _ in range(200):
        line = Line(Route(burst=rng.randint(1, 4), digest=rng.choice((0, 1, 30))))
        settled: list[str] = []
        added: list[str] = []
        now = 0.0
        flight: list[Notification] = []
        for step in range(60):
            now += rng.random()
            if step < 40 and rng.random() < 0.6:
                one = notification(f"a{rng.randint(0, 5)}", sequence=step)
                added.append(one.transition.transition_id)
                settled += [needless.transition.transition_id for needless in line.add(one)]
            if flight:
                if rng.random() < 0.5:
                    settled += [needless.transition.transition_id for needless in line.failed()]
                else:
                    line.done(flight, now)
                    settled += [one.transition.transition_id for one in flight]
                flight = []
            elif line.waiting:
                flight, wait_s = line.next(now)
                assert flight or 0 < wait_s <= line.route.digest
        if flight:
            settled += [needless.transition.transition_id for needless in line.failed()]
        assert sorted([*settled, *(one.transition.transition_id for one in line.waiting.values())]) == sorted(added)
