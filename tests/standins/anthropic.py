"""Speaks Anthropic's Messages API; the request's `model` names the script (docs: "Messages", "Streaming messages")."""

import json
import time
from collections.abc import Iterator
from typing import Any

from tests.standins.service import Asked, Cut, Reply, json_reply, slowly

USAGE: dict[str, Any] = {
    "input_tokens": 25,
    "cache_creation_input_tokens": 1_248,
    "cache_read_input_tokens": 3_000,
    "cache_creation": {"ephemeral_5m_input_tokens": 248, "ephemeral_1h_input_tokens": 1_000},
    "output_tokens": 90,
    "output_tokens_details": {"thinking_tokens": 40},
    "service_tier": "standard",
    "server_tool_use": None,
}
SEARCHES = {"web_search_requests": 3, "web_fetch_requests": 2}
TEXT = [{"type": "text", "text": "Hello there"}]
THINKING = [{"type": "thinking", "thinking": "Let me see.", "signature": "c2ln"}, *TEXT]
TOOL: list[dict[str, Any]] = [
    {"type": "text", "text": "I look."},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
]
SERVER = [
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "oslo"}},
    {
        "type": "web_search_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": [{"type": "web_search_result", "url": "https://x.test", "title": "Oslo", "encrypted_content": "e", "page_age": None}],
    },
    *TEXT,
]
CONTENTS = {"thinking": THINKING, "tool": TOOL, "search": SERVER}
LIMITS = {"request_id": "req_1", "anthropic_ratelimit_requests_remaining": "49", "anthropic_ratelimit_tokens_remaining": "9000"}
ERRORS = {
    400: "invalid_request_error",
    401: "authentication_error",
    404: "not_found_error",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}


def script(asked: Asked) -> Reply:
    """Answer one request."""
    model = asked.body["model"]
    if model.startswith("error-"):
        status = int(model[6:])
        return json_reply({"type": "error", "error": {"type": ERRORS[status], "message": "no: secret prompt"}}, status, **LIMITS)
    if model == "slow":
        time.sleep(1.0)
    if asked.body.get("stream"):
        chunks = _encoded(events(model))
        return Reply(
            slowly(chunks, 0.2) if model == "trickle" else chunks, content_type="text/event-stream", headers={"request-id": "req_1"}
        )
    return json_reply(message(model), 200, **LIMITS)


def usage(model: str) -> dict[str, Any]:
    """Give the final count of a call."""
    return {**USAGE, "server_tool_use": SEARCHES} if model == "search" else USAGE


def message(model: str) -> dict[str, Any]:
    """Give a whole answer."""
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-sonnet-4-5-20250929",
        "content": CONTENTS.get(model, TEXT),
        "stop_reason": "tool_use" if model == "tool" else "end_turn",
        "stop_sequence": None,
        "usage": usage(model),
    }


def events(model: str) -> Iterator[dict[str, Any]]:
    """Give the events of a streamed answer."""
    whole = message(model)
    early = {**usage(model), "output_tokens": 1, "output_tokens_details": None, "server_tool_use": None}
    yield {"type": "message_start", "message": {**whole, "content": [], "stop_reason": None, "usage": early}}
    yield {"type": "ping"}
    for index, block in enumerate(whole["content"]):
        start, deltas = _split(block)
        yield {"type": "content_block_start", "index": index, "content_block": start}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
            if model == "failing":
                yield {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
            if model == "cut":
                raise Cut
        yield {"type": "content_block_stop", "index": index}
    late = {key: value for key, value in usage(model).items() if key not in ("cache_creation", "service_tier")}
    yield {"type": "message_delta", "delta": {"stop_reason": whole["stop_reason"], "stop_sequence": None}, "usage": late}
    yield {"type": "message_stop"}


def _split(block: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    if block["type"] == "text":
        parts = block["text"].partition(" ")
        return {"type": "text", "text": ""}, [{"type": "text_delta", "text": part} for part in parts if part]
    if block["type"] == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": block["thinking"]}, {"type": "signature_delta", "signature": block["signature"]}]
        return {**block, "thinking": "", "signature": ""}, deltas
    if block["type"] in ("tool_use", "server_tool_use"):
        text = json.dumps(block["input"])
        return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in ("", text[:5], text[5:])]
    return block, []


def _encoded(found: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    for event in found:
        yield f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
