"""Reading export requests: both forms say the same, and one bad record is rejected alone."""

import json
from typing import Any

import pytest

from llmtower_processors.otel import json_form, protobuf
from llmtower_processors.otel.model import MAX_ATTRIBUTES, Rejected, Span, UnreadableError
from tests.otel.exports import NOW_NS, PARENT, SPAN, TRACE, as_json, logs, span, traces

VALUES: dict[str, Any] = {
    "text": "grüße",
    "whole": 2**53 + 1,
    "negative": -5,
    "half": 0.5,
    "yes": True,
    "list": ["a", 1, 0.5, False],
    "deep": {"a": {"b": [1, {"c": "d"}]}},
    "raw": b"\x00\xff",
    "nothing": None,
}


def test_both_forms_say_the_same() -> None:
    event = ("gen_ai.content.prompt", NOW_NS, {"gen_ai.prompt": "hello"})
    request = traces([span(VALUES, parent_id=PARENT, code=2, message="late", events=[event]), span(span_id="aa" * 8)])
    of_protobuf, of_json = list(protobuf.read_spans(request.SerializeToString())), list(json_form.read_spans(as_json(request)))
    assert of_protobuf == of_json
    first = of_protobuf[0]
    assert isinstance(first, Span)
    assert (first.trace_id, first.span_id, first.parent_id, first.failed, first.message) == (TRACE, SPAN, PARENT, True, "late")
    assert first.attributes == VALUES | {"raw": "AP8="}
    assert first.resource["app"] == "support-bot"


def test_both_forms_of_logs_say_the_same() -> None:
    request = logs([{"name": "gen_ai.evaluation.result", "attributes": VALUES}])
    assert list(protobuf.read_logs(request.SerializeToString())) == list(json_form.read_logs(as_json(request)))


@pytest.mark.parametrize(("trace_id", "span_id"), [("", SPAN), (TRACE, ""), ("00" * 16, SPAN), (TRACE, "00" * 8), ("ab" * 15, SPAN)])
def test_a_span_with_invalid_ids_is_rejected_alone(trace_id: str, span_id: str) -> None:
    request = traces([span(), span(trace_id=trace_id, span_id=span_id), span(span_id="cc" * 8)])
    for read in (protobuf.read_spans(request.SerializeToString()), json_form.read_spans(as_json(request))):
        kinds = [type(found) for found in read]
        assert kinds == [Span, Rejected, Span]


@pytest.mark.parametrize(
    "bad",
    [
        {"attributes": [{"value": {}}]},
        {"startTimeUnixNano": "soon"},
        {"events": [7]},
        {"attributes": [{"key": "a", "value": {"intValue": "x"}}]},
        {"attributes": [{"key": "a", "value": {"intValue": "9" * 30}}]},
        {"endTimeUnixNano": "9" * 30},
    ],
)
def test_half_a_json_batch_malformed_leaves_the_other_half(bad: dict[str, Any]) -> None:
    good = {"traceId": TRACE, "spanId": SPAN, "startTimeUnixNano": str(NOW_NS), "endTimeUnixNano": NOW_NS}
    body = json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [good, good | bad, "no span", good]}]}]}).encode()
    assert [type(found) for found in json_form.read_spans(body)] == [Span, Rejected, Rejected, Span]


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"resourceSpans": 7}', b"\xff\xff"])
def test_a_body_that_is_no_json_request_is_unreadable(body: bytes) -> None:
    with pytest.raises(UnreadableError):
        list(json_form.read_spans(body))


def test_a_body_that_is_no_protobuf_is_unreadable_and_an_empty_one_is_an_empty_request() -> None:
    with pytest.raises(UnreadableError):
        list(protobuf.read_spans(b"\xff\xff"))
    assert list(protobuf.read_spans(b"")) == []


def test_a_hundred_thousand_attributes_are_bounded() -> None:
    request = traces([span({f"a{number}": 1 for number in range(100_000)})])
    for read in (protobuf.read_spans(request.SerializeToString()), json_form.read_spans(as_json(request))):
        (found,) = read
        assert isinstance(found, Span)
        assert len(found.attributes) == MAX_ATTRIBUTES


def test_unknown_enum_values_do_no_harm() -> None:
    request = traces([span(code=0)])
    request.resource_spans[0].scope_spans[0].spans[0].kind = 99  # type: ignore[assignment]  # that is the point
    assert [type(found) for found in protobuf.read_spans(request.SerializeToString())] == [Span]
