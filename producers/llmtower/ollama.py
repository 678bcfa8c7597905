"""`wrap_ollama`: the same client back, whose chats, completions and embeddings are recorded (Llama and other local models)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from llmtower.errors import internal_error
from llmtower.methods import Asked, Method, record_methods, refuse
from llmtower.snapshot import attributes

ClientT = TypeVar("ClientT")

_COUNTS = ("prompt_eval_count", "eval_count")
_NO_PARAMETERS = ("model", "messages", "prompt", "system", "input", "images", "context", "stream", "self")


def wrap_ollama(client: ClientT, *, provider: str | None = None) -> ClientT:
    """Record every chat, completion and embedding of an `ollama.Client` or `AsyncClient`.

    The price is what your prices file says of provider `ollama` (or the `provider` given), else NULL.
    """
    try:
        if not callable(getattr(client, "chat", None)):
            refuse("wrap_ollama", "Ollama client", client, "ollama", extra="ollama")
        record_methods(client, _METHODS, provider or "ollama", "llmtower.ollama")
    except Exception:
        internal_error("wrap_ollama")
    return client


def _asked(given: Mapping[str, Any], question: Any) -> Asked:
    parameters = {key: value for key, value in given.items() if key not in _NO_PARAMETERS}
    return Asked(given.get("model"), question, parameters, given.get("stream") is True)


def _prompt(given: Mapping[str, Any]) -> Any:
    system, prompt = given.get("system"), given.get("prompt")
    return [{"role": "system", "content": system}, {"role": "user", "content": prompt}] if system else prompt


def _usage(answer: Any) -> dict[str, Any] | None:
    counts = {name: count for name in _COUNTS if (count := getattr(answer, name, None)) is not None}
    return counts or None


def whole(answer: Any) -> dict[str, Any]:
    """Give what an answer says: a chat's message, or a completion's text with its thoughts."""
    message, text, thinking = (getattr(answer, name, None) for name in ("message", "response", "thinking"))
    said = [{"role": "assistant", "content": text, "thinking": thinking}] if thinking else text
    reason = getattr(answer, "done_reason", None)
    return {
        "output": [message] if message is not None else said or None,
        "usage": _usage(answer),
        "response_model": getattr(answer, "model", None) or "",
        "finish_reasons": (reason,) if reason else (),
    }


@dataclass(slots=True)
class Chunks:
    """Puts a streamed answer together."""

    last: Any = None
    texts: dict[str, list[str]] = field(default_factory=dict)
    tools: list[Any] = field(default_factory=list)
    chat: bool = False

    @property
    def complete(self) -> bool:
        """Whether the chunk that ends an answer has come."""
        return getattr(self.last, "done", None) is True

    def add(self, chunk: Any) -> bool:
        """Take a chunk; says whether it brought any token."""
        self.last = chunk
        place, name = attributes(chunk), "response"
        message = place.get("message")
        if message is not None:
            self.chat, place, name = True, attributes(message), "content"
        brought = False
        for title in (name, "thinking"):
            text = place.get(title)
            if text:
                self.texts.setdefault(title, []).append(text)
                brought = True
        tools = place.get("tool_calls")
        if tools:
            self.tools.extend(tools)
            brought = True
        return brought

    def facts(self) -> dict[str, Any]:
        """Give what is known so far, in the shape of a whole answer."""
        texts = {name: "".join(parts) for name, parts in self.texts.items()}
        if "thinking" in texts:
            texts["content"] = texts.pop("response", "") or texts.get("content", "")
        said: Any = [{"role": "assistant", **texts, **({"tool_calls": self.tools} if self.tools else {})}]
        if not self.chat and "thinking" not in texts:
            said = texts.get("response")
        return {**whole(self.last), "output": said if texts or self.tools else None}


def _embedded(answer: Any) -> dict[str, Any]:
    return {"usage": _usage(answer), "response_model": getattr(answer, "model", None) or ""}


_METHODS = {
    "chat": Method("chat", lambda given: _asked(given, given.get("messages")), whole, Chunks),
    "generate": Method("text_completion", lambda given: _asked(given, _prompt(given)), whole, Chunks),
    "embed": Method("embeddings", lambda given: _asked(given, given.get("input")), _embedded, Chunks),
    "embeddings": Method("embeddings", lambda given: _asked(given, given.get("prompt")), _embedded, Chunks),
}
"""What is recorded, by method."""
