"""What a chat completion says, whole or in chunks; only attributes are read, so that any compatible server's answer will do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """The facts of an answer beside its text."""

    id: str = ""
    model: str = ""
    service_tier: str = ""
    usage: Any = None
    finish_reasons: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: Any) -> "Answer":
        """Read an answer; what is absent stays at its default."""
        choices = getattr(answer, "choices", None) or ()
        reasons = tuple(reason for choice in choices if (reason := getattr(choice, "finish_reason", None)))
        return cls(
            id=getattr(answer, "id", None) or "",
            model=getattr(answer, "model", None) or "",
            service_tier=getattr(answer, "service_tier", None) or "",
            usage=getattr(answer, "usage", None),
            finish_reasons=reasons,
        )


def output_of(answer: Any) -> list[Any] | None:
    """Give the messages of an answer, tool calls included."""
    choices = getattr(answer, "choices", None)
    return [getattr(choice, "message", None) for choice in choices] if choices else None


def details(response: Any, retries: Any) -> dict[str, Any]:
    """Read what the HTTP answer says beside the body: status, retries, what is left of the rate limit."""
    found: dict[str, Any] = {}
    headers = getattr(response, "headers", None)
    if isinstance(getattr(response, "status_code", None), int):
        found["http_status"] = response.status_code
    if retries is None and response is not None:
        retries = _integer(getattr(getattr(response, "request", None), "headers", {}).get("x-stainless-retry-count"))
    if isinstance(retries, int):
        found["retries"] = retries
    for name in ("requests", "tokens"):
        left = _integer(headers.get(f"x-ratelimit-remaining-{name}")) if headers is not None else None
        if left is not None:
            found[f"rate_limit_remaining_{name}"] = left
    return found


def _integer(text: Any) -> int | None:
    return int(text) if isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19 else None


@dataclass(slots=True)
class _Choice:
    texts: dict[str, list[str]] = field(default_factory=dict)
    role: str = "assistant"
    tools: dict[int, dict[str, Any]] = field(default_factory=dict)
    finish_reason: str = ""


@dataclass(slots=True)
class Chunks:
    """Puts a streamed answer together as it goes by."""

    id: str = ""
    model: str = ""
    service_tier: str = ""
    usage: Any = None
    choices: dict[int, _Choice] = field(default_factory=dict)

    def add(self, chunk: Any) -> bool:
        """Take a chunk; says whether it brought any token."""
        self.id = self.id or getattr(chunk, "id", None) or ""
        self.model = getattr(chunk, "model", None) or self.model
        self.service_tier = getattr(chunk, "service_tier", None) or self.service_tier
        usage = getattr(chunk, "usage", None)
        if usage is not None:
            self.usage = usage
        brought = False
        for choice in getattr(chunk, "choices", None) or ():
            brought = self._choice(choice) or brought
        return brought

    def _choice(self, choice: Any) -> bool:
        kept = self.choices.setdefault(getattr(choice, "index", 0) or 0, _Choice())
        kept.finish_reason = getattr(choice, "finish_reason", None) or kept.finish_reason
        delta = getattr(choice, "delta", None)
        kept.role = getattr(delta, "role", None) or kept.role
        brought = False
        for name in ("content", "reasoning_content", "reasoning", "refusal"):
            text = getattr(delta, name, None)
            if isinstance(text, str) and text:
                kept.texts.setdefault(name, []).append(text)
                brought = True
        for tool in getattr(delta, "tool_calls", None) or ():
            self._tool(kept, tool)
            brought = True
        return brought

    @staticmethod
    def _tool(kept: _Choice, tool: Any) -> None:
        call = kept.tools.setdefault(getattr(tool, "index", 0) or 0, {"id": "", "type": "function", "name": "", "arguments": []})
        call["id"] = getattr(tool, "id", None) or call["id"]
        function = getattr(tool, "function", None)
        call["name"] = getattr(function, "name", None) or call["name"]
        call["arguments"].append(getattr(function, "arguments", None) or "")

    def finish_reasons(self) -> tuple[str, ...]:
        """Give the reasons known so far."""
        return tuple(choice.finish_reason for _, choice in sorted(self.choices.items()) if choice.finish_reason)

    def output(self) -> list[Mapping[str, Any]] | None:
        """Give the messages put together so far, in the shape of whole ones."""
        return [_message(choice) for _, choice in sorted(self.choices.items())] or None


def _message(choice: _Choice) -> dict[str, Any]:
    message: dict[str, Any] = {"role": choice.role, **{name: "".join(parts) for name, parts in choice.texts.items()}}
    if choice.tools:
        message["tool_calls"] = [
            {"id": tool["id"], "type": tool["type"], "function": {"name": tool["name"], "arguments": "".join(tool["arguments"])}}
            for _, tool in sorted(choice.tools.items())
        ]
    return message
