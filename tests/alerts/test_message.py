"""What people read: every figure with its unit, how sure it is, where to look, what changed; and never more than names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.alerts.receiver import notification

from llmtower_processors.alerts.links import links
from llmtower_processors.alerts.load import load_rules
from llmtower_processors.alerts.message import LISTED, Message, amount, digest_of, message, text, title
from llmtower_schemas.alerts import Transition

RULE = next(rule for rule in load_rules().rules if rule.name == "error_rate")

MEASURED = "Value 43.2 %, level 30 %, from 1,234 calls, 2026-11-18 11:02:00 UTC to 2026-11-18 11:07:00 UTC"
COMPLETE = "98.7 % of the window had arrived when it was judged."


def test_a_message_says_everything() -> None:
    said = text(notification(rule=RULE))
    assert said.splitlines() == [
        MEASURED,
        "Since 2026-11-18 11:04:00 UTC, 3 min by now. The level was passed.",
        COMPLETE,
        "Changed shortly before: deploy chat 1.4.2 at 2026-11-18 10:57:00 UTC",
        "Panel: http://127.0.0.1:8600/latency?app=chat#errors",
        "Example calls: http://127.0.0.1:8600/calls?app=chat",
        "Alert: http://127.0.0.1:8600/alerts?rule=error_rate",
    ]
    assert title(notification(rule=RULE)) == "CRITICAL: Many calls fail (app=chat, project=default)"
    assert title(notification(state="resolved")).startswith("RESOLVED: ")


def test_what_is_not_known_is_said_and_never_called_complete() -> None:
    assert "How complete the window is, is not known." in text(notification(completeness=None))
    assert "The window is complete." in text(notification(completeness=1.0))
    assert "99.9 % of the window" in text(notification(completeness=0.99999))
    assert "Value nothing" in text(notification(value=None, sample=0))
    assert "may have been told before" in text(notification(possible_repeat=True))
    assert message(notification(possible_repeat=True)).possible_repeat


def test_a_webhook_gets_figures_as_numbers_and_times_with_a_zone() -> None:
    found = message(notification(rule=RULE))
    assert (found.value, found.threshold, found.sample, found.completeness, found.unit) == (0.4321, 0.3, 1234, 0.9876, "ratio")
    assert (found.status, found.since, found.window_end) == ("firing", "2026-11-18T11:04:00.000000Z", "2026-11-18T11:07:00.000000Z")
    assert set(found.links) == {"panel", "calls", "alert"}
    assert found.dedup_key == "key-chat"
    assert Message.model_validate_json(found.model_dump_json()) == found


def test_a_digest_names_the_gravest_first_and_counts_the_rest() -> None:
    mild = [notification(f"mild-{number:02}", severity="warning") for number in range(30)]
    grave, over = notification("grave"), notification("over", state="resolved")
    found = digest_of([over, *mild, grave])
    assert found.title == "Llmtower: 32 alerts (31 firing, 1 resolved)"
    lines = found.text.splitlines()
    assert lines[0] == "• CRITICAL: Many calls fail (app=grave, project=default)"
    assert [line for line in lines if line.startswith("•")][-1].startswith("• WARNING")
    assert f"… and {32 - LISTED} more" in lines
    assert [one.status for one in found.alerts][-1] == "resolved"
    assert len(found.alerts) == 32
    assert found.dedup_key == digest_of([grave, *mild, over]).dedup_key, "the same set is the same digest"


def test_a_digest_says_of_each_alert_what_a_message_of_its_own_says() -> None:
    lines = digest_of([notification("a", rule=RULE), notification("b", rule=RULE)]).text.splitlines()
    assert lines[:4] == [
        "• CRITICAL: Many calls fail (app=a, project=default)",
        f"   {MEASURED}. Since 2026-11-18 11:04:00 UTC. {COMPLETE}",
        "   Changed shortly before: deploy chat 1.4.2 at 2026-11-18 10:57:00 UTC",
        "   Panel: http://127.0.0.1:8600/latency?app=chat#errors · Example calls: http://127.0.0.1:8600/calls?app=chat",
    ]
    assert lines[4].startswith("• CRITICAL: Many calls fail (app=b")


@given(st.text(max_size=400))
def test_names_from_traffic_break_no_line_and_mention_nobody(name: str) -> None:
    told = notification(name)
    for said in (title(told), text(told), digest_of([told, told]).text):
        assert not set("<>@\x00\x1b\u2028\u202e").intersection(said)
    assert len(title(told).splitlines()) == 1
    assert len(title(told)) < 600


@pytest.mark.parametrize(
    ("value", "unit", "said"),
    [
        (0.5, "ratio", "50 %"),
        (3.2, "x", "3.2x"),
        (14.4, "x budget", "14.4x budget"),
        (1234.5, "usd", "$1,234.50"),
        (0.0004, "usd", "$0.0004"),
        (0.25, "seconds", "250 ms"),
        (12.0, "seconds", "12 s"),
        (3, "events", "3 events"),
        (None, "events", "nothing"),
    ],
)
def test_amounts_carry_their_unit(value: float | None, unit: str, said: str) -> None:
    assert amount(value, unit) == said


def test_no_field_of_a_transition_can_hold_a_text_of_a_prompt() -> None:
    """What is told is made of these fields alone; a new one has to be thought about here."""
    names = set(Transition.model_fields) - {"transition_id", "dedup_key", "rule", "title", "group", "reason", "panel", "runbook", "routes"}
    free = {name for name in names if Transition.model_fields[name].annotation is str}
    assert free == {"unit", "silence_id"}


def test_links_point_to_panel_calls_and_alert_around_the_window() -> None:
    told = notification(group={"app": "a b", "request_model": "gpt-4o", "user_id": "u&1"}, panel="latency_error_rate").transition
    found = links(told, "https://tower.example/")
    assert found["panel"].startswith(
        "https://tower.example/panels/latency_error_rate?from=2026-11-18T10%3A32%3A00Z&to=2026-11-18T11%3A17%3A00Z&"
    )
    assert found["panel"].endswith("app=a+b&model=gpt-4o&user=u%261")
    assert found["calls"].startswith("https://tower.example/calls?")
    assert "runbook" not in found
