"""Late texts: what travelled apart from its call is scored when it comes, without waiting for the call or for the rest.

The texts of a call that came within one range are put together and look to scorers like a call's own. Of what is missing there are no
scores: the call itself has said so already, or will. The same holds of what finish reasons decide: the call's span carries them.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from llmtower_processors.arrivals import Arrivals, sort_events
from llmtower_processors.runtime.model import Batch
from llmtower_processors.scoring.model import Score
from llmtower_processors.structs import STRUCTS
from llmtower_schemas.events import ContentEvent, DeployEvent, FeedbackEvent, HeartbeatEvent, ResponseEvent, ScoreEvent

_CONTENT, _RESPONSE = STRUCTS[ContentEvent], STRUCTS[ResponseEvent]
_TYPES: Final = {STRUCTS[model]: attrgetter("at_ns") for model in (ContentEvent, DeployEvent, FeedbackEvent, HeartbeatEvent, ScoreEvent)}
_COPIED: Final = ("call_id", "project", "app", "environment", "release", "request_model", "capture", "instrumentation")
_ASKERS: Final = frozenset({"user", "human", ""})
"""Roles whose messages are a question; what a system prompt or an earlier answer says is none."""
_read = msgspec.json.Decoder().decode
_write = msgspec.json.Encoder().encode


def late_calls(batch: Batch) -> Arrivals | None:
    """Give the late texts in a batch of `llmtower.signals` as `response` events, one per call, at the place of its first text."""
    found = sort_events(batch, _TYPES).arrivals.get(_CONTENT)
    if found is None:
        return None
    groups: dict[str, list[int]] = {}
    for index, event in enumerate(found.events):
        groups.setdefault(event.call_id, []).append(index)
    first = [indexes[0] for indexes in groups.values()]
    events = [_joined([found.events[index] for index in indexes]) for indexes in groups.values()]
    places: list[list[Any]] = [[column[index] for index in first] for column in found[1:]]
    return Arrivals(events, *places)


def scored(scores: Iterable[Sequence[Score]]) -> list[list[Score]]:
    """Leave out what could not be scored for want of a text, and what the call says of itself, by its finish reasons."""
    return [[one for one in given if one.status != "skipped" and not _said_by_call(one)] for given in scores]


def _said_by_call(score: Score) -> bool:
    return score.name == "truncated" or (score.name == "refusal" and score.label == "provider")


def _joined(texts: Sequence[Any]) -> Any:
    """Put the texts of one call together, in the order of their times."""
    ordered = sorted(texts, key=attrgetter("at_ns"))
    asked = [message for text in ordered for message in _messages(text.input) if _role(message) in _ASKERS]
    answered = [message for text in ordered for message in _messages(text.output)]
    return _RESPONSE(
        **{name: getattr(ordered[0], name) for name in _COPIED},
        started_at_ns=ordered[0].at_ns,
        duration_us=0,
        input=_raw(asked),
        output=_raw(answered),
        finish_reasons=[reason for message in answered if (reason := _finish(message))],
    )


def _messages(raw: msgspec.Raw) -> Iterator[Any]:
    """Give the messages of one text, which holds one or a list of them; nothing of what is no JSON that can be read."""
    text = bytes(raw)
    if not text or text == b"null":
        return
    try:
        value = _read(text)
    except (msgspec.MsgspecError, RecursionError):
        return
    yield from value if isinstance(value, list) else [value]


def _role(message: Any) -> str:
    return str(message.get("role") or "") if isinstance(message, Mapping) else ""


def _finish(message: Any) -> str:
    return str(message.get("finish_reason") or "")[:256] if isinstance(message, Mapping) else ""


def _raw(messages: Sequence[Any]) -> msgspec.Raw:
    return msgspec.Raw(_write(messages) if messages else b"")
