"""The gateway's answers, over its real pages with Kafka in memory: statuses, bodies, keys, limits."""

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import orjson
import pytest
import zstandard
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse
from prometheus_client import CollectorRegistry

from llmtower_processors.cli.policy import content_writer
from llmtower_processors.errors import Unreachable
from llmtower_processors.gateway.app import Gateway, Parts, build_app
from llmtower_processors.gateway.intake import MAX_LINE_BYTES
from llmtower_processors.gateway.keyring import Keyring
from llmtower_processors.gateway.sink import MemorySink
from llmtower_processors.registry_topic import RegistryRecord
from llmtower_schemas.keys import ApiKey, Scope, encode_key, make_key
from llmtower_schemas.settings import GatewaySettings, Settings
from tests.otel.exports import NOW_NS, PARENT, as_json, logs, span, traces
from tests.otel.test_dialects import SEMCONV_37

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json"}
CALL = traces([span(SEMCONV_37)]).SerializeToString()


class MemoryFeed:
    """Keys as they are written."""

    def __init__(self) -> None:
        self.new: list[RegistryRecord] = []
        self.away = False

    def publish(self, key: ApiKey) -> None:
        self.new.append(RegistryRecord("memory", 0, 0, key.key.encode(), encode_key(key)))

    async def poll(self) -> list[RegistryRecord]:
        if self.away:
            raise Unreachable("Kafka is away.")
        found, self.new = self.new, []
        return found

    async def close(self) -> None:
        pass


class Desk:
    """A gateway and its parts; `post` sends one request through the real pages."""

    def __init__(self, *, open_project: str | None = "default", elsewhere: Any = None, **given: Any) -> None:
        self.feed, self.sink = MemoryFeed(), MemorySink()
        self.keyring = Keyring(open_project)
        self.settings = GatewaySettings(**{"body_bytes": 200_000, **given})
        write = content_writer(Settings())
        parts = Parts(self.settings, self.sink, self.keyring, self.feed, write, lambda: NOW_NS, elsewhere)
        self.gateway = Gateway(parts, CollectorRegistry())
        self.app = build_app(self.gateway)
        self.gateway.keys_known = True

    def key(self, *scopes: Scope, project: str = "shop") -> str:
        text, key = make_key(project, scopes, name="", at_us=1)
        self.feed.publish(key)
        self.learn()
        return text

    def learn(self) -> None:
        self.keyring.learn(asyncio.run(self.feed.poll()))

    def post(self, path: str, content: Any, headers: dict[str, str], method: str = "POST") -> httpx.Response:
        async def send() -> httpx.Response:
            transport = httpx.ASGITransport(self.app)
            async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
                return await client.request(method, path, content=content, headers=headers)

        return asyncio.run(send())

    def events(self) -> list[dict[str, Any]]:
        return [orjson.loads(line.raw) for line in self.sink.lines]


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.mark.parametrize(("body", "headers"), [(CALL, PROTOBUF), (as_json(traces([span(SEMCONV_37)])), JSON)])
def test_a_call_is_taken_and_answered_in_its_own_content_type(desk: Desk, body: bytes, headers: dict[str, str]) -> None:
    answer = desk.post("/v1/traces", body, headers)
    assert (answer.status_code, answer.headers["content-type"]) == (200, headers["content-type"])
    assert answer.content == (b"" if headers is PROTOBUF else b"{}")
    (event,) = desk.events()
    assert (event["type"], event["project"], event["app"], event["usage"]["cache_read_tokens"]) == (
        "response",
        "default",
        "support-bot",
        40,
    )


def test_a_call_seen_twice_in_exports_of_their_own_counts_once(desk: Desk) -> None:
    inner, outer = (traces([one]).SerializeToString() for one in (span(SEMCONV_37, parent_id=PARENT), span(SEMCONV_37, span_id=PARENT)))
    desk.sink.fails = 1
    assert desk.post("/v1/traces", inner, PROTOBUF).status_code == 503
    for body in (inner, outer, outer):
        assert desk.post("/v1/traces", body, PROTOBUF).status_code == 200
    assert [event["type"] for event in desk.events()] == ["response", "step", "step"]
    assert len({line.event_id for line in desk.sink.lines}) == 2, "what is sent again is recognised"


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.ZstdCompressor().compress,
}


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_bodies_may_be_compressed(desk: Desk, encoding: str) -> None:
    body = COMPRESSED[encoding](CALL)
    assert desk.post("/v1/traces", body, PROTOBUF | {"content-encoding": encoding}).status_code == 200
    assert len(desk.events()) == 1


