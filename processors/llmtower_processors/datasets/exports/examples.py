"""A row of a dataset as what was said in turn and the answer that is to be learnt; or the reason why it is none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import msgspec
import orjson

from llmtower_processors.drift.said import answered

_ROLES: Final[Mapping[str, str]] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "ai": "assistant",
}


@dataclass(frozen=True, slots=True)
class Item:
    """One row of `dataset_items`, and an answer to the same input that people rated badly, where there is one."""

    position: int
    call_id: str
    app: str
    request_model: str
    prompt_name: str
    prompt_version: str
    started_at: datetime
    feedback: float | None
    input: str
    output: str
    correction: str
    rejected: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message: role `system`, `user` or `assistant`, and its text."""

    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """What was said so far, the answer that is right, and one that is not ('' where nobody said so)."""

    turns: Sequence[Turn]
    answer: str
    worse: str


class Unusable(Exception):  # noqa: N818 - reads as a verdict
    """Why a row is no example; a fixed sentence without any of its text."""


def example(item: Item) -> Example:
    """Read a row. A person's correction is the right answer, and what it corrects the worse one. Raises Unusable."""
    if not (item.input or item.output or item.correction):
        raise Unusable("its texts were erased")
    turns = _turns(item.input)
    if not any(turn.role == "user" for turn in turns):
        raise Unusable("nothing is asked in text")
    if turns[-1].role == "assistant":
        raise Unusable("its input ends with an answer")
    said = _text(item.output)
    answer = item.correction.strip() or said
    return Example(turns, answer, said if item.correction.strip() else _text(item.rejected))


def _turns(content: str) -> list[Turn]:
    value = _json(content)
    if isinstance(value, str):
        return [Turn("user", value)] if value.strip() else []
    if isinstance(value, Mapping):
        inner = value.get("messages") or value.get("contents")
        value = inner if isinstance(inner, list) else [value]
    if all(not (isinstance(one, Mapping) and "role" in one) for one in value):
        text = _of(value)
        return [Turn("user", text)] if text else []
    return [turn for one in value if (turn := _turn(one)) is not None]


def _turn(one: Any) -> Turn | None:
    if not isinstance(one, Mapping):
        raise Unusable("one of its messages is no object")
    role = str(one.get("role") or "")
    if role in ("tool", "function") or one.get("tool_calls") or one.get("function_call"):
        raise Unusable("it calls tools, which these forms cannot hold")
    if role not in _ROLES:
        raise Unusable("one of its messages has an unknown role")
    text = _of(one)
    if not text:
        raise Unusable("one of its messages has no text (an image, a sound)")
    return Turn(_ROLES[role], text)


def _text(content: str) -> str:
    value = _json(content)
    return value.strip() if isinstance(value, str) else _of(value).strip()


def _of(value: Any) -> str:
    try:
        return answered(msgspec.Raw(orjson.dumps(value)))
    except (orjson.JSONEncodeError, msgspec.MsgspecError, RecursionError) as error:
        raise Unusable("its text cannot be read") from error


def _json(content: str) -> Any:
    """Read content that is JSON by its form; anything else is plain text."""
    if content[:1] not in ("{", "["):
        return content
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        return content
