"""The calls processor alone: record → Native block as it goes over the wire, in one thread, without Kafka and engine.

Three ways on the same records, interleaved: the processor, the processor and the bytes of its blocks, and a plain per-event loop
(pydantic, one dictionary per row, `calc_price`), which is what a faust agent would run for every event.
"""

import gc
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices

from llmtower_processors.packed import block_bytes, pack
from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.runtime.model import Batch, Block, Record
from llmtower_schemas.codec import Malformed, decode_line
from llmtower_schemas.events import ResponseEvent
from llmtower_schemas.migrations import column_types
from tests.benchmarks.figures import Figure, Samples, at_least, interleave, main
from tests.benchmarks.load import envelopes

START_NS = 1_780_000_000_000_000_000
RANGE = 5_000
"""Calls in one range: 10,000 events."""
PARTITION = 0


def make_batch(calls: int, *, lines: int, seed: int) -> Batch:
    """One range of a partition that holds `calls` calls in records of `lines` events."""
    sent = envelopes(calls, seed=seed, start_ns=START_NS, lines=lines)
    now_ms = START_NS // 1_000_000 + 60_000
    records = [Record("llmtower.calls", PARTITION, offset, now_ms, None, value, tuple(head)) for offset, (head, value) in enumerate(sent)]
    return Batch("calls", "cluster.topic", "llmtower.calls", PARTITION, 0, len(records) - 1, now_ms, records)


def _encode(blocks: Sequence[Block]) -> list[bytes]:
    """As the store does it."""
    return [block_bytes({name: pack(column_types()[b.table][name], column) for name, column in b.columns.items()}) for b in blocks]


def per_event_loop(batch: Batch) -> Sequence[dict[str, Any]]:
    """The plain way: every line by itself, every row a dictionary."""
    rows = []
    for record in batch.records:
        for index, line in enumerate((record.value or b"").split(b"\n")):
            event = decode_line(line)
            if not isinstance(event, Malformed):
                row = event.model_dump()
                row |= {"kafka_offset": record.offset, "event_index": index}
                if isinstance(event, ResponseEvent):
                    row["cost"] = _price(event)
                rows.append(row)
    return rows


def _price(event: ResponseEvent) -> Decimal | None:
    if event.usage is None:
        return None
    cached, usage = event.usage.cache_read_tokens, event.usage
    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens + cached, cache_read_tokens=cached, output_tokens=usage.output_tokens + usage.reasoning_tokens
    )
    at = datetime.fromtimestamp(event.started_at_ns / 1e9, UTC)
    try:
        return genai_prices.calc_price(
            counts, event.response_model or event.request_model, provider_id=event.provider, genai_request_timestamp=at
        ).total_price
    except LookupError:
        return None


def run(quick: bool) -> Sequence[Figure]:
    """Measure envelopes of 100 events and single events."""
    calls, rounds = (RANGE // 5, 7) if quick else (RANGE, 15)
    process = build_processors(PriceBook())["calls"].function
    figures: list[Figure] = []

    for lines, title in ((100, "100-event envelopes"), (1, "single-event records")):
        batch = make_batch(calls, lines=lines, seed=lines)
        gc.collect()
        gc.freeze()
        variants: dict[str, Callable[[int], object]] = {
            "function": lambda _, batch=batch: process(batch),  # type: ignore[misc]  # bound per round
            "encoded": lambda _, batch=batch: _encode(process(batch)),  # type: ignore[misc]
            "loop": lambda _, batch=batch: per_event_loop(batch),  # type: ignore[misc]
        }
        figures += _figures(title, calls, interleave(variants, rounds))
        gc.unfreeze()
    return figures


def _figures(title: str, calls: int, taken: dict[str, Samples]) -> list[Figure]:
    rate = {name: calls / min(samples.cpu) for name, samples in taken.items()}
    note = {name: f"each with its request; best of {len(samples.cpu)}, {samples.spread()}" for name, samples in taken.items()}
    return [
        at_least(f"calls processor, {title}: record to columns", rate["function"], "calls/CPU-s", 40_000, note["function"]),
        at_least(f"calls processor, {title}: record to Native block", rate["encoded"], "calls/CPU-s", 30_000, note["encoded"]),
        Figure(f"calls processor, {title}: against a plain per-event loop", rate["function"] / rate["loop"], "times"),
    ]


if __name__ == "__main__":
    main(run)
