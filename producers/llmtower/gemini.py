"""`wrap_gemini`: the same google-genai client back, whose generated contents, streams, chats and embeddings are recorded.

Recorded is the request itself (`_generate_content`), below automatic function calling: each round of it is a call with tokens of its own.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from llmtower.errors import internal_error
from llmtower.methods import Asked, Method, record_methods, refuse
from llmtower.snapshot import plain

ClientT = TypeVar("ClientT")

_NO_PARAMETERS = ("system_instruction", "http_options")


def wrap_gemini(client: ClientT, *, provider: str | None = None) -> ClientT:
    """Record every generated content and embedding of a `google.genai.Client`, its asynchronous side (`client.aio`) and chats included.

    `provider` is by default `google`, for Vertex AI `gcp.vertex_ai`.
    """
    try:
        found = [getattr(place, "models", None) for place in (client, getattr(client, "aio", None))]
        if not any(hasattr(models, "generate_content") for models in found):
            refuse("wrap_gemini", "google-genai client", client, "google.genai", extra="gemini")
        vertex = getattr(client, "vertexai", None) or getattr(getattr(client, "_api_client", None), "vertexai", None)
        for models in found:
            record_methods(models, _methods(models), provider or ("gcp.vertex_ai" if vertex else "google"), "llmtower.gemini")
    except Exception:
        internal_error("wrap_gemini")
    return client


def _methods(models: Any) -> dict[str, Method]:
    """Name what to record; without the request's own methods (another version's), the public ones around them."""
    private = callable(getattr(models, "_generate_content", None)) and callable(getattr(models, "_generate_content_stream", None))
    prefix = "_" if private else ""
    embed = "_embed_content" if callable(getattr(models, "_embed_content", None)) else "embed_content"
    return {
        f"{prefix}generate_content": Method("chat", _asked, whole, Chunks),
        f"{prefix}generate_content_stream": Method("chat", lambda given: _asked(given)._replace(stream=True), whole, Chunks),
        embed: Method("embeddings", _asked, _embedded, Chunks),
    }


def _asked(given: Mapping[str, Any]) -> Asked:
    config = given.get("config")
    config = plain(config) if config is not None else {}
    parameters = {key: value for key, value in config.items() if key not in _NO_PARAMETERS} if isinstance(config, dict) else {}
    contents, system = given.get("contents"), config.get("system_instruction") if isinstance(config, dict) else None
    if system is not None:
        contents = [{"role": "system", "content": system}, *(contents if isinstance(contents, list) else [contents])]
    return Asked(given.get("model"), contents, parameters)


def whole(answer: Any) -> dict[str, Any]:
    """Give what an answer says."""
    candidates = getattr(answer, "candidates", None) or ()
    reasons = [_reason(candidate) for candidate in candidates]
    blocked = getattr(getattr(answer, "prompt_feedback", None), "block_reason", None)
    return {
        "output": [content for candidate in candidates if (content := getattr(candidate, "content", None)) is not None] or None,
        "usage": getattr(answer, "usage_metadata", None),
        "response_id": getattr(answer, "response_id", None) or "",
        "response_model": getattr(answer, "model_version", None) or "",
        "finish_reasons": tuple(filter(None, (*reasons, _word(blocked)))),
    }


def _embedded(answer: Any) -> dict[str, Any]:
    return {"usage": getattr(answer, "usage_metadata", None)}


def _reason(candidate: Any) -> str:
    return _word(getattr(candidate, "finish_reason", None))


def _word(value: Any) -> str:
    return str(getattr(value, "value", value) or "")


@dataclass(slots=True)
class _Candidate:
    role: str = "model"
    reason: str = ""
    parts: list[Any] = field(default_factory=list)
    """Parts as they came; texts of one kind that follow each other as (whether a thought, the list of their pieces)."""


@dataclass(slots=True)
class Chunks:
    """Puts a streamed answer together."""

    last: Any = None
    usage: Any = None
    id: str = ""
    candidates: dict[int, _Candidate] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """Whether every candidate has come to its end."""
        return bool(self.candidates) and all(candidate.reason for candidate in self.candidates.values())

    def add(self, chunk: Any) -> bool:
        """Take a chunk; says whether it brought any token."""
        self.last, self.id = chunk, self.id or getattr(chunk, "response_id", None) or ""
        usage = getattr(chunk, "usage_metadata", None)
        if usage is not None:
            self.usage = usage
        brought = False
        for candidate in getattr(chunk, "candidates", None) or ():
            kept = self.candidates.setdefault(getattr(candidate, "index", 0) or 0, _Candidate())
            kept.reason = _reason(candidate) or kept.reason
            content = getattr(candidate, "content", None)
            kept.role = getattr(content, "role", None) or kept.role
            for part in getattr(content, "parts", None) or ():
                brought = _part(kept.parts, part) or brought
        return brought

    def facts(self) -> dict[str, Any]:
        """Give what is known so far, in the shape of a whole answer."""
        candidates = [candidate for _, candidate in sorted(self.candidates.items())]
        said = [{"role": candidate.role, "parts": [_joined(part) for part in candidate.parts]} for candidate in candidates]
        return {
            **whole(self.last),
            "output": said if any(content["parts"] for content in said) else None,
            "usage": self.usage,
            "response_id": self.id,
            "finish_reasons": tuple(candidate.reason for candidate in candidates if candidate.reason),
        }


def _part(parts: list[Any], part: Any) -> bool:
    text, thought = getattr(part, "text", None), bool(getattr(part, "thought", None))
    if not isinstance(text, str):
        parts.append(part)
        return True
    if not text:
        return False
    if parts and isinstance(parts[-1], tuple) and parts[-1][0] is thought:
        parts[-1][1].append(text)
    else:
        parts.append((thought, [text]))
    return True


def _joined(part: Any) -> Any:
    if not isinstance(part, tuple):
        return part
    return {"text": "".join(part[1]), **({"thought": True} if part[0] else {})}
