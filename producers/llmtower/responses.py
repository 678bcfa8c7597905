"""What an answer of OpenAI's Responses API says, whole or event by event; only attributes are read."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ENDS = ("response.completed", "response.incomplete", "response.failed")
_TEXTS = {
    "response.output_text.delta": "text",
    "response.refusal.delta": "refusal",
    "response.function_call_arguments.delta": "arguments",
    "response.reasoning_text.delta": "reasoning",
    "response.reasoning_summary_text.delta": "reasoning",
}


class ServerError(Exception):
    """The provider says, within an answer of status 200, that it failed."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RateLimitError(ServerError):
    """As above: too much was asked."""


def asked(body: Mapping[str, Any]) -> Any:
    """Give the input of a request, instructions first, as messages."""
    given, instructions = body.get("input"), body.get("instructions")
    if not isinstance(instructions, str):
        return given
    rest = given if isinstance(given, list) else [{"role": "user", "content": given}]
    return [{"role": "system", "content": instructions}, *rest]


def whole(answer: Any) -> dict[str, Any]:
    """Give what a whole answer says."""
    status = getattr(answer, "status", None) or ""
    stopped = getattr(getattr(answer, "incomplete_details", None), "reason", None)
    error = getattr(answer, "error", None)
    return {
        "output": getattr(answer, "output", None) or None,
        "usage": getattr(answer, "usage", None),
        "response_id": getattr(answer, "id", None) or "",
        "response_model": getattr(answer, "model", None) or "",
        "finish_reasons": (stopped or status,) if status in ("completed", "incomplete", "failed", "cancelled") else (),
        "details": {"service_tier": getattr(answer, "service_tier", None) or ""},
        "error": None if error is None else _failure(error),
    }


def _failure(error: Any) -> ServerError:
    code = str(getattr(error, "code", None) or "server_error")
    kind = RateLimitError if "rate_limit" in code else ServerError
    return kind(code, str(getattr(error, "message", None) or ""))


@dataclass(slots=True)
class Events:
    """Puts a streamed answer together; its last event brings it whole."""

    last: Any = None
    ended: bool = False
    error: Any = None
    items: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether the event that ends an answer has come."""
        return self.ended

    def add(self, event: Any) -> bool:
        """Take an event; says whether it brought any token."""
        kind = getattr(event, "type", None) or ""
        index = getattr(event, "output_index", None) or 0
        if kind in _TEXTS:
            self.items.setdefault(index, {}).setdefault(_TEXTS[kind], []).append(getattr(event, "delta", None) or "")
            return True
        if kind == "response.output_item.added":
            item = getattr(event, "item", None)
            kept = {name: getattr(item, name, None) for name in ("type", "id", "call_id", "name", "role")}
            self.items[index] = {name: value for name, value in kept.items() if value}
        elif kind == "error":
            self.error = event
        elif (answer := getattr(event, "response", None)) is not None:
            self.last, self.ended = answer, kind in _ENDS
            if self.ended:
                self.items.clear()
        return kind.endswith(".delta")

    def facts(self) -> dict[str, Any]:
        """Give what is known so far."""
        facts = whole(self.last)
        if self.error is not None:
            facts["error"] = _failure(self.error)
        if not self.ended:
            facts |= {"output": [_item(item) for _, item in sorted(self.items.items())] or None, "finish_reasons": ()}
        return facts


def _item(item: dict[str, Any]) -> dict[str, Any]:
    texts = {name: "".join(parts) for name, parts in item.items() if isinstance(parts, list)}
    shown = {name: value for name, value in item.items() if not isinstance(value, list)}
    if "text" in texts:
        shown["content"] = [{"type": "output_text", "text": texts.pop("text")}]
    return shown | texts
