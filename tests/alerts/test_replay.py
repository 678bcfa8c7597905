"""Playing over the past writes what the evaluator would have written; and what is made of it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.alerts.rules import HOUR, MINUTE, rule

from llmtower_processors.alerts.conditions import Reading
from llmtower_processors.alerts.history import Grid, against_days
from llmtower_processors.alerts.incidents import Incidents
from llmtower_processors.alerts.load import parse_rules
from llmtower_processors.alerts.measure import Measured
from llmtower_processors.alerts.questions import DAY_US, Group, Moment
from llmtower_processors.alerts.replay import Episode, Track, replay, transitions
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.scores import Label, LabelsError, read_labels, score, suggest
from llmtower_processors.alerts.silences import Silences

START = 1_795_000_020_000_000 // MINUTE * MINUTE
GROUP = {"app": "chat"}
FIGURES = st.lists(
    st.tuples(st.sampled_from((0.0, 0.04, 0.07, 0.2, 0.45, 0.9, None)), st.sampled_from((0, 5, 50))), min_size=1, max_size=60
)
PATIENCE = ("for: 0s, recover_for: 0s", "for: 3m, recover_for: 2m", "for: 1m, recover_for: 10m", "for: 0s, recover_for: 1m")


def track(values: list[float | None], samples: list[int] | None = None, *, step_us: int = MINUTE, app: str = "chat") -> Track:
    figures = np.array([np.nan if value is None else value for value in values])
    return Track({"app": app}, START, step_us, figures, np.array(samples or [100] * len(values), dtype=float))


@settings(max_examples=200, deadline=None)
@given(FIGURES, st.sampled_from(PATIENCE), st.sampled_from(("ok", "keep")), st.sampled_from((0, 20)))
def test_it_writes_what_the_evaluator_would_have_written(
    figures: list[tuple[float | None, int]], waits: str, no_data: str, least: int
) -> None:
    of = rule(f"{waits}, no_data: {no_data}, min_sample: {least}, window: 5m")
    played = track([value for value, _ in figures], [sample for _, sample in figures])
    incidents = Incidents({of.name: of})
    judged = []
    for number, (value, sample) in enumerate(figures):
        present: dict[Group, Reading] = {} if value is None else {("chat",): Reading(value, float(sample))}
        judged += incidents.judge(Measured(Moment(START + number * MINUTE), {of.name: present}), Silences())
    seen = [(one.to_state, one.severity, one.cause, one.at_us, one.since_us, one.dedup_key) for one in judged]
    assert seen == [(one.to_state, one.severity, one.cause, one.at_us, one.since_us, one.dedup_key) for one in transitions(of, played)]


def test_an_episode_has_its_length_its_gravest_level_and_its_worst_figure() -> None:
    of = rule("for: 2m, recover_for: 1m")
    (found,) = replay(of, track([0, 0.2, 0.2, 0.3, 0.9, 0.9, 0.9, 0.7, 0.0, 0.0, 0.0]))
    assert found == Episode(GROUP, START + MINUTE, START + 3 * MINUTE, START + 9 * MINUTE, "critical", 0.9)
    (open_end,) = replay(of, track([0.2] * 9))
    assert open_end.ended_us is None


def test_a_coarse_grid_counts_the_minutes_in_between() -> None:
    (found,) = replay(rule("for: 5m"), track([0, 0.2, 0.2, 0, 0], step_us=6 * MINUTE))
    assert found.fired_us - found.since_us == 5 * MINUTE


def test_silence_of_what_should_speak_is_an_episode() -> None:
    of = rule("no_data: alert, for: 0s, recover_for: 0s")
    assert [one.fired_us for one in replay(of, track([0.0, None, None, 0.0]))] == [START + MINUTE]
    assert replay(of, track([None] * 5)) == [], "what never spoke is not missed"


def test_a_month_of_quiet_figures_is_passed_over() -> None:
    values = np.zeros(43_200)
    values[20_000:20_010] = 0.9
    assert len(replay(rule(), Track(GROUP, START, MINUTE, values, np.full(43_200, 100.0)))) == 1


def test_what_is_usual_is_the_median_of_the_same_time_on_days_with_enough() -> None:
    step, day = HOUR, 24
    values, samples = np.full(8 * day, 10.0), np.full(8 * day, 100.0)
    values[day : 2 * day] = 1_000.0  # one odd day does not matter
    values[7 * day :] = 30.0
    samples[5 * day] = 1.0  # too few to count
    of = rule("baseline: {days: 7, min_days: 3}, min_sample: 20", levels="{warning: {above: 2}}")
    found = against_days(Track(GROUP, START, step, values, samples), 7 * DAY_US, of)
    assert found.start_us == START + 7 * DAY_US
    assert found.values == pytest.approx(np.full(day, 3.0))
    few = against_days(Track(GROUP, START, step, values, np.full(8 * day, 5.0)), 7 * DAY_US, of)
    assert np.isnan(few.values).all()


def test_a_job_that_begins_later_than_usual_is_usual_all_the_same() -> None:
    values = np.full(8 * 1_440, 1.0)
    for day in range(8):
        values[day * 1_440 + 600 + (20 if day == 7 else 0) :][:60] = 50.0
    played = Track(GROUP, START, MINUTE, values, np.full(len(values), 100.0))

    def most(near: str) -> float:
        of = rule(f"baseline: {{days: 7{near}}}", levels="{warning: {above: 2}}")
        return float(np.nanmax(against_days(played, 7 * DAY_US, of).values))

    assert (most(""), most(", near: 30m")) == (50.0, 1.0)


@pytest.mark.parametrize(
    ("window_s", "finest_s", "step_s", "overlap"),
    [(60, 60, 60, 1), (300, 60, 60, 5), (600, 60, 60, 10), (900, 60, 180, 5), (1_800, 1, 180, 10), (3_600, 60, 360, 10), (90, 1, 60, 2)],
)
def test_the_grid_divides_the_window(window_s: float, finest_s: int, step_s: int, overlap: int) -> None:
    assert Grid.of(window_s, finest_s) == Grid(step_s, overlap)


def test_precision_and_recall_by_group_and_time() -> None:
    of = rule("for: 0s, recover_for: 0s, window: 5m")
    episodes = [
        Episode(GROUP, START, START + HOUR, START + 2 * HOUR, "warning", 0.2),
        Episode(GROUP, START, START + 9 * HOUR, START + 10 * HOUR, "warning", 0.2),
        Episode({"app": "other"}, START, START + HOUR, None, "warning", 0.2),
    ]
    labels = [
        Label(START + HOUR - 30 * MINUTE, START + HOUR - 2 * MINUTE, GROUP),
        Label(START + 5 * HOUR, START + 6 * HOUR, GROUP),
        Label(START + 20 * HOUR, START + 21 * HOUR, {}),
    ]
    found = score(of, episodes, labels)
    assert (found.true, found.false, found.found, found.missed) == (2, 1, 2, 1)
    assert found.precision == pytest.approx(2 / 3)
    assert found.recall == pytest.approx(2 / 3)
    nothing = score(of, [], [])
    assert (nothing.precision, nothing.recall) == (None, None)


def test_a_level_is_suggested_that_keeps_to_the_false_alarms_allowed() -> None:
    rng = np.random.default_rng(4)
    values = rng.gamma(2.0, 0.01, 4 * 7 * 1_440)
    values[10_000:10_060] = 0.5
    of: Rule = rule("for: 0s, recover_for: 0s", levels="{warning: {above: 0.1, recover: 0.05}}")
    played = [Track(GROUP, START, MINUTE, values, np.full(len(values), 100.0))]
    labels = [Label(START + 10_000 * MINUTE, START + 10_060 * MINUTE, GROUP)]
    found = suggest(of, played, labels, 1.0)
    assert found is not None
    assert 0 < found.false_per_week <= 1.0
    assert found.score.recall == 1.0
    assert found.recovery == pytest.approx(found.threshold / 2, rel=0.01)
    stricter = suggest(of, played, labels, 0.0)
    assert stricter is not None
    assert stricter.threshold > found.threshold
    assert suggest(of, [], labels, 1.0) is None
    same = [dataclasses.replace(track, values=(track.values > 0.1).astype(np.float64)) for track in played]
    assert suggest(of, same, labels, 1.0) is None, "figures that are only nothing or all say nothing of how rare a level is"
    few = [Track(GROUP, START, MINUTE, values[:19], np.full(19, 100.0))]
    assert suggest(of, few, labels, 1.0) is None, "a handful of figures neither"


def test_a_level_is_suggested_for_counts_that_are_small() -> None:
    values = np.random.default_rng(1).poisson(2.0, 4 * 7 * 1_440).astype(float)
    values[10_000:10_060] = 14
    played = [Track(GROUP, START, MINUTE, values, np.full(len(values), 100.0))]
    (of,) = parse_rules(
        "rules: [{name: e, metric: calls, recover_for: 0s, group_by: [app], levels: {warning: {above: 20, recover: 5}}}]"
    ).rules
    assert len(np.unique(values)) < 20
    found = suggest(of, played, [], 1.0)
    assert found is not None
    assert 5 < found.threshold < 14
    assert found.false_per_week <= 1.0


def test_a_file_of_incidents_is_read_and_faults_name_the_entry(tmp_path: Path) -> None:
    path = tmp_path / "incidents.yaml"
    path.write_text("- {from: 2026-11-01T10:00Z, to: 2026-11-01 11:00:00, group: {app: chat}}\n", "utf-8")
    assert read_labels(path) == [Label(1_793_527_200_000_000, 1_793_530_800_000_000, GROUP)]
    for text, sentence in (
        ("a: 1", "must hold a list"),
        ("- {from: 2026-11-01T10:00Z}", "entry 1: needs from and to"),
        ("- {from: 2026-11-01T10:00Z, to: soon}", "entry 1, to: 'soon' is no time"),
        ("- {from: 2026-11-01T10:00Z, to: 2026-11-01T09:00Z}", "entry 1: must end after it starts"),
        ("- [", "is no YAML"),
    ):
        path.write_text(text, "utf-8")
        with pytest.raises(LabelsError, match=sentence):
            read_labels(path)
    with pytest.raises(LabelsError, match="cannot be read"):
        read_labels(tmp_path / "none.yaml")