@pytest.mark.parametrize("encoding", COMPRESSED)
def test_truncated_streams_and_bombs_are_refused_in_little_memory(desk: Desk, encoding: str) -> None:
    whole = COMPRESSED[encoding](os.urandom(3_000))
    headers = PROTOBUF | {"content-encoding": encoding}
    assert desk.post("/v1/traces", whole[: len(whole) // 2], headers).status_code == 400
    bomb = COMPRESSED[encoding](bytes(64 << 20))
    assert len(bomb) < 200_000
    assert desk.post("/v1/traces", bomb, headers).status_code == 413
    assert desk.gateway.budget.held == 0


def test_an_oversize_body_is_refused_whatever_it_declares(desk: Desk) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(1_000):
            yield bytes(1_000)

    assert desk.post("/v1/traces", bytes(200_001), PROTOBUF).status_code == 413
    assert desk.post("/v1/traces", chunks(), PROTOBUF).status_code == 413


def test_a_body_that_never_ends_is_not_waited_for() -> None:
    desk = Desk(body_s=0.05)

    async def trickle() -> AsyncIterator[bytes]:
        yield b"\n"
        await asyncio.sleep(5)
        yield b"\n"

    assert desk.post("/v1/traces", trickle(), PROTOBUF).status_code == 408


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "text/plain"}, 415),
        ({}, 415),
        (JSON | {"content-encoding": "br"}, 415),
        (JSON, 400),
        ({"content-type": "application/json; charset=utf-8"}, 400),
    ],
)
def test_wrong_types_are_named(desk: Desk, headers: dict[str, str], status: int) -> None:
    answer = desk.post("/v1/traces", CALL, headers)
    assert answer.status_code == status
    assert set(answer.json()) == {"code", "message"}


def test_errors_have_a_status_body_in_protobuf_too(desk: Desk) -> None:
    answer = desk.post("/v1/traces", b"\xff\xff", PROTOBUF)
    assert answer.status_code == 400
    assert Status.FromString(answer.content).code == 3


def test_a_batch_half_malformed_is_a_partial_success(desk: Desk) -> None:
    request = traces([span(SEMCONV_37), span(SEMCONV_37, trace_id=""), span(SEMCONV_37, start_ns=1, span_id="aa" * 8)])
    answer = ExportTraceServiceResponse.FromString(desk.post("/v1/traces", request.SerializeToString(), PROTOBUF).content)
    assert answer.partial_success.rejected_spans == 2
    assert answer.partial_success.error_message == "1 x invalid trace or span id, 1 x time out of range"
    as_text = desk.post("/v1/traces", as_json(request), JSON).json()
    assert as_text["partialSuccess"]["rejectedSpans"] == "2"
    assert [event["span_id"] for event in desk.events()] == ["b7ad6b7169203331"] * 2


def test_what_is_no_llm_span_is_counted_and_left_out(desk: Desk) -> None:
    assert desk.post("/v1/traces", traces([span({"http.route": "/"})]).SerializeToString(), PROTOBUF).status_code == 200
    assert not desk.sink.lines
    page = desk.post("/metrics", None, {}, method="GET").text
    assert 'llmtower_gateway_records_total{outcome="left_out",path="/v1/traces",reason="no LLM span"} 1.0' in page


def test_success_is_said_only_when_kafka_has_it(desk: Desk) -> None:
    desk.sink.fails = 1
    answer = desk.post("/v1/traces", CALL, PROTOBUF)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert not desk.sink.lines
    assert desk.post("/v1/traces", CALL, PROTOBUF).status_code == 200
    assert len(desk.sink.lines) == 1


