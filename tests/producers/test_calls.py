"""What a call, a step and a context leave behind, read back through the event contract."""

import asyncio
import gc
import os
import threading
from collections.abc import Sequence
from hashlib import sha256
from typing import Any

import orjson
import pytest

import llmtower
from llmtower import state
from llmtower.outbox import Outbox
from llmtower.testing import CapturedCalls, capture
from llmtower_schemas.codec import Malformed, decode
from llmtower_schemas.events import Event, HeartbeatEvent, ResponseEvent


def decoded(captured: CapturedCalls) -> Sequence[Event]:
    """Read everything as the processors do; an event that the contract refuses fails the test."""
    llmtower.flush()
    events = [event for envelope in captured.transport.records for event in decode(envelope.value)]
    assert [event for event in events if isinstance(event, Malformed)] == []
    return [event for event in events if not isinstance(event, (Malformed, HeartbeatEvent))]


def test_a_call_gives_a_request_and_a_response(captured_calls: CapturedCalls) -> None:
    with llmtower.call(provider="openai", model="gpt-4o", input="hi", parameters={"temperature": 0.5}, timeout=30) as call:
        call.first_token()
        call.finish(
            output="hello",
            usage={"prompt_tokens": 10, "completion_tokens": 3},
            response_id="r1",
            response_model="gpt-4o-2024-08-06",
            finish_reasons=["stop"],
            retrieved=[{"id": "d1", "score": 0.5, "text": "doc"}],
            embedding=[0.5, 1.0],
            embedder="e5",
            cost_usd="0.000000001",
            details={"service_tier": "flex", "retries": 2, "unknown": 1},
        )

    request, response = decoded(captured_calls)
    assert request.model_dump(exclude_defaults=True) == {
        "app": "test",
        "call_id": call.id,
        "provider": "openai",
        "request_model": "gpt-4o",
        "started_at_ns": call.at_ns,
        "timeout_ms": 30_000,
    }
    assert isinstance(response, ResponseEvent)
    assert response.call_id == call.id
    assert response.model_extra == {}
    assert (response.input, response.output, response.parameters) == ("hi", "hello", {"temperature": 0.5})
    assert response.usage is not None
    assert (response.usage.input_tokens, response.usage.output_tokens, response.usage_source) == (10, 3, "provider")
    assert (response.response_id, response.response_model, response.finish_reasons) == ("r1", "gpt-4o-2024-08-06", ["stop"])
    assert (response.service_tier, response.retries, response.reported_cost_nano_usd) == ("flex", 2, 1)
    assert response.retrieved[0].model_dump() == {"id": "d1", "score": 0.5, "text": "doc", "updated_at_ms": None}
    assert (response.embedding, response.embedder) == ([0.5, 1.0], "e5")
    assert response.ttft_us is not None
    assert response.ttft_us <= response.duration_us
    assert response.stream


def test_mutating_afterwards_changes_nothing(captured_calls: CapturedCalls) -> None:
    messages = [{"role": "user", "content": "before"}]
    usage = {"prompt_tokens": 1, "completion_tokens": 1}
    output = {"text": "before"}
    with llmtower.call(model="m", input=messages) as call:
        messages[0]["content"] = "after"
        call.finish(output=output, usage=usage)
        usage["prompt_tokens"] = 999
        output["text"] = "after"

    response = captured_calls[0]
    assert response["input"] == [{"role": "user", "content": "before"}]
    assert response["output"] == {"text": "before"}
    assert response["usage"] == {"input_tokens": 1, "output_tokens": 1}


