"""Speaks Bedrock's Converse API, streams as AWS event streams; the model in the path names the script (docs: "Converse")."""

import json
import struct
import time
from binascii import crc32
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from tests.standins.service import Asked, Cut, Reply, json_reply, slowly

USAGE = {"inputTokens": 30, "outputTokens": 628, "totalTokens": 5_658, "cacheReadInputTokens": 3_000, "cacheWriteInputTokens": 2_000}
MODEL = "anthropic.claude-sonnet-4-5-20250929-v1:0"
TOOL = {"toolUse": {"toolUseId": "t-1", "name": "weather", "input": {"city": "Oslo"}}}
THOUGHT = {"reasoningContent": {"reasoningText": {"text": "Let me see."}}}
IDS: dict[str, Any] = {"x_amzn_requestid": "req-1"}
ERRORS = {400: "ValidationException", 403: "AccessDeniedException", 429: "ThrottlingException", 500: "InternalServerException"}


def script(asked: Asked) -> Reply:
    """Answer one request."""
    _, _, title, method = unquote(asked.path).split("/")
    if title.startswith("error-"):
        status = int(title[6:])
        return json_reply({"message": "no: secret prompt"}, status, x_amzn_errortype=ERRORS[status], **IDS)
    if title == "slow":
        time.sleep(1.0)
    if method == "converse-stream":
        chunks = _frames(title)
        paced = slowly(chunks, 0.2) if title == "trickle" else chunks
        return Reply(paced, content_type="application/vnd.amazon.eventstream", headers={"x-amzn-requestid": "req-1"})
    return json_reply(answer(title), **IDS)


def content(title: str) -> list[dict[str, Any]]:
    """Give the blocks of an answer."""
    said = {"text": "Hello there"}
    blocks: dict[str, list[dict[str, Any]]] = {"tool": [{"text": "I look."}, TOOL], "thinking": [THOUGHT, said]}
    return blocks.get(title, [said])


def answer(title: str) -> dict[str, Any]:
    """Give a whole answer."""
    return {
        "output": {"message": {"role": "assistant", "content": content(title)}},
        "stopReason": "tool_use" if title == "tool" else "end_turn",
        "usage": USAGE,
        "metrics": {"latencyMs": 1_275},
    }


def _frames(title: str) -> Iterator[bytes]:
    yield frame("messageStart", {"role": "assistant"})
    for index, block in enumerate(content(title)):
        if "toolUse" in block:
            start = {key: value for key, value in block["toolUse"].items() if key != "input"}
            yield frame("contentBlockStart", {"contentBlockIndex": index, "start": {"toolUse": start}})
        for delta in _deltas(block):
            yield frame("contentBlockDelta", {"contentBlockIndex": index, "delta": delta})
            if title == "cut":
                raise Cut
            if title == "failing":
                yield frame("throttlingException", {"message": "slow down"}, kind="exception")
        yield frame("contentBlockStop", {"contentBlockIndex": index})
    yield frame("messageStop", {"stopReason": answer(title)["stopReason"]})
    yield frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1_275}})


def _deltas(block: dict[str, Any]) -> list[dict[str, Any]]:
    if "toolUse" in block:
        text = json.dumps(block["toolUse"]["input"])
        return [{"toolUse": {"input": text[:5]}}, {"toolUse": {"input": text[5:]}}]
    if "reasoningContent" in block:
        return [{"reasoningContent": {"text": block["reasoningContent"]["reasoningText"]["text"]}}]
    return [{"text": part} for part in block["text"].partition(" ")]


def frame(title: str, body: dict[str, Any], kind: str = "event") -> bytes:
    """Encode one message of an AWS event stream (docs: "Event stream encoding"): lengths, headers, payload, two checksums."""
    named = {f":{kind}-type": title, ":content-type": "application/json", ":message-type": kind}
    headers = b"".join(
        struct.pack("!B", len(name)) + name.encode() + b"\x07" + struct.pack("!H", len(v)) + v.encode() for name, v in named.items()
    )
    payload = json.dumps(body).encode()
    prelude = struct.pack("!II", 16 + len(headers) + len(payload), len(headers))
    message = prelude + struct.pack("!I", crc32(prelude)) + headers + payload
    return message + struct.pack("!I", crc32(message))
