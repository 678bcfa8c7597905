"""The `calls` processor: what calls cost, how long they took and how they failed; their contents, their starts, their steps."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from llmtower_processors.arrivals import Arrivals, arrivals
from llmtower_processors.columns import Columns, content, contents_block, extras, fields, identity, public, text, ticks, to_json
from llmtower_processors.pricing import PriceBook
from llmtower_processors.runtime.model import Batch, Block, Processor
from llmtower_schemas import topics
from llmtower_schemas.events import TOKEN_BUCKETS, RequestEvent, ResponseEvent, StepEvent, Usage

NAME = "calls"
TABLES = ("calls", "contents", "requests", "steps", "dead_letters", "dead_letter_bytes")

_CONTEXT = ("project", "app", "environment", "release", "user_id", "session_id", "request_id", "route", "trace_id", "span_id", "parent_id")
_TRACED = (*_CONTEXT, "prompt_name", "prompt_version", "tags", "instrumentation")
_CALL = (
    *("call_id", *_TRACED, "operation", "provider", "request_model", "response_model", "response_id", "duration_us", "ttft_us", "stream"),
    *(
        "status",
        "error_class",
        "error_type",
        "http_status",
        "retries",
        "finish_reasons",
        "service_tier",
        "usage_source",
        "usage_convention",
    ),
    *("usage_convention", "rate_limit_remaining_requests", "rate_limit_remaining_tokens", "capture"),
)
_REQUEST = ("call_id", *_TRACED, "operation", "provider", "request_model", "stream", "timeout_ms")
_STEP = ("step_id", *_TRACED, "name", "kind", "duration_us", "status", "error_class", "error_type", "attributes")
_COST = ("cost_nano_usd", "cost_input_nano_usd", "cost_cache_nano_usd", "cost_output_nano_usd", "cost_fees_nano_usd")
_COST_COLUMNS = (*_COST, "cost_status", "cost_source", "price_version")
_NO_USAGE = Usage()


def calls_processor(price_book: PriceBook) -> Processor:
    """Build the processor with the prices it uses."""
    return Processor(NAME, (topics.CALLS,), TABLES, partial(process_calls, price_book=price_book))


def process_calls(batch: Batch, *, price_book: PriceBook) -> Sequence[Block]:
    """Turn one batch of `llmtower.calls` into blocks; empty ones are left out."""
    events, dead = arrivals(batch, {ResponseEvent: _started, RequestEvent: _started, StepEvent: _started})
    blocks: list[Block] = []
    contents: list[Columns] = []
    for kind, make in _MAKERS.items():
        if events[kind].events:
            block, content_columns = make(batch, events[kind], price_book)
            blocks.append(block)
            contents.append(content_columns)
    return [block for block in (*blocks, contents_block(contents), *dead.blocks(batch)) if block.rows]


def _started(event: Any) -> int:
    return int(event.started_at_ns)


def _calls(batch: Batch, found: Arrivals, price_book: PriceBook) -> tuple[Block, Columns]:
    events = found.events
    columns = fields(events, _CALL)
    columns["started_at"] = ticks(events, "started_at_ns")
    columns |= _usage(events)
    columns |= dict(zip(_COST_COLUMNS, zip(*map(price_book.price, events), strict=True), strict=True))
    rest = fields(events, ("parameters", "input", "output", "error_message", "retrieved", "embedding", "embedder"))
    shown = [public(parameters) if parameters else None for parameters in rest["parameters"]]
    columns["parameters"] = [to_json(value) if value else "" for value in shown]
    texts: Columns = {
        "input": list(map(text, rest["input"])),
        "output": list(map(text, rest["output"])),
        "retrieved": [_documents(documents) for documents in rest["retrieved"]],
        "parameters": ["" if kept == full else to_json(full) for kept, full in zip(shown, rest["parameters"], strict=True)],
        "error_message": rest["error_message"],
        "embedding": [vector or [] for vector in rest["embedding"]],
        "extra": extras(events),
    }
    carried = {name: columns[name] for name in ("call_id", "project", "app", "started_at")} | {"embedder": rest["embedder"]}
    return Block("calls", columns | identity(batch, found)), content(batch, found, "call", carried, texts=texts)


def _usage(events: Sequence[Any]) -> Columns:
    own = fields(events, ("usage", "usage_raw", "tool_fees_nano_usd"))
    columns = fields([usage or _NO_USAGE for usage in own["usage"]], TOKEN_BUCKETS)
    columns["usage_raw"] = [to_json(public(raw)) if raw else "" for raw in own["usage_raw"]]
    columns["tool_fees"] = own["tool_fees_nano_usd"]
    return columns


def _documents(documents: Sequence[Any]) -> str:
    return to_json([document.model_dump(exclude_none=True) for document in documents]) if documents else ""


def _requests(batch: Batch, found: Arrivals, _: PriceBook) -> tuple[Block, Columns]:
    columns = fields(found.events, _REQUEST) | {"started_at": ticks(found.events, "started_at_ns")}
    carried = {name: columns[name] for name in ("call_id", "project", "app", "started_at")}
    unknown = content(batch, found, "request", carried, texts={"extra": extras(found.events)})
    return Block("requests", columns | identity(batch, found)), unknown


def _steps(batch: Batch, found: Arrivals, _: PriceBook) -> tuple[Block, Columns]:
    events = found.events
    columns = fields(events, _STEP) | {"started_at": ticks(events, "started_at_ns")}
    rest = fields(events, ("input", "output", "retrieved"))
    columns["retrieved_ids"] = [[document.id for document in documents] for documents in rest["retrieved"]]
    columns["retrieved_scores"] = [[_score(document.score) for document in documents] for documents in rest["retrieved"]]
    texts: Columns = {
        "input": list(map(text, rest["input"])),
        "output": list(map(text, rest["output"])),
        "retrieved": [_documents(documents) for documents in rest["retrieved"]],
        "extra": extras(events),
    }
    carried = {"call_id": columns["step_id"]} | {name: columns[name] for name in ("project", "app", "started_at")}
    return Block("steps", columns | identity(batch, found)), content(batch, found, "step", carried, texts=texts)


def _score(score: float | None) -> float:
    return float("nan") if score is None else score


_MAKERS: dict[type, Callable[[Batch, Arrivals, PriceBook], tuple[Block, Columns]]] = {
    ResponseEvent: _calls,
    RequestEvent: _requests,
    StepEvent: _steps,
}