def test_what_a_call_holds_counts_against_the_queue_from_its_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that are opened and never finished must not fill the memory with their prompts."""
    outbox = Outbox(max_events=1_000, max_bytes=50_000, wake=lambda: None)
    monkeypatch.setattr(state, "outbox", outbox)
    for _ in range(100):
        llmtower.call(model="m", input="x" * 10_000)

    assert len(outbox.items) <= 5
    assert outbox.dropped["queue_bytes"].value() == 100 - len(outbox.items)


def test_our_own_usage_is_taken_as_it_is(captured_calls: CapturedCalls) -> None:
    with llmtower.call(model="m") as call:
        call.finish(usage=llmtower.Usage(input_tokens=1, cache_write_1h_tokens=2, image_input_tokens=3))

    assert captured_calls[0]["usage"] == {"input_tokens": 1, "cache_write_1h_tokens": 2, "image_input_tokens": 3}
    assert "usage_raw" not in captured_calls[0]


def test_an_exception_is_recorded_and_raised_again(captured_calls: CapturedCalls) -> None:
    with pytest.raises(TimeoutError, match="slow"), llmtower.call(model="m"):
        raise TimeoutError("slow")

    response = captured_calls[0]
    assert (response["status"], response["error_class"], response["error_type"]) == ("error", "timeout", "TimeoutError")
    assert response["error_message"] == "slow"


def test_a_call_is_closed_once(captured_calls: CapturedCalls) -> None:
    with llmtower.call(model="m") as call:
        call.finish(output="first")
        call.finish(output="second")
        call.fail(RuntimeError())
    with pytest.raises(ValueError, match="late"), call:
        raise ValueError("late")

    assert [response["output"] for response in captured_calls] == ["first"]
    assert "status" not in captured_calls[0]


def test_a_call_that_is_left_without_finish_is_a_response_without_usage(captured_calls: CapturedCalls) -> None:
    with llmtower.call(model="m"):
        pass

    assert "usage" not in captured_calls[0]
    assert decoded(captured_calls)[1].usage_source == "missing"  # type: ignore[union-attr]


async def _cancelled() -> None:
    async with llmtower.call(model="m"):
        await asyncio.sleep(10)


def test_a_cancelled_call_is_recorded_as_such(captured_calls: CapturedCalls) -> None:
    async def main() -> None:
        task = asyncio.create_task(_cancelled())
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert captured_calls[0]["error_class"] == "cancelled"


def test_context_nests_and_is_left_behind(captured_calls: CapturedCalls) -> None:
    with llmtower.context(user_id=7, tags={"a": 1}, prompt="greet@3"):
        with llmtower.context(session_id="s", route="/chat", request_id="r", tags={"b": "2"}), llmtower.call(model="inner"):
            pass
        with llmtower.call(model="outer"):
            pass
    with llmtower.call(model="none"):
        pass

    inner, outer, none = captured_calls
    assert (inner["user_id"], inner["session_id"], inner["route"], inner["request_id"]) == ("7", "s", "/chat", "r")
    assert inner["tags"] == {"a": "1", "b": "2"}
    assert (inner["prompt_name"], inner["prompt_version"]) == ("greet", "3")
    assert outer["tags"] == {"a": "1"}
    assert "session_id" not in outer
    assert "user_id" not in none


def test_steps_are_parents(captured_calls: CapturedCalls) -> None:
    with llmtower.step("answer", kind="workflow") as outer, llmtower.step("search", kind="retrieval", input="q") as inner:
        with llmtower.call(model="m"):
            pass
        inner.finish(retrieved=["plain text", {"id": 5, "page_content": "p"}], attributes={"k": 3})

    steps = {step["name"]: step for step in captured_calls.events("step")}
    assert captured_calls[0]["parent_id"] == inner.id
    assert steps["search"]["parent_id"] == outer.id
    assert steps["search"]["retrieved"] == [{"id": "", "text": "plain text"}, {"id": "5", "text": "p"}]
    assert steps["search"]["attributes"] == {"k": "3"}
    assert "parent_id" not in steps["answer"]


def test_a_failed_step_says_so(captured_calls: CapturedCalls) -> None:
    with pytest.raises(ConnectionError), llmtower.step("tool", kind="tool"):
        raise ConnectionError

    assert captured_calls.events("step")[0]["error_class"] == "network"


def test_an_unknown_kind_of_step_is_recorded_as_workflow(captured_calls: CapturedCalls, caplog: pytest.LogCaptureFixture) -> None:
    with llmtower.step("odd", kind="banana"):  # type: ignore[arg-type]
        pass

    assert captured_calls.events("step")[0]["kind"] == "workflow"
    assert "banana" in caplog.text


@pytest.mark.parametrize(
    "odd",
    [
        {"provider": None, "model": None},
        {"provider": 5, "model": ["x"]},
        {"model": "m" * 10_000},
        {"model": "\ud800"},
        {"model": "a\x00b", "operation": ""},
        {"model": "m", "parameters": {"a": object()}},
        {"model": "m", "timeout": "soon"},
        {"model": "m", "timeout": float("inf")},
        {"model": "m", "input": {"x": {1, 2}}},
    ],
)
def test_odd_arguments_still_make_events_the_contract_takes(captured_calls: CapturedCalls, odd: dict[str, Any]) -> None:
    with llmtower.call(**odd):
        pass

    assert len(decoded(captured_calls)) == 2


@pytest.mark.parametrize(
    "odd",
    [
        {"usage": {"prompt_tokens": -5}},
        {"usage": "many"},
        {"usage": object()},
        {"usage": {"prompt_tokens": 1, "completion_tokens": 2, "deep": [[[{}]]]}},
        {"cost_usd": "free"},
        {"cost_usd": float("nan")},
        {"cost_usd": 1e30},
        {"embedding": [1.0, float("nan")]},
        {"embedding": ["a"]},
        {"embedding": [0.0] * 20_000},
        {"finish_reasons": ["x" * 1_000, 5, None]},
        {"retrieved": [None, 5, {"id": "i" * 5_000, "score": "high", "text": 3}]},
        {"response_id": 5, "response_model": None},
        {"details": {"http_status": 10_000, "retries": -1, "service_tier": "x" * 1_000}},
        {"output": {"a": "\ud800"}},
    ],
)
def test_odd_results_still_make_events_the_contract_takes(captured_calls: CapturedCalls, odd: dict[str, Any]) -> None:
    with llmtower.call(model="m") as call:
        call.finish(**odd)

    assert len(decoded(captured_calls)) == 2


def test_a_huge_prompt_is_cut_and_takes_nobody_along(captured_calls: CapturedCalls) -> None:
    with llmtower.call(model="before", input="small"):
        pass
    with llmtower.call(model="huge", input=[{"role": "user", "content": "x" * 50_000_000}]):
        pass
    with llmtower.call(model="many", input=[{"role": "user", "content": "\x00" * 1_000} for _ in range(20_000)]):
        pass
    with llmtower.call(model="after", input="small"):
        pass

    assert len(decoded(captured_calls)) == 8
    by_model = {response["request_model"]: response for response in captured_calls}
    assert by_model["before"]["input"] == by_model["after"]["input"] == "small"
    assert "[llmtower: cut, 50000000 bytes in all]" in by_model["huge"]["input"][0]["content"]
    assert "[llmtower: cut" in orjson.dumps(by_model["many"]["input"]).decode()
    assert max(len(envelope.value) for envelope in captured_calls.transport.records) <= 1_048_576


@pytest.mark.parametrize("mode", ["off", "hash"])
def test_without_full_capture_no_text_leaves(mode: str) -> None:
    with capture(capture=mode) as captured:
        with llmtower.call(model="m", input="secret", parameters={"stop": "secret", "top_p": 1}) as call:
            usage = {"prompt_tokens": 1, "completion_tokens": 2, "note": "secret"}
            call.finish(output="secret", usage=usage, retrieved=[{"id": "d", "text": "secret"}], error=ValueError("secret"))
        with llmtower.step("s", kind="tool", input="secret") as step:
            step.finish(output="secret")
        llmtower.record({"type": "feedback", "target_id": call.id, "score": 1, "comment": "secret"})
        llmtower.flush()
        sent = b"".join(envelope.value for envelope in captured.transport.records)
        response = captured[0]

    assert b"secret" not in sent
    assert response["capture"] == mode
    assert response["parameters"] == {"top_p": 1}
    assert ("input" in response) is (mode == "hash")
    if mode == "hash":
        assert response["input"] == {"sha256": sha256(b'"secret"').hexdigest(), "bytes": 8}
    assert response["usage_raw"] == {"prompt_tokens": 1, "completion_tokens": 2}


RESPONSE = {"type": "response", "started_at_ns": 1, "duration_us": 1}


def test_secrets_are_marked_everywhere(captured_calls: CapturedCalls) -> None:
    key = "sk-abcdefghijklmnop1234"
    with llmtower.context(tags={"t": key}, route=f"/x?k={key}", user_id=key, prompt=f"{key}@{key}"):
        with llmtower.step(f"look {key} up", kind="tool", attributes={"a": key}):
            call = llmtower.call(model="m", input=[{key: key}], parameters={"stop": key})
            usage = {"prompt_tokens": 1, "completion_tokens": 2, "note": key}
            call.finish(error=ValueError(key), usage=usage, retrieved=[{"id": f"https://host/?key={key}", "text": key}])
        llmtower.record({**RESPONSE, "call_id": call.id, "user_id": key, "tags": {"t": key}, "output": key})
    llmtower.record({"type": "feedback", "target_id": call.id, "comment": f"my key {key}"})
    llmtower.flush()

    sent = b"".join(envelope.value for envelope in captured_calls.transport.records)
    assert key.encode() not in sent
    assert captured_calls[0]["input"] == [{"[redacted:api-key]": "[redacted:api-key]"}]


def test_an_own_hook_runs_after_ours() -> None:
    with capture(redact=lambda text: text.replace("Alice", "[name]")) as captured:
        with llmtower.call(model="m", input=[{"content": "Alice has sk-abcdefghijklmnop1234"}]):
            pass
        assert captured[0]["input"] == [{"content": "[name] has [redacted:api-key]"}]


@pytest.mark.parametrize("answer", [None, 5, RuntimeError("boom")])
def test_a_hook_that_fails_drops_the_content(answer: Any, caplog: pytest.LogCaptureFixture) -> None:
    def hook(text: str) -> Any:
        if isinstance(answer, Exception):
            raise answer
        return answer

    with capture(redact=hook) as captured:
        with llmtower.call(model="m", input="very secret") as call:
            call.finish(output=["very secret"])
        response = captured[0]
        assert llmtower.stats().redaction_failures == 2

    assert response["input"] == response["output"] == "[llmtower: content dropped, the redact hook failed]"
    assert "very secret" not in caplog.text
    assert caplog.text.count("redact hook raised") == 1


def test_events_are_recorded_and_filled_in(captured_calls: CapturedCalls) -> None:
    llmtower.record({"type": "deploy", "version": "1.2"})
    llmtower.record({"type": "score", "target_id": "x", "name": "quality", "value": 0.5, "own_field": 1})
    llmtower.record(
        llmtower.FeedbackEvent(app="other", feedback_id="01993045-6789-7123-8123-000000000000", at_ns=1, target_id="x", score=1)
    )

    kinds = {event["type"]: event for event in captured_calls.events()}
    assert (kinds["deploy"]["version"], kinds["deploy"]["app"]) == ("1.2", "test")
    assert kinds["score"]["own_field"] == 1
    assert kinds["feedback"]["app"] == "other"
    apps = {dict(envelope.headers)["app"]: envelope for envelope in captured_calls.transport.records}
    assert set(apps) == {b"test", b"other"}
    assert {envelope.topic for envelope in captured_calls.transport.records} == {"llmtower.signals"}


@pytest.mark.parametrize("began", [None, "17", 0, 17])
def test_a_time_that_only_calls_must_have_costs_no_event(captured_calls: CapturedCalls, began: Any) -> None:
    llmtower.record({"type": "score", "target_id": "x", "name": "quality", "value": 0.5, "started_at_ns": began})

    assert [event["name"] for event in captured_calls.events("score")] == ["quality"]


@pytest.mark.parametrize(
    "bad", [{"type": "deploy"}, {"type": "banana"}, {}, 5, {"type": "score", "target_id": "x", "name": "n", "value": "high"}]
)
def test_an_event_the_contract_refuses_is_counted(captured_calls: CapturedCalls, bad: Any, caplog: pytest.LogCaptureFixture) -> None:
    llmtower.record(bad)

    assert captured_calls.events() == []
    assert llmtower.stats().dropped_by_reason == {"invalid": 1}
    assert llmtower.stats().emitted == 1
    assert "does not fit its contract" in caplog.text
    assert "high" not in caplog.text


def test_calls_of_many_threads_are_all_there(captured_calls: CapturedCalls) -> None:
    def work(number: int) -> None:
        with llmtower.context(user_id=number):
            for _ in range(200):
                with llmtower.call(model="m") as call:
                    call.finish(output="x")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    report = llmtower.flush()
    stats = llmtower.stats()
    assert report.complete
    assert (stats.emitted, stats.delivered, stats.queued, stats.dropped) == (3_200, 3_200, 0, 0)
    responses = captured_calls.events("response")
    assert len({response["call_id"] for response in responses}) == 1_600
    assert {user: sum(r["user_id"] == str(user) for r in responses) for user in range(8)} == dict.fromkeys(range(8), 200)


def test_numbers_have_no_gaps_per_topic(captured_calls: CapturedCalls) -> None:
    for _ in range(1_200):
        with llmtower.call(model="m"):
            pass
    llmtower.record({"type": "deploy", "version": "1"})
    llmtower.flush()

    for topic in ("llmtower.calls", "llmtower.signals"):
        envelopes = sorted((e for e in captured_calls.transport.records if e.topic == topic), key=lambda e: e.seq)
        headers = [{key: value.decode() for key, value in envelope.headers} for envelope in envelopes]
        assert [int(h["seq"]) for h in headers] == [sum(int(h["count"]) for h in headers[:i]) for i in range(len(headers))]
        assert {h["producer"] for h in headers} == {llmtower.stats().producer}
        assert all(e.value.count(b"\n") + 1 == int(h["count"]) <= 500 for e, h in zip(envelopes, headers, strict=True))


def test_a_forgotten_call_costs_nothing(captured_calls: CapturedCalls) -> None:
    call = llmtower.call(model="m")
    del call
    gc.collect()

    assert [event["type"] for event in captured_calls.events()] == ["request"]


def test_ids_do_not_repeat_when_an_application_seeds_random(captured_calls: CapturedCalls) -> None:
    import random

    ids = set()
    for _ in range(50):
        random.seed(0)
        ids.add(llmtower.call(model="m").id)

    assert len(ids) == 50
    assert os.environ.get("PYTEST_VERSION")
