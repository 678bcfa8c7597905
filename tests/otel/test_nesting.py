"""One call seen by two instrumentations of one process counts once, in whatever exports its spans arrive."""

from typing import Any

import orjson
import pytest

from llmtower_processors.cli.policy import content_writer
from llmtower_processors.gateway.intake import Taken, take_spans
from llmtower_processors.otel.ids import span_uuid
from llmtower_processors.otel.nesting import REMEMBERED_S, Decided
from llmtower_schemas.settings import Settings
from tests.otel.exports import NOW_NS, TRACE, span, traces
from tests.otel.test_dialects import SEMCONV_37

WRITE = content_writer(Settings())
OUTER = span({"openinference.span.kind": "LLM", "llm.model_name": "gpt-4o", "input.value": "hello"}, span_id="01" * 8, name="ChatOpenAI")
MIDDLE = span({"openinference.span.kind": "LLM"}, span_id="02" * 8, parent_id="01" * 8)
INNER = span(SEMCONV_37, span_id="03" * 8, parent_id="02" * 8)
DIRECT = span(SEMCONV_37, span_id="04" * 8, parent_id="01" * 8)
AGAIN = span(SEMCONV_37, span_id="05" * 8, parent_id="01" * 8)
CHAIN = span({"openinference.span.kind": "CHAIN"}, span_id="02" * 8, parent_id="01" * 8)
OTHER = span(SEMCONV_37, span_id="06" * 8, parent_id="0f" * 8)


