"""Speaks the Gemini API; the model in the path names the script (docs: "Generating content", "streamGenerateContent")."""

import json
import time
from collections.abc import Iterator
from typing import Any

from tests.standins.service import Asked, Cut, Reply, json_reply, slowly

USAGE: dict[str, Any] = {
    "promptTokenCount": 1_000,
    "cachedContentTokenCount": 600,
    "candidatesTokenCount": 50,
    "thoughtsTokenCount": 30,
    "totalTokenCount": 1_080,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 1_000}],
}
VERSION = "gemini-2.5-flash"
CALL = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}
ERRORS = {400: "INVALID_ARGUMENT", 403: "PERMISSION_DENIED", 429: "RESOURCE_EXHAUSTED", 500: "INTERNAL", 504: "DEADLINE_EXCEEDED"}


def script(asked: Asked) -> Reply:
    """Answer one request."""
    model, _, method = asked.path.rpartition("/")[2].partition(":")
    if model.startswith("error-"):
        status = int(model[6:])
        return json_reply({"error": {"code": status, "message": "no: secret prompt", "status": ERRORS[status]}}, status)
    if model == "slow":
        time.sleep(1.0)
    if "mbedContent" in method:
        one = {"values": [0.1, 0.2, 0.3]}
        return json_reply({"embeddings": [one] * len(asked.body["requests"])} if "batch" in method else {"embedding": one})
    if method.startswith("stream"):
        chunks = (b"data: " + json.dumps(part).encode() + b"\n\n" for part in _chunks(model))
        return Reply(slowly(chunks, 0.2) if model == "trickle" else chunks, content_type="text/event-stream")
    if model == "agent" and "functionResponse" not in json.dumps(asked.body):
        return json_reply(answer("tool"))
    return json_reply(answer(model))


def _parts(model: str) -> list[dict[str, Any]]:
    if model == "tool":
        return [CALL]
    return [{"text": "Let me see.", "thought": True}, {"text": "Hello there"}]


def answer(model: str) -> dict[str, Any]:
    """Give a whole answer."""
    candidate = {"content": {"role": "model", "parts": _parts(model)}, "finishReason": "STOP", "index": 0}
    whole: dict[str, Any] = {"candidates": [candidate], "usageMetadata": USAGE, "modelVersion": VERSION, "responseId": "r-1"}
    if model == "blocked":
        whole |= {"candidates": [], "promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "usageMetadata": {"promptTokenCount": 9}}
    return whole


def _chunks(model: str) -> Iterator[dict[str, Any]]:
    parts = [CALL] if model == "tool" else [{"text": "Let me see.", "thought": True}, {"text": "Hello"}, {"text": " there"}]
    base = {"modelVersion": VERSION, "responseId": "r-1"}
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        usage = USAGE if last else {"promptTokenCount": 1_000, "cachedContentTokenCount": 600, "thoughtsTokenCount": 30}
        candidate = {"content": {"role": "model", "parts": [part]}, "index": 0, **({"finishReason": "STOP"} if last else {})}
        yield {**base, "candidates": [candidate], "usageMetadata": usage}
        if model == "cut":
            raise Cut
