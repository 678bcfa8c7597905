"""The `calls` processor: what calls cost, how long they took and how they failed; their contents, their starts, their steps."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from operator import attrgetter

import msgspec

from llmtower_processors.arrivals import Arrivals, dead_letter_columns, portions, sort_events
from llmtower_processors.columns import Column, Columns, blocks, content, fields, origin, ticks
from llmtower_processors.jsontext import content_bytes, flat_object, nested_object
from llmtower_processors.native import Constant
from llmtower_processors.pricing import PriceBook
from llmtower_processors.runtime.model import Batch, Block, Processor
from llmtower_processors.structs import STRUCTS, USAGE
from llmtower_schemas import topics
from llmtower_schemas.events import TOKEN_BUCKETS, RequestEvent, ResponseEvent, StepEvent

NAME = "calls"
TABLES = ("calls", "contents", "requests", "steps", "dead_letters", "dead_letter_bytes")

_RESPONSE, _REQUEST, _STEP = STRUCTS[ResponseEvent], STRUCTS[RequestEvent], STRUCTS[StepEvent]
_TYPES = {kind: attrgetter("started_at_ns") for kind in (_RESPONSE, _REQUEST, _STEP)}

_TRACED = (
    *("project", "app", "environment", "release", "user_id", "session_id", "request_id", "route", "trace_id", "span_id", "parent_id"),
    *("prompt_name", "prompt_version", "tags", "instrumentation"),
)
_CALL_FIELDS = (
    *("call_id", *_TRACED, "operation", "provider", "request_model", "response_model", "response_id", "duration_us", "ttft_us", "stream"),
    *("status", "error_class", "error_type", "http_status", "retries", "finish_reasons", "service_tier", "usage_source"),
    *("usage_convention", "rate_limit_remaining_requests", "rate_limit_remaining_tokens", "capture"),
)
_CALL_SOURCES = (
    *("started_at_ns", "parameters", "input", "output", "error_message", "retrieved", "embedding", "embedder"),
    *("usage", "usage_raw", "tool_fees_nano_usd"),
)
_REQUEST_FIELDS = ("call_id", *_TRACED, "operation", "provider", "request_model", "stream", "timeout_ms")
_STEP_FIELDS = ("step_id", *_TRACED, "name", "kind", "duration_us", "status", "error_class", "error_type", "attributes")
_COST_COLUMNS = (
    *("cost_nano_usd", "cost_input_nano_usd", "cost_cache_nano_usd", "cost_output_nano_usd", "cost_fees_nano_usd"),
    *("cost_status", "cost_source", "price_version"),
)
_NO_USAGE = USAGE()
_write = msgspec.json.Encoder().encode


def calls_processor(price_book: PriceBook) -> Processor:
    """Build the processor with the prices it uses."""
    return Processor(NAME, (topics.CALLS,), TABLES, partial(process_calls, price_book=price_book))


def process_calls(batch: Batch, *, price_book: PriceBook) -> Sequence[Block]:
    """Turn one batch of `llmtower.calls` into blocks, at most one per table, none of them empty."""
    makers: Mapping[type, Callable[[Batch, Arrivals], tuple[Columns, Columns]]] = {
        _RESPONSE: partial(_calls, price_book=price_book),
        _REQUEST: _requests,
        _STEP: _steps,
    }
    return blocks(part for portion in portions(batch) for part in _parts(portion, makers))


def _parts(batch: Batch, makers: Mapping[type, Callable[[Batch, Arrivals], tuple[Columns, Columns]]]) -> Iterator[tuple[str, Columns]]:
    arrivals, dead = sort_events(batch, _TYPES)
    for kind, found in arrivals.items():
        columns, texts = makers[kind](batch, found)
        yield _TABLE_OF[kind], columns
        yield "contents", texts
    yield from dead_letter_columns(batch, dead)


_TABLE_OF = {_RESPONSE: "calls", _REQUEST: "requests", _STEP: "steps"}


def _calls(batch: Batch, found: Arrivals, *, price_book: PriceBook) -> tuple[Columns, Columns]:
    events = found.events
    source = fields(events, (*_CALL_FIELDS, *_CALL_SOURCES))
    columns = {name: source[name] for name in _CALL_FIELDS} | {"started_at": ticks(source["started_at_ns"])} | _usage(source)
    columns |= dict(zip(_COST_COLUMNS, zip(*map(price_book.price_row, events), strict=True), strict=True))
    raws = list(map(bytes, source["parameters"]))
    split = {raw: flat_object(raw) if raw else ("", "") for raw in set(raws)}
    columns["parameters"] = [split[raw][0] for raw in raws]
    texts = {
        "input": content_bytes(source["input"]),
        "output": content_bytes(source["output"]),
        "retrieved": _documents(source["retrieved"]),
        "parameters": [split[raw][1] for raw in raws],
        "error_message": source["error_message"],
        "embedding": [vector or [] for vector in source["embedding"]] if any(source["embedding"]) else Constant([], len(events)),
    }
    carried = {name: columns[name] for name in ("call_id", "project", "app", "started_at")} | {"embedder": source["embedder"]}
    return columns | origin(batch, found), content(batch, found, "call", carried, texts)


def _usage(source: Columns) -> Columns:
    columns = fields([usage or _NO_USAGE for usage in source["usage"]], TOKEN_BUCKETS)
    columns["usage_raw"] = [nested_object(raw) if raw else "" for raw in source["usage_raw"]]
    columns["tool_fees"] = source["tool_fees_nano_usd"]
    return columns


def _documents(column: Column) -> Column:
    if not any(column):
        return Constant("", len(column))
    return [_write(documents).decode() if documents else "" for documents in column]


def _requests(batch: Batch, found: Arrivals) -> tuple[Columns, Columns]:
    columns = fields(found.events, (*_REQUEST_FIELDS, "started_at_ns"))
    columns["started_at"] = ticks(columns.pop("started_at_ns"))
    carried = {name: columns[name] for name in ("call_id", "project", "app", "started_at")}
    return columns | origin(batch, found), content(batch, found, "request", carried, {})


def _steps(batch: Batch, found: Arrivals) -> tuple[Columns, Columns]:
    source = fields(found.events, (*_STEP_FIELDS, "started_at_ns", "input", "output", "retrieved"))
    columns = {name: source[name] for name in _STEP_FIELDS} | {"started_at": ticks(source["started_at_ns"])}
    columns["retrieved_ids"] = [[document.id for document in documents] for documents in source["retrieved"]]
    columns["retrieved_scores"] = [[_score(document.score) for document in documents] for documents in source["retrieved"]]
    texts = {
        "input": content_bytes(source["input"]),
        "output": content_bytes(source["output"]),
        "retrieved": _documents(source["retrieved"]),
    }
    carried = {"call_id": columns["step_id"]} | {name: columns[name] for name in ("project", "app", "started_at")}
    return columns | origin(batch, found), content(batch, found, "step", carried, texts)


def _score(score: float | None) -> float:
    return float("nan") if score is None else score