class Clock:
    """Seconds that are set."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


class Exports:
    """Takes exports one after another, as the gateway does."""

    def __init__(self, most: int = 1_000) -> None:
        self.clock = Clock()
        self.decided = Decided(self.clock, most=most)

    def take(self, *spans: dict[str, Any], acknowledged: float = True, project: str = "shop", app: str = "bot") -> dict[str, str]:
        """Give the types of the events by the first byte of their spans."""
        body = traces(spans, {"service.name": app}).SerializeToString()
        taken = take_spans(body, is_json=False, project=project, now_ns=NOW_NS, write=WRITE)
        earlier = self.decided.earlier(project, taken.chains)
        taken = take_spans(body, is_json=False, project=project, now_ns=NOW_NS, write=WRITE, earlier=earlier)
        if acknowledged:
            self.decided.learn(project, taken.chains)
        return kinds(taken)


def kinds(taken: Taken) -> dict[str, str]:
    events = [orjson.loads(line.raw) for line in taken.lines]
    return {event["span_id"][:2]: event["type"] for event in events}


def test_the_outermost_of_one_export_is_the_call() -> None:
    assert Exports().take(INNER, CHAIN, OUTER, OTHER) == {"01": "response", "02": "step", "06": "response"}


def test_in_exports_of_their_own_the_first_is_the_call_and_the_later_one_around_it_a_step() -> None:
    exports = Exports()
    assert exports.take(DIRECT) == {"04": "response"}
    assert exports.take(OUTER) == {"01": "step"}
    assert exports.take(OUTER) == {"01": "step"}, "sent again: the same"
    assert exports.take(DIRECT) == {"04": "response"}
    assert exports.take(DIRECT, OUTER) == {"04": "response", "01": "step"}, "sent again in one export"


def test_an_export_sent_again_gives_the_same() -> None:
    exports = Exports()
    for _ in range(2):
        assert exports.take(DIRECT, OUTER) == {"01": "response"}
    assert exports.take(OUTER) == {"01": "response"}


def test_another_call_within_a_step_that_was_one_counts() -> None:
    exports = Exports()
    exports.take(DIRECT)
    assert exports.take(AGAIN, OUTER) == {"05": "response", "01": "step"}


def test_three_deep_in_whatever_exports() -> None:
    exports = Exports()
    assert exports.take(INNER) == {"03": "response"}
    assert exports.take(MIDDLE, OUTER) == {"02": "step", "01": "step"}
    other = Exports()
    assert other.take(INNER, MIDDLE) == {"02": "response"}
    assert other.take(OUTER) == {"01": "step"}
    assert other.take(INNER) == {}, "sent again alone: it was left out"


def test_a_call_that_comes_after_the_one_around_it_is_left_out() -> None:
    exports = Exports()
    assert exports.take(OUTER) == {"01": "response"}
    assert exports.take(DIRECT) == {}
    assert exports.take(OUTER) == {"01": "response"}


SILENT = span({"gen_ai.operation.name": "chat", "gen_ai.request.model": "gpt-4o"}, span_id="07" * 8, parent_id="02" * 8)
"""Of an instrumentation that sends its texts apart, as log events."""


def test_a_span_left_out_whose_texts_come_apart_is_tied_to_the_call_that_stands() -> None:
    body = traces([SILENT, CHAIN, OUTER, INNER], {"service.name": "bot", "service.version": "8"}).SerializeToString()
    for _ in range(2):
        taken = take_spans(body, is_json=False, project="shop", now_ns=NOW_NS, write=WRITE)
        (link,) = [event for event in map(orjson.loads, (line.raw for line in taken.lines)) if event["type"] == "content"]
        assert link == {
            "type": "content",
            "content_id": link["content_id"],
            "call_id": span_uuid("shop", TRACE, "01" * 8),
            "at_ns": NOW_NS - 2_000_000_000,
            "name": "llmtower.within",
            "project": "shop",
            "app": "bot",
            "release": "8",
            "trace_id": TRACE,
            "span_id": "07" * 8,
            "instrumentation": "test",
            "request_model": "gpt-4o",
        }
        assert {line.kind for line in taken.lines if line.event_id == link["content_id"]} == {"content"}, "of one identity: stored once"
    assert taken.left_out["call within a call"] == 2, "the other one has its texts"


def test_the_tie_of_texts_goes_to_one_partition_whichever_call_stands() -> None:
    bodies = [traces(spans, {"service.name": "bot"}).SerializeToString() for spans in ([SILENT, MIDDLE, OUTER], [SILENT, MIDDLE])]
    both = [take_spans(body, is_json=False, project="shop", now_ns=NOW_NS, write=WRITE) for body in bodies]
    ties = [line for taken in both for line in taken.lines if orjson.loads(line.raw)["span_id"] == "07" * 8]
    assert len({orjson.loads(line.raw)["call_id"] for line in ties}) == 2, "of another call, sent again as it is"
    assert len({line.event_id for line in ties}) == 1
    assert {line.beside for line in ties} == {""}, "so that the one that came first is found"


def test_only_what_kafka_has_is_remembered() -> None:
    exports = Exports()
    exports.take(DIRECT, acknowledged=False)
    assert exports.take(OUTER) == {"01": "response"}


@pytest.mark.parametrize("other", [{"project": "other"}, {"app": "proxy"}])
def test_other_projects_and_applications_are_none_of_it(other: dict[str, Any]) -> None:
    exports = Exports()
    exports.take(DIRECT)
    assert exports.take(OUTER, **other) == {"01": "response"}


def test_what_is_remembered_is_bounded_in_time_and_number() -> None:
    exports = Exports()
    exports.take(DIRECT)
    exports.clock.s += REMEMBERED_S + 1
    assert exports.take(OUTER) == {"01": "response"}
    small = Exports(most=4)
    small.take(DIRECT)
    for number in range(16, 26):
        small.take(span(SEMCONV_37, span_id=f"{number:02x}" * 8, parent_id=f"{number + 100:02x}" * 8))
    assert len(small.decided) == 4
    assert small.take(OUTER) == {"01": "response"}


def test_the_step_keeps_what_the_span_said() -> None:
    exports = Exports()
    exports.take(DIRECT)
    body = traces([OUTER]).SerializeToString()
    alone = take_spans(body, is_json=False, project="shop", now_ns=NOW_NS, write=WRITE)
    earlier = Decided(exports.clock)
    earlier.learn(
        "shop", take_spans(traces([DIRECT]).SerializeToString(), is_json=False, project="shop", now_ns=NOW_NS, write=WRITE).chains
    )
    taken = take_spans(body, is_json=False, project="shop", now_ns=NOW_NS, write=WRITE, earlier=earlier.earlier("shop", alone.chains))
    (call,), (step,) = ([orjson.loads(line.raw) for line in one.lines] for one in (alone, taken))
    assert (step["step_id"], step["name"], step["attributes"]) == (call["call_id"], "ChatOpenAI", {"request_model": "gpt-4o"})
    assert (step["input"], step["started_at_ns"], step["trace_id"]) == (call["input"], call["started_at_ns"], call["trace_id"])
