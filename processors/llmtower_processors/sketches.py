"""The `sketches` processor: what is asked and answered, as sums per segment and minute, from which any two slices can be compared."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from operator import attrgetter
from typing import Any

import msgspec

from llmtower_processors.arrivals import portions, sort_events
from llmtower_processors.drift.embedders import Embedder, HashedNgrams
from llmtower_processors.drift.said import answered, asked, calls_tools
from llmtower_processors.drift.sums import Said, Segment, Sums, rows, sum_up
from llmtower_processors.runtime.model import Batch, Block, Processor
from llmtower_processors.scoring.late import late_calls
from llmtower_processors.scoring.refusals import refuses
from llmtower_processors.structs import NOTHING, STRUCTS
from llmtower_schemas import topics
from llmtower_schemas.events import RequestEvent, ResponseEvent, StepEvent

NAME = "sketches"
TOPICS = (topics.CALLS, topics.SIGNALS)
"""Calls with their texts, and texts that travel apart from their calls."""
TABLES = ("drift_ranges",)

_RESPONSE = STRUCTS[ResponseEvent]
_TYPES = {STRUCTS[model]: attrgetter("started_at_ns") for model in (ResponseEvent, RequestEvent, StepEvent)}
_MINUTE_NS = 60_000_000_000
_HOUR_NS = 60 * _MINUTE_NS


def sketches_processor(embedder: Embedder | None = None) -> Processor:
    """Build the processor; without an embedder it hashes words."""
    return Processor(NAME, TOPICS, TABLES, partial(process_sketches, embedder=embedder or HashedNgrams()))


def process_sketches(batch: Batch, *, embedder: Embedder) -> Sequence[Block]:
    """Turn one batch into at most one block: a row per segment and minute.

    A row stands for many events, so its place in Kafka is the range's end and its number within the range: a replay of the range makes the
    same rows. What cannot be read is in the dead letters of the processors `calls` and `signals`.
    """
    into: dict[Segment, Sums] = {}
    if batch.topic == topics.SIGNALS:
        late = late_calls(batch)
        sum_up(list(_said_apart(late.events if late else ())), embedder, into)
        return _blocks(batch, into)
    for portion in portions(batch):
        arrivals, _ = sort_events(portion, _TYPES)
        if _RESPONSE in arrivals:
            sum_up(list(_said(arrivals[_RESPONSE].events)), embedder, into)
    return _blocks(batch, into)


def _blocks(batch: Batch, into: dict[Segment, Sums]) -> Sequence[Block]:
    return [Block("drift_ranges", rows(into) | _place(batch, len(into)))] if into else []


def _said(events: Iterable[Any]) -> Iterator[Said]:
    for event in events:
        hidden = event.capture != "full"
        who, minute = _who(event), event.started_at_ns // _MINUTE_NS * 60
        usage = event.usage
        failed = event.status != "ok"
        read = 0 if usage is None else usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens + usage.cache_write_1h_tokens
        written = 0 if usage is None else usage.output_tokens + usage.reasoning_tokens
        question = "" if hidden else _safely(asked, event.input)
        session = session_hash(event.session_id, event.started_at_ns // _HOUR_NS) if event.session_id else 0
        yield Said(minute, who, "input", question, event.embedding, event.embedder, tokens=read, failed=failed, session=session)
        answer = "" if hidden else _safely(answered, event.output)
        yield Said(
            *(minute, who, "output", answer, None, ""),
            tokens=written,
            timed_us=event.duration_us if written and not failed else 0,
            timed_tokens=written if not failed else 0,
            refusal=refuses(answer),
            tool_call=_uses_tools(NOTHING if hidden else event.output, event.finish_reasons),
            failed=failed,
            finish_reasons=event.finish_reasons,
        )


def _said_apart(events: Iterable[Any]) -> Iterator[Said]:
    """Give the texts that came without their call. The call itself is counted where it says how it went."""
    for event in events:
        minute = event.started_at_ns // _MINUTE_NS * 60
        question, answer = ("", "") if event.capture != "full" else (_safely(asked, event.input), _safely(answered, event.output))
        if question:
            yield Said(minute, _who(event), "input", question, None, "", calls=0)
        if answer:
            yield Said(minute, _who(event), "output", answer, None, "", calls=0, refusal=refuses(answer))


def _who(event: Any) -> tuple[str, str, str, str, str, str]:
    return event.project, event.app, event.environment, event.request_model, event.prompt_name, event.prompt_version


def session_hash(session_id: str, hour: int) -> int:
    """Give 64 bits that stand for a session in one hour (since the epoch); never 0."""
    return int.from_bytes(blake2b(f"{hour}\0{session_id}".encode("utf-8", "replace"), digest_size=8).digest(), "big") or 1


def _safely(read: Any, raw: msgspec.Raw) -> str:
    """Content is free-form: what cannot be read as text counts as a call without text."""
    try:
        return str(read(raw))
    except (msgspec.MsgspecError, RecursionError):
        return ""


def _uses_tools(raw: msgspec.Raw, finish_reasons: list[str]) -> bool:
    try:
        return calls_tools(raw, finish_reasons)
    except (msgspec.MsgspecError, RecursionError):
        return False


def _place(batch: Batch, count: int) -> dict[str, list[Any]]:
    return {
        "incarnation": [batch.incarnation] * count,
        "kafka_topic": [batch.topic] * count,
        "kafka_partition": [batch.partition] * count,
        "kafka_offset": [batch.last] * count,
        "event_index": list(range(count)),
    }
