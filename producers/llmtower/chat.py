"""What a chat completion says, whole or in chunks; only attributes are read, so that any compatible server's answer will do."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from llmtower.snapshot import attributes


def whole(answer: Any) -> dict[str, Any]:
    """Give what an answer says, its messages with their tool calls; what is absent stays away."""
    choices = getattr(answer, "choices", None) or ()
    return {
        "output": [_said(choice) for choice in choices] or None,
        "usage": getattr(answer, "usage", None),
        "response_id": getattr(answer, "id", None) or "",
        "response_model": getattr(answer, "model", None) or "",
        "finish_reasons": tuple(reason for choice in choices if (reason := getattr(choice, "finish_reason", None))),
        "details": {"service_tier": getattr(answer, "service_tier", None) or ""},
    }


def _said(choice: Any) -> Any:
    """Give a choice's message, or the text of a legacy completion."""
    message = getattr(choice, "message", None)
    return getattr(choice, "text", None) if message is None else message


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


_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")


@dataclass(slots=True)
class _Choice:
    texts: dict[str, list[str]] = field(default_factory=dict)
    role: str = "assistant"
    tools: dict[int, dict[str, Any]] = field(default_factory=dict)
    finish_reason: str = ""
    legacy: list[str] = field(default_factory=list)
    """The text of a legacy completion, which is no message."""


@dataclass(slots=True)
class Chunks:
    """Puts a streamed answer together as it goes by."""

    id: str = ""
    model: str = ""
    service_tier: str = ""
    usage: Any = None
    choices: dict[int, _Choice] = field(default_factory=dict)
    _texts: list[str] | None = None
    """The texts of the first choice, once it has any: most chunks bring one more of them and nothing else."""

    @property
    def complete(self) -> bool:
        """Whether every choice has come to its end."""
        return bool(self.choices) and all(choice.finish_reason for choice in self.choices.values())

    def add(self, chunk: Any) -> bool:
        """Take a chunk; says whether it brought any token."""
        if self._texts is not None and (text := self._only_text(chunk)):
            self._texts.append(text)
            return True
        said = attributes(chunk).get
        self.id = self.id or said("id") or ""
        self.model = said("model") or self.model
        self.service_tier = said("service_tier") or self.service_tier
        usage = said("usage")
        if usage is not None:
            self.usage = usage
        brought = False
        for choice in said("choices") or ():
            brought = self._choice(attributes(choice)) or brought
        if self._texts is None and self.id and 0 in self.choices and not isinstance(chunk, dict):
            self._texts = self.choices[0].texts.get("content")
        return brought

    def _only_text(self, chunk: Any) -> str:
        """Give the text of a client's chunk that brings nothing else, in a quarter of the time that asking after everything takes."""
        try:
            said = chunk.__dict__
            (choice,) = said["choices"]
            own = choice.__dict__
            delta = own["delta"]
            words = delta.__dict__
            text = words["content"]
            if own["finish_reason"] is not None or own["index"] != 0 or said["usage"] is not None or delta.__pydantic_extra__:
                return ""
            if words["role"] or words["tool_calls"] or words["refusal"] or "reasoning" in words or "reasoning_content" in words:
                return ""
            same = said["model"] == self.model and (said["service_tier"] or self.service_tier) == self.service_tier
            return text if same and type(text) is str else ""
        except (AttributeError, KeyError, TypeError, ValueError):
            return ""

    def _choice(self, choice: Mapping[str, Any]) -> bool:
        index = choice.get("index") or 0
        kept = self.choices.get(index)
        if kept is None:
            kept = self.choices[index] = _Choice()
        kept.finish_reason = choice.get("finish_reason") or kept.finish_reason
        delta = attributes(choice.get("delta"))
        kept.role = delta.get("role") or kept.role
        brought = False
        for name in _TEXTS:
            text = delta.get(name)
            if text and isinstance(text, str):
                kept.texts.setdefault(name, []).append(text)
                brought = True
        legacy = choice.get("text")
        if legacy and isinstance(legacy, str):
            kept.legacy.append(legacy)
            brought = True
        for tool in delta.get("tool_calls") or ():
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

    def facts(self) -> dict[str, Any]:
        """Give what is known so far, in the shape of a whole answer."""
        choices = [choice for _, choice in sorted(self.choices.items())]
        return {
            "output": [_message(choice) for choice in choices] or None,
            "usage": self.usage,
            "response_id": self.id,
            "response_model": self.model,
            "finish_reasons": tuple(choice.finish_reason for choice in choices if choice.finish_reason),
            "details": {"service_tier": self.service_tier},
        }


def _message(choice: _Choice) -> dict[str, Any] | str:
    if choice.legacy:
        return "".join(choice.legacy)
    message: dict[str, Any] = {"role": choice.role, **{name: "".join(parts) for name, parts in choice.texts.items()}}
    if choice.tools:
        message["tool_calls"] = [
            {"id": tool["id"], "type": tool["type"], "function": {"name": tool["name"], "arguments": "".join(tool["arguments"])}}
            for _, tool in sorted(choice.tools.items())
        ]
    return message
