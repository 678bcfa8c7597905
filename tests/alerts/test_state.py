"""The life of one alert, step by step and over random histories."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.rules import HOUR, MINUTE, SECOND, rule

from llmtower_processors.alerts.conditions import Reading, bound
from llmtower_processors.alerts.memory import Memory, Watched, recall
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.state import Look, retire, step
from llmtower_schemas.alerts import SEVERITIES, Transition
from llmtower_schemas.silences import Silence

START = 1_795_000_000 * SECOND
GROUP = {"app": "chat"}
PLAIN = "for: 0s, recover_for: 0s"
Value = float | None
Point = tuple[int, Value]
"""Seconds since the start, and the value."""


def look(of: Rule, at_s: float, value: Value | Reading, *, completeness: float | None = 1.0, corrected: bool = False) -> Look:
    reading = value if isinstance(value, Reading) else None if value is None else Reading(value, 100)
    at = START + round(at_s * SECOND)
    return Look(of, GROUP, reading, at - 5 * MINUTE, at, at, completeness, corrected)


def live(of: Rule, points: Iterable[tuple[float, Value]], silence: Silence | None = None) -> list[Transition]:
    memory, made = Memory(), []
    for at_s, value in points:
        covering = silence if silence and silence.covers(of.name, GROUP, START + round(at_s * SECOND)) else None
        memory, transition = step(memory, look(of, at_s, value), covering)
        made += [transition] if transition else []
    return made


def story(made: Sequence[Transition]) -> list[tuple[str, str, str]]:
    return [(one.to_state, one.severity, one.cause) for one in made]


def every(seconds: float, until: float, value: Value, start: float = 0) -> list[tuple[float, Value]]:
    return [(start + number * seconds, value) for number in range(round((until - start) / seconds) + 1)]


def test_without_a_duration_it_fires_and_is_over_at_once() -> None:
    made = live(rule(PLAIN), [(0, 0.0), (2, 0.2), (4, 0.2), (6, 0.0), (8, 0.0)])
    assert story(made) == [("firing", "warning", "breach"), ("resolved", "warning", "recovered")]
    assert len({one.dedup_key for one in made}) == 1
    assert [one.notify for one in made] == [True, True]


def test_it_waits_for_as_long_as_the_rule_demands() -> None:
    made = live(rule("for: 30s"), every(2, 40, 0.2))
    assert story(made) == [("pending", "warning", "breach"), ("firing", "warning", "held")]
    assert made[1].at_us - made[0].at_us == 30 * SECOND
    assert made[1].since_us == made[0].at_us
    assert [one.notify for one in made] == [False, True]


def test_a_spike_shorter_than_that_is_never_told() -> None:
    made = live(rule("for: 30s"), [*every(2, 28, 0.9), *every(2, 60, 0.0, start=30)])
    assert story(made) == [("pending", "critical", "breach"), ("ok", "critical", "recovered")]
    assert not any(one.notify for one in made)


def test_between_the_level_and_its_recovery_nothing_changes() -> None:
    wobble = [(2.0 * number, (0.11, 0.09)[number % 2]) for number in range(500)]
    assert story(live(rule(PLAIN), wobble)) == [("firing", "warning", "breach")]
    assert story(live(rule(PLAIN), [(0, 0.09), (2, 0.09)])) == []


def test_it_must_be_good_for_a_while() -> None:
    good_then_bad = [(0, 0.2), *every(2, 28, 0.0, start=2), (30, 0.2), *every(2, 100, 0.0, start=32)]
    made = live(rule("recover_for: 30s"), good_then_bad)
    assert story(made) == [("firing", "warning", "breach"), ("resolved", "warning", "recovered")]
    assert made[1].at_us == START + 62 * SECOND


def test_it_grows_worse_and_better() -> None:
    made = live(rule("for: 10s, recover_for: 10s"), [*every(2, 20, 0.2), *every(2, 60, 0.6, start=22), *every(2, 100, 0.2, start=62)])
    assert story(made) == [
        ("pending", "warning", "breach"),
        ("firing", "warning", "held"),
        ("firing", "critical", "escalated"),
        ("firing", "warning", "eased"),
    ]
    assert [one.notify for one in made] == [False, True, True, False]
    assert made[2].at_us == START + 32 * SECOND
    assert len({one.dedup_key for one in made}) == 1


def test_too_few_calls_start_nothing_and_end_an_alert_only_when_they_are_good() -> None:
    few, fine = Reading(0.9, 3), Reading(0.0, 3)
    of = rule(f"min_sample: 10, {PLAIN}")
    assert step(Memory(), look(of, 0, few))[1] is None
    firing, _ = step(Memory(), look(of, 0, Reading(0.9, 10)))
    assert step(firing, look(of, 2, few))[1] is None, "a quiet night is no recovery while what there is fails"
    assert story([one for one in [step(firing, look(of, 2, fine))[1]] if one]) == [("resolved", "critical", "no_data")]
    assert story([one for one in [step(firing, look(of, 2, None))[1]] if one]) == [("resolved", "critical", "no_data")]
    for policy in ("keep", "alert"):
        kept = rule(f"min_sample: 10, no_data: {policy}, {PLAIN}")
        assert step(firing, look(kept, 2, few))[1] is None


@pytest.mark.parametrize(
    ("policy", "while_ok", "while_firing"),
    [
        ("ok", [], [("resolved", "critical", "no_data")]),
        ("alert", [("firing", "warning", "no_data")], []),
        ("keep", [], []),
    ],
)
def test_no_data_means_what_the_rule_says(policy: str, while_ok: list[object], while_firing: list[object]) -> None:
    of = rule(f"no_data: {policy}, {PLAIN}")
    assert story(live(of, [(0, None)])) == while_ok
    assert story(live(of, [(0, 0.9), *every(2, 10, None, start=2)])[1:]) == while_firing


def test_reminders_come_at_their_distance_and_a_day_without_change_is_written_again() -> None:
    reminded = live(rule("renotify: 1h"), every(60, 3 * 3_600, 0.2))
    assert [(one.cause, one.at_us - START) for one in reminded] == [("breach", 0), *(("reminder", n * HOUR) for n in (1, 2, 3))]
    assert all(one.notify for one in reminded)
    kept = live(rule("renotify: 0s"), every(600, 50 * 3_600, 0.2))
    assert [(one.cause, one.notify) for one in kept] == [("breach", True), ("kept", False), ("kept", False)]


def silence(start_s: float, end_s: float, kind: str = "silence") -> Silence:
    return Silence.model_validate(
        {"silence_id": "s", "kind": kind, "starts_at_us": START + round(start_s * SECOND), "ends_at_us": START + round(end_s * SECOND)}
    )


def test_a_silenced_alert_is_told_when_the_silence_ends_if_it_still_goes_on() -> None:
    made = live(rule(PLAIN), every(10, 200, 0.2), silence(0, 100))
    assert [(one.cause, one.notify, one.silence_id, one.at_us - START) for one in made] == [
        ("breach", False, "s", 0),
        ("silence_ended", True, "", 100 * SECOND),
    ]


def test_an_alert_that_comes_and_goes_in_silence_is_never_told() -> None:
    made = live(rule(PLAIN), [*every(10, 50, 0.2), *every(10, 200, 0.0, start=60)], silence(0, 100))
    assert story(made) == [("firing", "warning", "breach"), ("resolved", "warning", "recovered")]
    assert not any(one.notify for one in made)


def test_the_end_of_what_was_told_is_told_even_in_silence() -> None:
    made = live(rule(PLAIN), [(0, 0.2), (10, 0.2), (20, 0.0)], silence(5, 100))
    assert [one.notify for one in made] == [True, True]


def test_an_acknowledged_alert_is_not_repeated_but_worse_is_told_and_so_is_the_next_incident() -> None:
    acknowledged = silence(30, 20_000, "acknowledge")
    points = [*every(60, 5_400, 0.2), *every(60, 7_200, 0.9, start=5_460), (7_260, 0.0), (7_320, 0.9)]
    made = live(rule(f"renotify: 1h, {PLAIN}"), points, acknowledged)
    assert [(one.cause, one.notify) for one in made] == [("breach", True), ("escalated", True), ("recovered", True), ("breach", True)]


def test_a_shadow_is_judged_and_never_told() -> None:
    made = live(rule(f"grafana: true, renotify: 1m, {PLAIN}"), [*every(10, 600, 0.2), (610, 0.0)])
    assert story(made) == [("firing", "warning", "breach"), ("resolved", "warning", "recovered")]
    assert all(one.shadow and not one.notify for one in made)


def test_what_fired_on_too_little_ends_when_the_whole_window_says_so() -> None:
    of = rule("recover_for: 1h")
    firing, first = step(Memory(), look(of, 0, 0.2, completeness=0.7))
    firing, _ = step(firing, look(of, 2, 0.0))
    _, transition = step(firing, look(of, 60, 0.01, corrected=True))
    assert first
    assert transition
    assert (transition.to_state, transition.cause, transition.corrected, transition.notify) == ("resolved", "late_events", True, True)
    sure, _ = step(Memory(), look(of, 0, 0.2, completeness=1.0))
    assert step(sure, look(of, 60, 0.01, corrected=True))[1] is None


def test_a_correction_of_a_window_before_the_alert_changes_nothing() -> None:
    firing, _ = step(Memory(), look(rule("recover_for: 1h"), 0, 0.2, completeness=0.7))
    firing, _ = step(firing, look(rule("recover_for: 1h"), 2, 0.0))
    assert step(firing, look(rule("recover_for: 1h"), -60, 0.01, corrected=True))[1] is None


def test_what_late_events_show_is_told_once() -> None:
    of = rule(PLAIN)
    memory, made = step(Memory(), look(of, 0, 0.3, corrected=True))
    assert made
    assert (made.to_state, made.cause, made.corrected, made.notify) == ("firing", "late_events", True, True)
    memory, over = step(memory, look(of, 600, 0.0))
    assert over
    assert over.to_state == "resolved"
    memory = replace(memory, watched=Watched())
    assert step(memory, look(of, 300, 0.3, corrected=True))[1] is None, "that window was told of"


def test_late_events_must_show_it_for_as_long_as_the_rule_demands() -> None:
    of = rule("for: 3m")
    memory, transitions = Memory(), []
    for minute in range(5):
        memory, transition = step(memory, look(of, minute * 60, 0.3, corrected=True))
        transitions.append(transition)
    assert [one is not None for one in transitions[:3]] == [False, False, True]


@pytest.mark.parametrize("jump_s", [3_600, 86_400, -3_600, -86_400])
def test_a_clock_that_jumps_neither_makes_nor_hides_an_alert(jump_s: float) -> None:
    of = rule("for: 5m, recover_for: 2m")
    shifted = [(at + jump_s, value) for at, value in every(2, 400, 0.2, start=12)]
    made = live(of, [*every(2, 10, 0.2), *shifted])
    assert story(made) == [("pending", "warning", "breach"), ("firing", "warning", "held")]
    watched_s = (made[1].at_us - START) / SECOND - jump_s
    assert 240 <= watched_s <= 312


def test_reminders_go_on_when_the_clock_is_set_back() -> None:
    made = live(rule("renotify: 1h"), [(0, 0.2), *((at - 86_400, 0.2) for at in range(60, 2 * 3_600, 60))])
    assert [one.cause for one in made] == ["breach", "reminder", "reminder"]


def test_a_rule_that_is_gone_ends_its_alert() -> None:
    memory, firing = step(Memory(), look(rule(PLAIN), 0, 0.2))
    assert firing
    after, over = retire(memory, "errors", GROUP, START + MINUTE, firing)
    assert over
    assert not after.active
    assert (over.to_state, over.cause, over.notify, over.dedup_key) == ("resolved", "rule_changed", True, firing.dedup_key)
    assert retire(after, "errors", GROUP, START, over) == (after, None)


histories = st.lists(
    st.tuples(st.integers(1, 90), st.one_of(st.none(), st.sampled_from([0.0, 0.06, 0.09, 0.2, 0.45, 0.6, 1.0]))), min_size=1, max_size=60
)
texts = st.sampled_from(
    ["", PLAIN, "for: 1m", "for: 1m, no_data: alert", "no_data: keep, recover_for: 2m", "renotify: 2m", "grafana: true, for: 30s"]
)


def walk(of: Rule, history: Sequence[tuple[int, Value]], silenced: Silence | None) -> tuple[list[Memory], list[Transition]]:
    memory, at = Memory(), 0
    memories, made = [], []
    for wait, value in history:
        at += wait
        covering = silenced if silenced and silenced.covers(of.name, GROUP, START + at * SECOND) else None
        memory, transition = step(memory, look(of, at, value, completeness=0.9), covering)
        memories.append(memory)
        made += [transition] if transition else []
    return memories, made


@given(histories, texts, st.booleans())
def test_what_is_known_is_a_fold_over_transitions(history: list[tuple[int, Value]], text: str, silenced: bool) -> None:
    memories, made = walk(rule(text), history, silence(100, 900) if silenced else None)
    folded = Memory()
    for transition in made:
        folded = recall(folded, transition)
    assert folded == replace(memories[-1], watched=Watched())
    assert recall(folded, made[-1]) == folded if made else True


@given(histories, texts, st.booleans())
def test_every_history_makes_sense(history: list[tuple[int, Value]], text: str, silenced: bool) -> None:
    _, made = walk(rule(text), history, silence(100, 900) if silenced else None)
    allowed = {
        "ok": {"pending", "firing"},
        "pending": {"ok", "firing"},
        "firing": {"firing", "resolved"},
    }
    state, key, told = "ok", "", None
    keys = []
    for number, one in enumerate(made, 1):
        assert one.sequence == number
        assert one.from_state == state
        assert one.to_state in allowed[state]
        assert one.dedup_key == key or state == "ok"
        assert one.since_us <= one.at_us
        if state == "ok":
            key, told = one.dedup_key, None
            keys.append(key)
        if one.notify:
            assert one.to_state in ("firing", "resolved")
            told = max(told or "warning", one.severity, key=SEVERITIES.index) if one.to_state == "firing" else told
        if one.to_state == "resolved":
            assert one.notify == (told is not None)
        state = "ok" if one.to_state == "resolved" else one.to_state
    assert len(set(keys)) == len(keys)
    assert len({one.transition_id for one in made}) == len(made)


@given(histories, texts, st.integers(0, 59))
def test_a_new_leader_in_the_middle_makes_the_same_transitions_until_then_and_keeps_the_incident(
    history: list[tuple[int, Value]], text: str, cut: int
) -> None:
    of = rule(text)
    memories, made = walk(of, history[: cut + 1], None)
    folded = Memory()
    for transition in made:
        folded = recall(folded, transition)
    at = sum(wait for wait, _ in history[: cut + 1]) + 1
    _, old = step(memories[-1], look(of, at, 1.0))
    _, new = step(folded, look(of, at, 1.0))
    if old and new:
        assert (old.transition_id == new.transition_id) == (old.to_state == new.to_state and old.severity == new.severity)
        assert old.dedup_key == new.dedup_key


def test_two_leaders_that_see_the_same_make_the_same_transition() -> None:
    first, second = (step(Memory(), look(rule(), 0, 0.2))[1] for _ in range(2))
    assert first
    assert first == second


def test_a_share_passes_a_level_only_when_that_is_certain() -> None:
    of = rule(f"sure: 0.999, {PLAIN}")
    few = {"value": 0.2, "sample": 10.0}
    assert step(Memory(), look(of, 0, Reading(**few, sure=bound(0.2, 10, of.sure))))[1] is None
    memory, made = step(Memory(), look(of, 0, Reading(0.2, 1_000, bound(0.2, 1_000, of.sure))))
    assert made is not None
    assert made.value == 0.2, "what is told is the figure itself"
    assert step(memory, look(of, 2, Reading(**few, sure=bound(0.2, 10, of.sure))))[1] is None, "and it is over when the figure is good"


@given(st.floats(0, 1), st.integers(1, 10_000), st.sampled_from((0.9, 0.99, 0.999)))
def test_the_interval_holds_the_share_and_narrows_with_the_sample(share: float, sample: int, certainty: float) -> None:
    low, high = bound(share, sample, certainty), bound(share, sample, certainty, upper=True)
    assert -1e-9 <= low <= share + 1e-9
    assert share - 1e-9 <= high <= 1 + 1e-9
    assert bound(share, sample * 4, certainty) >= low - 1e-9
