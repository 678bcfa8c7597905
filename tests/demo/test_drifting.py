"""What the closing summary says of drift."""

from llmtower_processors.demo.drifting import APP, Moved, Unjudged, drift_lines, drift_summary

FAR = Moved(APP, "gpt-4.1-mini", "drift", 4.21, 1.97, 60, 300, "other versions")
NEAR = Moved(APP, "gpt-4.1", "ok", -0.1, 3.1, 10, 120, "trailing")


def test_the_farthest_stands_first_with_its_threshold_and_its_reference() -> None:
    first, second = (line.plain for line in drift_lines([NEAR, FAR]))
    assert first.startswith("● Drift: what search-assistant asks gpt-4.1-mini is 4.21 times its noise away")
    assert "alarm from 1.97; 300 texts of 60 min, held against its other versions" in first
    assert second.startswith("○")
    assert "0 times its noise away" in second
    assert "held against trailing days" in second


def test_the_summary_has_every_figure() -> None:
    assert drift_summary([FAR])[0]["statistic"] == 4.21
    assert drift_lines([]) == []


def test_what_cannot_be_judged_says_why() -> None:
    (line,) = drift_lines(Unjudged(57_236, ["not learnt yet", "too few texts"]))
    assert line.plain.endswith("cannot be judged yet (not learnt yet, too few texts; scoring is 57,236 events behind)")
    assert drift_summary(Unjudged(0, [])) == []