def test_what_is_sent_again_has_the_same_identity(desk: Desk) -> None:
    again = traces([span({"gen_ai.operation.name": "chat"}, span_id="bb" * 8), span(SEMCONV_37)]).SerializeToString()
    desk.post("/v1/traces", CALL, PROTOBUF)
    desk.post("/v1/traces", again, PROTOBUF)
    first, _, second = desk.sink.lines
    assert first == second


def test_senders_are_told_to_wait_when_too_much_is_held() -> None:
    desk = Desk(inflight_bytes=1 << 20)
    desk.gateway.budget.held = (1 << 20) - 10
    answer = desk.post("/v1/traces", CALL, PROTOBUF)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")


def test_keys_decide_who_writes_where(desk: Desk) -> None:
    assert desk.post("/v1/traces", CALL, PROTOBUF).status_code == 200  # nobody has made a key yet, and this is loopback
    key, feedback_only = desk.key("emit", project="shop"), desk.key("feedback")
    wrong = key[:-2] + ("aa" if key[-2:] != "aa" else "bb")
    statuses = {
        name: desk.post("/v1/traces", CALL, PROTOBUF | {"authorization": f"Bearer {value}"}).status_code
        for name, value in {"right": key, "wrong": wrong, "scope": feedback_only, "nonsense": "x"}.items()
    }
    assert statuses == {"right": 200, "wrong": 401, "scope": 403, "nonsense": 401}
    assert desk.post("/v1/traces", CALL, PROTOBUF).status_code == 401
    assert desk.post("/v1/traces", CALL, PROTOBUF | {"x-api-key": key}).status_code == 200
    assert [event["project"] for event in desk.events()] == ["default", "shop", "shop"]


def test_a_revoked_key_is_refused_without_a_restart(desk: Desk) -> None:
    text, key = make_key("shop", ["emit"], name="", at_us=1)
    desk.feed.publish(key)
    desk.learn()
    headers = PROTOBUF | {"authorization": f"Bearer {text}"}
    assert desk.post("/v1/traces", CALL, headers).status_code == 200
    desk.feed.publish(key.model_copy(update={"revoked_at_us": 2}))
    desk.learn()
    assert desk.post("/v1/traces", CALL, headers).status_code == 401


def test_beyond_loopback_nothing_is_open_even_without_keys() -> None:
    assert Desk(open_project=None).post("/v1/traces", CALL, PROTOBUF).status_code == 401


def test_before_the_keys_are_read_nobody_is_let_in(desk: Desk) -> None:
    desk.gateway.keys_known = False
    assert desk.post("/v1/traces", CALL, PROTOBUF).status_code == 503
    assert desk.post("/readyz", None, {}, method="GET").status_code == 503


def test_an_evaluation_result_becomes_a_score(desk: Desk) -> None:
    given = {"gen_ai.evaluation.name": "faithfulness", "gen_ai.evaluation.score.value": 0.9, "gen_ai.evaluation.score.label": "pass"}
    records = [{"name": "gen_ai.evaluation.result", "attributes": given}, {"name": "other", "attributes": {}}]
    assert desk.post("/v1/logs", as_json(logs(records)), JSON).status_code == 200
    (event,) = desk.events()
    assert (event["type"], event["name"], event["value"], event["label"], event["target_kind"]) == (
        "score",
        "faithfulness",
        0.9,
        "pass",
        "call_id",
    )


def message(name: str, body: Any, at_ns: int = NOW_NS, **given: Any) -> dict[str, Any]:
    return {"name": name, "body": body, "at_ns": at_ns, **given}


MESSAGES = [
    message("gen_ai.system.message", {"content": "Be brief."}, NOW_NS - 3),
    message("gen_ai.user.message", {"content": "My key is sk-proj-Abcdefghijklmnop1234567890"}, NOW_NS - 2),
    message("gen_ai.tool.message", {"id": "call_1", "content": "42"}, NOW_NS - 1),
    message("gen_ai.choice", {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Done."}}),
]


@pytest.mark.parametrize("as_proto", [True, False])
def test_messages_that_come_apart_from_their_span_are_tied_to_its_call(desk: Desk, as_proto: bool) -> None:
    request = logs(MESSAGES)
    body, headers = (request.SerializeToString(), PROTOBUF) if as_proto else (as_json(request), JSON)
    assert desk.post("/v1/logs", body, headers).status_code == 200
    assert desk.post("/v1/traces", CALL, PROTOBUF).status_code == 200
    *texts, call = desk.events()
    assert [event["type"] for event in texts] == ["content"] * 4
    assert {event["call_id"] for event in texts} == {call["call_id"]}
    assert [event.get("input") or event["output"] for event in texts] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "My key is [redacted:api-key]"},
        {"role": "tool", "id": "call_1", "content": "42"},
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Done."}},
    ]
    assert {(line.topic, line.beside) for line in desk.sink.lines[:4]} == {("llmtower.signals", call["call_id"])}


