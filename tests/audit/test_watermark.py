"""How far each project is complete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.watermark import Backlog, Heartbeat, Watermark, watermarks
from llmtower_schemas.topics import CALLS, SIGNALS

NOW = 1_000_000_000


def beat(age_s: float, *, unsent_s: float | None = None, closing: bool = False, project: str = "p") -> Heartbeat:
    """Make a heartbeat of some age that holds an event of some age."""
    return Heartbeat(project, NOW - int(age_s * 1_000), None if unsent_s is None else NOW - int(unsent_s * 1_000), closing)


def ago(mark: Watermark) -> float:
    """Give how many seconds a watermark is behind."""
    return (NOW - mark.watermark_ms) / 1_000


@pytest.mark.parametrize(
    ("heartbeats", "backlogs", "seconds", "live", "silent"),
    [
        ([beat(3)], [], 3, 1, 0),
        ([beat(3, unsent_s=12)], [], 12, 1, 0),
        ([beat(3), beat(4, unsent_s=20)], [], 20, 2, 0),
        ([beat(3), beat(31, unsent_s=500)], [], 3, 1, 1),  # silent: leaves
        ([beat(3), beat(30, unsent_s=500)], [], 500, 2, 0),  # not yet
        ([beat(3), beat(4, unsent_s=500, closing=True)], [], 3, 1, 0),  # closed: leaves at once
        ([beat(90)], [], 0, 0, 1),
        ([beat(3)], [Backlog(CALLS, 7, NOW - 60_000)], 60, 1, 0),
        ([beat(3)], [Backlog(CALLS, 0, None)], 3, 1, 0),
        ([beat(-5)], [], 0, 1, 0),  # a clock ahead of ours
        ([beat(40)], [Backlog(SIGNALS, 3, NOW - 45_000)], 45, 1, 0),  # its heartbeats wait in Kafka: not silent
    ],
)
def test_watermark(heartbeats: list[Heartbeat], backlogs: list[Backlog], seconds: float, live: int, silent: int) -> None:
    (mark,) = watermarks(heartbeats, backlogs, NOW)
    assert (ago(mark), mark.live_producers, mark.silent_producers) == (seconds, live, silent)


def test_it_is_known_whose_the_silent_producers_are() -> None:
    apps = (("b", "prod"), ("a", "experiment"))
    gone = [Heartbeat("p", NOW - 40_000, None, closing=False, app=app, environment=stage) for app, stage in apps]
    (mark,) = watermarks([*gone, Heartbeat("p", NOW, None, closing=False, app="c"), gone[0]], [], NOW)
    assert mark.silent_of == (("a", "experiment"), ("b", "prod"), ("b", "prod"))
    assert mark.silent_producers == 3


def test_projects_stand_apart_and_share_the_backlog() -> None:
    marks = watermarks([beat(3, project="b"), beat(9, project="a")], [Backlog(CALLS, 5, NOW - 2_000), Backlog(SIGNALS, 1, NOW)], NOW)
    assert [(mark.project, ago(mark), mark.lag_records) for mark in marks] == [("a", 9, 6), ("b", 3, 6)]


BEATS = st.builds(beat, st.integers(-60, 120), unsent_s=st.none() | st.integers(0, 900), closing=st.booleans())


@given(st.lists(BEATS, min_size=1), st.lists(st.builds(Backlog, st.just(CALLS), st.integers(0, 9), st.integers(0, NOW))))
def test_the_watermark_never_passes_what_is_held_and_more_knowledge_only_lowers_it(beats: list[Heartbeat], backlogs: list[Backlog]) -> None:
    (mark,) = watermarks(beats, backlogs, NOW)
    assert mark.watermark_ms <= NOW
    assert all(mark.watermark_ms <= (backlog.oldest_ms or 0) for backlog in backlogs if backlog.records)
    assert mark.live_producers + mark.silent_producers == sum(not heartbeat.closing for heartbeat in beats)
    (without,) = watermarks(beats, [], NOW)
    assert mark.watermark_ms <= without.watermark_ms
