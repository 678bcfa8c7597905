"""What an answer of Anthropic's Messages API says, whole or event by event; only attributes are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmtower.estimate import tokens
from llmtower.snapshot import plain

WEB_SEARCH_NANO_USD = 10_000_000
"""A search by the server's tool: 10 USD per thousand (Anthropic, "Pricing", "Web search tool"); fetching pages is free of charge."""

_DELTAS = {"text_delta": "text", "thinking_delta": "thinking", "input_json_delta": "partial_json"}


def asked(body: Mapping[str, Any]) -> Any:
    """Give the input of a request, the system prompt first, as messages."""
    messages, system = body.get("messages"), body.get("system")
    if not isinstance(system, (str, list)) or not isinstance(messages, (list, tuple)):
        return messages
    return [{"role": "system", "content": system}, *messages]


def whole(answer: Any) -> dict[str, Any]:
    """Give what a whole answer says."""
    said = {"role": getattr(answer, "role", None) or "assistant", "content": getattr(answer, "content", None) or []}
    return _facts(answer, said, _plain(getattr(answer, "usage", None)), getattr(answer, "stop_reason", None))


def _facts(answer: Any, said: dict[str, Any], usage: dict[str, Any], reason: Any) -> dict[str, Any]:
    searches = _plain(usage.get("server_tool_use")).get("web_search_requests")
    return {
        "output": [said] if said["content"] else None,
        "usage": {"cache_read_input_tokens": None, **usage} if usage else None,  # the key that betrays whose counts they are
        "response_id": getattr(answer, "id", None) or "",
        "response_model": getattr(answer, "model", None) or "",
        "finish_reasons": (reason,) if reason else (),
        "details": {"service_tier": _tier(usage), "tool_fees_nano_usd": (searches or 0) * WEB_SEARCH_NANO_USD},
    }


def _tier(usage: Mapping[str, Any]) -> str:
    """Fast mode has prices of its own; it is told by another field than the tier."""
    return "fast" if usage.get("speed") == "fast" else usage.get("service_tier") or ""


def _plain(value: Any) -> dict[str, Any]:
    found = value if value is None or isinstance(value, dict) else plain(value)
    return {key: item for key, item in found.items() if item is not None} if isinstance(found, dict) else {}


@dataclass(slots=True)
class Events:
    """Puts a streamed answer together."""

    message: Any = None
    usage: dict[str, Any] = field(default_factory=dict)
    reason: str = ""
    counted: bool = False
    blocks: dict[int, tuple[dict[str, Any], dict[str, list[str]]]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the model has said why it stopped."""
        return bool(self.reason)

    def add(self, event: Any) -> bool:
        """Take an event; says whether it brought any token."""
        kind = getattr(event, "type", None)
        if kind == "content_block_delta":
            return self._delta(getattr(event, "index", None) or 0, getattr(event, "delta", None))
        if kind == "content_block_start":
            self.blocks[getattr(event, "index", None) or 0] = (_plain(getattr(event, "content_block", None)), {})
        elif kind == "message_start":
            self.message = getattr(event, "message", None)
            self.usage = _plain(getattr(self.message, "usage", None))
        elif kind == "message_delta":
            self.usage |= _plain(getattr(event, "usage", None))
            self.reason = getattr(getattr(event, "delta", None), "stop_reason", None) or self.reason
            self.counted = True
        return False

    def _delta(self, index: int, delta: Any) -> bool:
        name = _DELTAS.get(getattr(delta, "type", None) or "")
        text = getattr(delta, name, None) if name else None
        if name and isinstance(text, str) and text:
            self.blocks.setdefault(index, ({}, {}))[1].setdefault(name, []).append(text)
            return True
        return False

    def facts(self) -> dict[str, Any]:
        """Give what is known so far; before the final count, what has come is counted by rule of thumb."""
        content = [_block(*block) for _, block in sorted(self.blocks.items())]
        facts = _facts(self.message, {"role": "assistant", "content": content}, self.usage, self.reason)
        if not self.counted and facts["usage"] is not None:
            texts = [part for _, parts in self.blocks.values() for part in parts.values()]
            facts["usage"] |= {"output_tokens": sum(tokens("".join(part)) for part in texts)}
            facts["details"]["usage_source"] = "estimated"
        return facts


def _block(start: dict[str, Any], parts: dict[str, list[str]]) -> dict[str, Any]:
    texts = {name: "".join(found) for name, found in parts.items()}
    arguments = texts.pop("partial_json", None)
    block = {**start, **{name: (start.get(name) or "") + text for name, text in texts.items()}}
    return block if arguments is None else {**block, "input": arguments}