def test_all_messages_of_a_call_in_one_event(desk: Desk) -> None:
    said = {
        "gen_ai.input.messages": '[{"role":"user","parts":[{"type":"text","content":"hi"}]}]',
        "gen_ai.system_instructions": '["Be brief."]',
    }
    answered = {"gen_ai.output.messages": [{"role": "assistant", "parts": [{"type": "text", "content": "hello"}]}]}
    given = {"name": "gen_ai.client.inference.operation.details", "attributes": said | answered}
    assert desk.post("/v1/logs", logs([given, {**given, "attributes": {}}]).SerializeToString(), PROTOBUF).status_code == 200
    (event,) = desk.events()
    assert [one["role"] for one in event["input"]] == ["system", "user"]
    assert event["output"][0]["parts"][0]["content"] == "hello"


def test_a_message_sent_again_is_the_same_and_one_without_text_is_left_out(desk: Desk) -> None:
    for _ in range(2):
        desk.post("/v1/logs", logs(MESSAGES).SerializeToString(), PROTOBUF)
    assert len({line.event_id for line in desk.sink.lines}) == len(MESSAGES)
    silent = [message("gen_ai.user.message", None), message("gen_ai.choice", {"index": 0, "message": {"role": "assistant"}})]
    before = len(desk.sink.lines)
    assert desk.post("/v1/logs", as_json(logs(silent)), JSON).json() == {}
    lost = desk.post("/v1/logs", as_json(logs([message("gen_ai.user.message", {"content": "?"}, trace_id="", span_id="")])), JSON)
    assert lost.json()["partialSuccess"]["errorMessage"] == "1 x message without the span it belongs to"
    assert len(desk.sink.lines) == before


def test_texts_that_come_late_are_hashed_or_left_out_as_the_settings_say(desk: Desk) -> None:
    event = {"type": "content", "app": "a", "call_id": "x", "input": {"content": "secret"}}
    for capture in ("hash", "off"):
        line = content_writer(Settings(capture=capture))(event)
        assert b"secret" not in line
        assert orjson.loads(line)["capture"] == capture


def test_our_own_events_line_by_line(desk: Desk) -> None:
    good = {"type": "deploy", "app": "a", "deploy_id": "01234567-89ab-7def-8123-456789abcdef", "at_ns": NOW_NS, "version": "1.8"}
    body = b"\n".join([orjson.dumps(good), b"{broken", orjson.dumps({**good, "project": "other"}), orjson.dumps({"type": "deploy"})])
    answer = desk.post("/v1/events", body, {"content-type": "application/x-ndjson"})
    assert answer.status_code == 200
    assert answer.json()["accepted"] == 1
    assert sum(answer.json()["rejected"].values()) == 3
    assert desk.post("/v1/events", b"{broken", JSON).status_code == 400
    assert [line.project for line in desk.sink.lines] == ["default"]


def test_feedback_said_twice_is_the_same_and_changed_is_another(desk: Desk) -> None:
    given = {"target_id": "01234567-89ab-7def-8123-456789abcdef", "score": 1, "user_id": "u-1"}
    for said in (given, given, given | {"score": -1}):
        assert desk.post("/v1/feedback", json.dumps(said), JSON).status_code == 200
    first, second, third = desk.sink.lines
    assert first.event_id == second.event_id != third.event_id
    assert desk.post("/v1/feedback", json.dumps(given | {"score": 7}), JSON).status_code == 400
    assert desk.post("/v1/feedback", "[]", JSON).status_code == 400


