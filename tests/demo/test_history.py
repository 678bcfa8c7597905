"""The week of history: the same every time, with the promised shape, and every event fits the contract."""

from collections import Counter
from typing import Any

import orjson
import pytest

from llmtower_processors.demo.history import CALLS, DAY_NS, DAYS, calls_by_app, history
from llmtower_processors.demo.scenario import APPS
from llmtower_schemas.codec import Malformed, decode_line

END_NS = 1_790_000_000 * 10**9


def _week(app: str = "support-bot", calls: int = 3_000) -> list[dict[str, Any]]:
    return list(history(app, calls=calls, end_ns=END_NS, seed=7))


def test_the_same_seed_and_end_give_the_same_bytes() -> None:
    assert orjson.dumps(_week(calls=300)) == orjson.dumps(_week(calls=300))
    other = list(history("support-bot", calls=300, end_ns=END_NS, seed=8))
    assert orjson.dumps(other) != orjson.dumps(_week(calls=300))


def test_calls_are_divided_exactly() -> None:
    for total in (CALLS, 99_999, 7, 1):
        assert sum(calls_by_app(total).values()) == total
    assert set(calls_by_app(CALLS)) == set(APPS)


@pytest.mark.parametrize("app", list(APPS))
def test_every_event_fits_the_contract_and_each_call_has_both_events(app: str) -> None:
    week = _week(app, 400)
    for event in week:
        decoded = decode_line(orjson.dumps(event))
        assert not isinstance(decoded, Malformed), decoded.reason
    kinds = Counter(event["type"] for event in week)
    assert kinds["request"] == kinds["response"] == 400
    assert kinds["deploy"] == 1
    started = {event["call_id"] for event in week if event["type"] == "request"}
    ended = {event["call_id"] for event in week if event["type"] == "response"}
    assert started == ended
    assert len(started) == 400


def test_the_week_lies_before_its_end_and_has_days_and_a_weekend() -> None:
    starts = [event["started_at_ns"] for event in _week() if event["type"] == "request"]
    assert starts == sorted(starts)
    assert starts[0] >= END_NS - DAYS * DAY_NS
    assert starts[-1] < END_NS
    hours = Counter(start // (3600 * 10**9) % 24 for start in starts)
    assert sum(hours[hour] for hour in (9, 10, 14, 15)) > 5 * sum(hours[hour] for hour in (1, 2, 3, 4))
    days = Counter((start // DAY_NS + 3) % 7 for start in starts)
    assert max(days[5], days[6]) < min(days[1], days[2])


def test_it_holds_errors_cached_and_reasoning_tokens_and_a_prompt_change() -> None:
    responses = [event for event in _week() if event["type"] == "response"]
    versions = Counter(event["prompt_version"] for event in responses)
    assert set(versions) == {"6", "7"}
    classes = Counter(event["error_class"] for event in responses if event.get("status") == "error")
    assert {"rate_limit", "server", "timeout"} <= set(classes)
    answered = [event for event in responses if event.get("status") != "error"]
    assert any(event["usage"]["cache_read_tokens"] for event in answered)
    assert any(event["ttft_us"] is None for event in answered)
    assert all(event["ttft_us"] is None or event["ttft_us"] <= event["duration_us"] for event in answered)
    reviews = [event for event in _week("code-helper", 200) if event["type"] == "response" and event.get("status") != "error"]
    assert any(event["usage"]["reasoning_tokens"] > 0 for event in reviews)
    assert {event["request_model"] for event in reviews} == set(APPS["code-helper"].models)


def test_feedback_names_a_call_of_the_week() -> None:
    week = _week()
    calls = {event["call_id"] for event in week if event["type"] == "response"}
    opinions = [event for event in week if event["type"] == "feedback"]
    assert opinions
    assert {event["target_id"] for event in opinions} <= calls
