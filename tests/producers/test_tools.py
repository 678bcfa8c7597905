"""Tools as steps, and the header that carries a trace from service to service."""

import asyncio
import re

import pytest

import llmtower
from llmtower.testing import CapturedCalls


def test_a_tool_is_a_step_with_its_arguments_and_its_result(captured_calls: CapturedCalls) -> None:
    @llmtower.tool
    def add(first: int, second: int = 2) -> int:
        """Add."""
        with llmtower.call(model="inner"):
            return first + second

    assert add(1) == 3
    assert (add.__name__, add.__doc__) == ("add", "Add.")
    (step,) = captured_calls.events("step")
    assert (step["kind"], step["name"], step["input"], step["output"]) == ("tool", "add", {"first": 1}, 3)
    assert captured_calls[0]["parent_id"] == step["step_id"]


def test_asynchronous_tools_names_and_errors(captured_calls: CapturedCalls) -> None:
    @llmtower.tool(name="look up")
    async def search(word: str, *more: str) -> str:
        await asyncio.sleep(0)
        raise LookupError(word)

    with pytest.raises(LookupError, match="cat"):
        asyncio.run(search("cat"))
    (step,) = captured_calls.events("step")
    assert (step["name"], step["status"], step["error_type"], step["input"]) == ("look up", "error", "LookupError", {"word": "cat"})


def test_what_has_no_signature_can_be_a_tool(captured_calls: CapturedCalls) -> None:
    assert llmtower.tool(dict.fromkeys)(["a"]) == {"a": None}
    assert captured_calls.events("step")[0]["output"] == {"a": None}


TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("header", "trace", "span"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE, SPAN),
        (f"00-{TRACE}-{SPAN}-01".encode(), TRACE, SPAN),
        (f" 00-{TRACE}-{SPAN}-00 ", TRACE, SPAN),
        (f"cc-{TRACE}-{SPAN}-01-what-comes", TRACE, SPAN),
        (f"00-{TRACE}-{SPAN}-01-what-comes", None, ""),
        (f"ff-{TRACE}-{SPAN}-01", None, ""),
        (f"00-{'0' * 32}-{SPAN}-01", None, ""),
        (f"00-{TRACE}-{'0' * 16}-01", None, ""),
        (f"00-{TRACE.upper()}-{SPAN}-01", None, ""),
        ("", None, ""),
        (7, None, ""),
    ],
)
def test_a_trace_that_comes_in(captured_calls: CapturedCalls, header: object, trace: str | None, span: str) -> None:
    with llmtower.context(traceparent=header), llmtower.call(model="m"):
        pass

    event = captured_calls[0]
    assert event["trace_id"] == trace if trace else re.fullmatch("[0-9a-f]{32}", event["trace_id"])
    assert event.get("span_id", "") == span


def test_a_trace_that_goes_out_names_the_step_around(captured_calls: CapturedCalls) -> None:
    with llmtower.context(traceparent=f"00-{TRACE}-{SPAN}-01"), llmtower.step("agent", kind="agent") as step:
        assert llmtower.traceparent() == f"00-{TRACE}-{step.id.replace('-', '')[-16:]}-01"


def test_without_a_trace_the_outermost_step_is_one(captured_calls: CapturedCalls) -> None:
    with llmtower.step("agent", kind="agent") as outer, llmtower.call(model="m") as call:
        assert llmtower.traceparent() == f"00-{outer.id.replace('-', '')}-{call.id.replace('-', '')[-16:]}-01"
    first, second = llmtower.traceparent(), llmtower.traceparent()
    assert first != second
    assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", first)


def test_a_trace_id_of_another_kind_is_not_written_into_the_header(captured_calls: CapturedCalls) -> None:
    with llmtower.context(trace_id="order 7"):
        assert re.fullmatch("00-[0-9a-f]{32}-[0-9a-f]{16}-01", llmtower.traceparent())