def test_feedback_that_names_itself_is_a_word_of_its_own_and_sent_again_is_one(desk: Desk) -> None:
    given = {"target_id": "trace-1", "target_kind": "trace_id", "label": "bad", "comment": "no", "correction": "yes"}
    for number in (1, 2, 2):
        said = given | {"feedback_id": f"01234567-89ab-4def-8123-45678900000{number}"}
        assert desk.post("/v1/feedback", json.dumps(said), JSON).status_code == 200
    first, second, third = (line.event_id for line in desk.sink.lines)
    assert first != second == third
    assert all(event.items() >= given.items() for event in desk.events())


def test_the_thumbs_are_served_to_everyone_and_small(desk: Desk) -> None:
    answer = desk.post("/thumbs.js", None, {}, method="GET")
    assert (answer.status_code, answer.headers["content-type"].partition(";")[0]) == (200, "text/javascript")
    assert 1_000 < len(answer.content) <= 2_048
    assert b"/v1/feedback" in answer.content


def test_browsers_of_listed_origins_alone_may_send_feedback() -> None:
    desk = Desk(cors_origins="https://shop.example")
    asked = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    allowed = desk.post("/v1/feedback", None, asked | {"origin": "https://shop.example"}, method="OPTIONS")
    foreign = desk.post("/v1/feedback", None, asked | {"origin": "https://evil.example"}, method="OPTIONS")
    assert allowed.headers["access-control-allow-origin"] == "https://shop.example"
    assert "access-control-allow-origin" not in foreign.headers


def test_secrets_and_sizes_are_seen_to_as_in_the_sdk() -> None:
    desk = Desk(body_bytes=20 << 20)
    secret = "sk-proj-" + "a1b2c3d4" * 5
    given = SEMCONV_37 | {
        "gen_ai.input.messages": json.dumps([{"role": "user", "content": f"my key is {secret}"}]),
        "gen_ai.output.messages": "x" * (10 << 20),
    }
    assert desk.post("/v1/traces", traces([span(given)]).SerializeToString(), PROTOBUF).status_code == 200
    (line,) = desk.sink.lines
    assert secret.encode() not in line.raw
    assert b"[redacted:api-key]" in line.raw
    assert b"[llmtower: cut, " in line.raw
    assert len(line.raw) <= 1_000_000


@pytest.mark.parametrize(
    ("strange", "reason"),
    [
        ({"gen_ai.input.messages": "x" * 10_000_000}, ""),
        ({f"app.attribute.{number}": number for number in range(100_000)}, ""),
        ({f"gen_ai.usage.{number}.{'n' * 200}": number for number in range(9_000)}, "1 x event too large"),
    ],
    ids=["10 MB in one attribute", "100,000 attributes", "2 MB of names"],
)
def test_a_monstrous_span_is_cut_or_refused_and_its_neighbour_taken(strange: dict[str, Any], reason: str) -> None:
    desk = Desk(body_bytes=20 << 20)
    spans = [span(SEMCONV_37 | strange), span(SEMCONV_37, span_id="00f067aa0ba902b8")]
    answer = desk.post("/v1/traces", as_json(traces(spans)), JSON)
    assert answer.status_code == 200
    assert answer.json().get("partialSuccess", {}).get("errorMessage", "") == reason
    assert len(desk.sink.lines) == (1 if reason else 2)
    assert max(len(line.raw) for line in desk.sink.lines) <= MAX_LINE_BYTES


def test_metrics_of_otlp_are_refused_with_a_remedy(desk: Desk) -> None:
    answer = desk.post("/v1/metrics", b"{}", JSON)
    assert (answer.status_code, "OTEL_METRICS_EXPORTER=none" in answer.json()["message"]) == (404, True)


def test_keys_hold_while_kafka_is_away(desk: Desk) -> None:
    key = desk.key("emit")
    desk.feed.away = True

    async def follow() -> None:
        task = asyncio.create_task(desk.gateway.follow())
        await asyncio.sleep(0.01)
        task.cancel()

    asyncio.run(follow())
    assert desk.post("/v1/traces", CALL, PROTOBUF | {"authorization": f"Bearer {key}"}).status_code == 200
