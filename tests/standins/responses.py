"""Speaks OpenAI's Responses API, embeddings and legacy completions; the request's `model` names the script (docs: "Responses")."""

import base64
import json
import struct
import time
from collections.abc import Iterator
from typing import Any

from tests.standins.service import Asked, Cut, Reply, json_reply, slowly

USAGE: dict[str, Any] = {
    "input_tokens": 1_000,
    "input_tokens_details": {"cached_tokens": 600},
    "output_tokens": 120,
    "output_tokens_details": {"reasoning_tokens": 80},
    "total_tokens": 1_120,
}
MODEL = "gpt-5-2025-08-07"
TOOL = {
    "type": "function_call",
    "id": "fc_1",
    "call_id": "call_1",
    "name": "weather",
    "arguments": '{"city": "Oslo"}',
    "status": "completed",
}
COMPLETION_USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


def script(asked: Asked) -> Reply:
    """Answer one request."""
    body, path = asked.body, asked.path
    if body["model"].startswith("error-"):
        return json_reply({"error": {"message": "no: secret prompt", "type": "x", "code": None}}, int(body["model"][6:]))
    if body["model"] == "slow":
        time.sleep(1.0)
    if path.endswith("/embeddings"):
        return json_reply(embeddings(body))
    if path.endswith("/completions"):
        return _completions(body)
    if body.get("stream"):
        events = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in _numbered(body["model"]))
        return Reply(slowly(events, 0.15) if body["model"] == "trickle" else events, content_type="text/event-stream")
    return json_reply(answer(body["model"]))


def _message(text: str = '{"word": "Hello"}', status: str = "completed") -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": status, "content": [part] if text else []}


def answer(model: str) -> dict[str, Any]:
    """Give a whole answer."""
    status = {"cut off": "incomplete", "failing": "failed"}.get(model, "completed")
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": MODEL,
        "status": status,
        "service_tier": "default",
        "error": {"code": "server_error", "message": "no: secret"} if status == "failed" else None,
        "incomplete_details": {"reason": "max_output_tokens"} if status == "incomplete" else None,
        "output": [TOOL] if model == "tool" else [_message()],
        "usage": USAGE,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }


def _numbered(model: str) -> Iterator[dict[str, Any]]:
    for number, event in enumerate(_events(model)):
        yield {**event, "sequence_number": number}


def _events(model: str) -> Iterator[dict[str, Any]]:
    whole = answer(model)
    begun = {**whole, "status": "in_progress", "output": [], "usage": None, "error": None, "incomplete_details": None}
    yield {"type": "response.created", "response": begun}
    at: dict[str, Any] = {"output_index": 0, "item_id": whole["output"][0]["id"]}
    if model == "tool":
        yield {"type": "response.output_item.added", "output_index": 0, "item": {**TOOL, "arguments": ""}}
        yield {"type": "response.function_call_arguments.delta", **at, "delta": TOOL["arguments"]}
        yield {"type": "response.function_call_arguments.done", **at, "arguments": TOOL["arguments"]}
    else:
        at |= {"content_index": 0}
        yield {"type": "response.output_item.added", "output_index": 0, "item": _message("", "in_progress")}
        yield {"type": "response.content_part.added", **at, "part": {"type": "output_text", "text": "", "annotations": []}}
        for delta in ('{"word": ', '"Hello"}'):
            yield {"type": "response.output_text.delta", **at, "delta": delta, "logprobs": []}
            if model == "cut":
                raise Cut
        yield {"type": "response.output_text.done", **at, "text": '{"word": "Hello"}', "logprobs": []}
    yield {"type": "response.output_item.done", "output_index": 0, "item": whole["output"][0]}
    yield {"type": f"response.{whole['status']}", "response": whole}


def embeddings(body: dict[str, Any]) -> dict[str, Any]:
    """Give two numbers per text, in the encoding that was asked for."""
    vector: Any = [0.5, 0.25]
    if body.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<2f", *vector)).decode()
    texts = body["input"] if isinstance(body["input"], list) else [body["input"]]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, _ in enumerate(texts)]
    return {"object": "list", "data": data, "model": body["model"], "usage": {"prompt_tokens": 8, "total_tokens": 8}}


def _completions(body: dict[str, Any]) -> Reply:
    base = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": body["model"]}

    def choice(text: str, reason: str | None) -> dict[str, Any]:
        return {"index": 0, "text": text, "finish_reason": reason, "logprobs": None}

    if not body.get("stream"):
        return json_reply({**base, "choices": [choice("Hello there", "stop")], "usage": COMPLETION_USAGE})
    parts = [{**base, "choices": [choice("Hello", None)]}, {**base, "choices": [choice(" there", "stop")]}]
    if (body.get("stream_options") or {}).get("include_usage"):
        parts.append({**base, "choices": [], "usage": COMPLETION_USAGE})
    return Reply([*(f"data: {json.dumps(part)}\n\n".encode() for part in parts), b"data: [DONE]\n\n"], content_type="text/event-stream")
