"""Speaks Ollama's API: NDJSON where it streams; the request's `model` names the script (docs: "API", "Generate a chat completion")."""

import json
import time
from collections.abc import Iterator
from typing import Any

from tests.standins.service import Asked, Cut, Reply, json_reply, slowly

END = {
    "done": True,
    "done_reason": "stop",
    "total_duration": 5_000_000,
    "load_duration": 1,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 1,
    "eval_count": 12,
    "eval_duration": 1,
}
TOOL = {"function": {"name": "weather", "arguments": {"city": "Oslo"}}}


def script(asked: Asked) -> Reply:
    """Answer one request."""
    body, path = asked.body, asked.path
    model = body["model"]
    if model.startswith("error-"):
        return json_reply({"error": "no: secret prompt"}, int(model[6:]))
    if model == "slow":
        time.sleep(1.0)
    if path == "/api/embed":
        return json_reply({"model": model, "embeddings": [[0.1, 0.2]], "total_duration": 1, "load_duration": 1, "prompt_eval_count": 8})
    if body.get("stream"):
        lines = (json.dumps(part).encode() + b"\n" for part in _parts(model, path))
        return Reply(slowly(lines, 0.2) if model == "trickle" else lines, content_type="application/x-ndjson")
    return json_reply({**_base(model), **_said(path, "Hello there", model), **END})


def _base(model: str) -> dict[str, Any]:
    return {"model": model, "created_at": "2025-10-17T23:14:07.414671Z"}


def _said(path: str, text: str, model: str) -> dict[str, Any]:
    if path == "/api/generate":
        return {"response": text}
    return {
        "message": {"role": "assistant", "content": "" if model == "tool" else text, **({"tool_calls": [TOOL]} if model == "tool" else {})}
    }


def _parts(model: str, path: str) -> Iterator[dict[str, Any]]:
    for text in ("Hello", " there"):
        yield {**_base(model), **_said(path, text, model), "done": False}
        if model == "cut":
            raise Cut
        if model == "failing":
            yield {"error": "the model runner has stopped"}
        if model == "tool":
            break
    yield {**_base(model), **_said(path, "", ""), **END}
