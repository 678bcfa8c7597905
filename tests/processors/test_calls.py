"""What the `calls` processor makes of events, line by line."""

import json
import math
from typing import Any

import orjson
import pytest

from llmtower_processors.arrivals import AHEAD_MS, OLDEST_MS, portions
from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.runtime.model import Block
from llmtower_processors.wire import MAX_LINES
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import AT_NS, EXAMPLES
from tests.processors.batches import NOW_MS, Rows, batch, record, run

CALLS = build_processors(PriceBook())["calls"]
UUID = "019e70a2-0001-7000-8000-000000000001"


def process(*lines: bytes) -> Rows:
    return run(CALLS.function, batch(record(encode(lines), offset=7)))


def line(name: str, **changes: Any) -> bytes:
    return json.dumps({**orjson.loads(encode_event(EXAMPLES[name])), **changes}, separators=(",", ":")).encode()


def only(rows: Rows, table: str) -> dict[str, Any]:
    assert len(rows[table]) == 1
    return rows[table][0]


def test_a_call_becomes_a_row_with_its_place_and_its_cost() -> None:
    row = only(process(line("openai_chat")), "calls")
    place = {"incarnation": "cluster.topic", "kafka_topic": "llmtower.calls", "kafka_partition": 3, "kafka_offset": 7, "event_index": 0}
    assert row.items() >= (place | {"producer": "run-1", "producer_seq": 100}).items()
    assert row["started_at"] == AT_NS // 1_000
    assert (row["input_tokens"], row["cache_read_tokens"], row["output_tokens"]) == (1_000, 2_048, 300)
    assert (row["cost_nano_usd"], row["cost_status"], row["cost_source"]) == (8_060_000, "priced", "genai-prices")
    assert row["cost_nano_usd"] == sum(row[f"cost_{part}_nano_usd"] for part in ("input", "cache", "output", "fees"))
    assert orjson.loads(row["usage_raw"])["prompt_tokens_details"] == {"cached_tokens": 2_048}


def test_every_event_has_its_number() -> None:
    rows = process(line("request"), line("openai_chat"), line("retrieval_step"))
    numbers = [(rows[table][0]["event_index"], rows[table][0]["producer_seq"]) for table in ("requests", "calls", "steps")]
    assert numbers == [(0, 100), (1, 101), (2, 102)]


def test_texts_are_kept_apart_from_what_dashboards_read() -> None:
    rows = process(line("openai_chat"))
    row, texts = only(rows, "calls"), only(rows, "contents")
    assert (texts["call_id"], texts["kind"], texts["started_at"]) == (row["call_id"], "call", row["started_at"])
    assert orjson.loads(texts["input"])[1] == {"role": "user", "content": "Où est mon colis ?"}
    assert orjson.loads(row["parameters"]) == {"temperature": 0.2, "max_tokens": 512}
    assert "tools" in orjson.loads(texts["parameters"])
    assert "colis" not in str(row)


def test_plain_text_stays_plain_text() -> None:
    texts = only(process(line("openai_streaming", input=None)), "contents")
    assert (texts["input"], texts["output"]) == ("", "plain text")


def test_long_words_in_parameters_and_usage_are_content() -> None:
    secret = "my long secret prompt " * 4
    parameters = {"stop": secret, "n": 1, "seed": None, "stream": True, "user": "u", secret: 1}
    usage = {"a": secret, "b": {"c": {"d": 2, "e": secret}}, "f": [1], "g": {"h": secret}}
    rows = process(line("openai_chat", parameters=parameters, usage_raw=usage))
    row = only(rows, "calls")
    assert orjson.loads(row["parameters"]) == {"n": 1, "stream": True, "user": "u"}
    assert orjson.loads(row["usage_raw"]) == {"b": {"c": {"d": 2}}}
    assert orjson.loads(only(rows, "contents")["parameters"]) == parameters
    assert "secret" not in str(row)


def test_no_content_means_no_row_of_content() -> None:
    assert "contents" not in process(line("unknown_model"), line("request"), line("failed_tool_step"))


def test_contents_of_all_kinds_are_one_block() -> None:
    rows = process(line("openai_chat"), line("retrieval_step"), line("unknown_model"), line("request", colour="blue"))
    assert sorted(row["kind"] for row in rows["contents"]) == ["call", "request", "step"]


def test_messages_of_errors_are_content() -> None:
    rows = process(line("rate_limited"))
    row = only(rows, "calls")
    assert (row["status"], row["error_class"], row["error_type"], row["retries"]) == ("error", "rate_limit", "RateLimitError", 2)
    assert (row["cost_nano_usd"], row["cost_status"]) == (None, "failed")
    assert only(rows, "contents")["error_message"] == "Rate limit reached for organization"


def test_unknown_fields_are_kept() -> None:
    rows = process(line("openai_chat", colour="blue", big=1 << 80))
    assert only(rows, "calls")["cost_nano_usd"] == 8_060_000
    assert only(rows, "contents")["extra"] == '{"colour":"blue","big":1208925819614629174706176}'


@pytest.mark.parametrize(
    ("count", "cost", "status"),
    [(7, None, "unpriced_usage"), ("many", None, "unpriced_usage"), (0, 8_060_000, "priced"), (None, 8_060_000, "priced")],
)
def test_a_token_bucket_that_we_do_not_know_is_kept_and_makes_the_cost_unknown(count: object, cost: int | None, status: str) -> None:
    usage = orjson.loads(line("openai_chat"))["usage"]
    rows = process(line("openai_chat", usage={**usage, "video_tokens": count}))
    row = only(rows, "calls")
    assert [row[name] for name in usage] == list(usage.values())
    assert (row["cost_nano_usd"], row["cost_status"]) == (cost, status)
    assert orjson.loads(only(rows, "contents")["extra"]) == {"usage": {"video_tokens": count}}


def test_a_cost_that_the_provider_reports_needs_no_bucket_of_ours() -> None:
    rows = process(line("openai_chat", usage={"video_tokens": 7}, reported_cost_nano_usd=5))
    assert (only(rows, "calls")["cost_nano_usd"], only(rows, "calls")["cost_status"]) == (5, "priced")


def test_unknown_fields_of_documents_are_kept() -> None:
    rows = process(line("retrieval_step", retrieved=[{"id": "a", "score": 1}, {"id": "b", "page": 4}]))
    assert only(rows, "contents")["extra"] == '{"retrieved":[{},{"page":4}]}'
    assert only(rows, "steps")["retrieved_ids"] == ["a", "b"]


def test_a_step_shows_what_it_found() -> None:
    rows = process(line("retrieval_step"))
    step, texts = only(rows, "steps"), only(rows, "contents")
    assert step["retrieved_ids"] == ["doc-1", "doc-2"]
    assert step["retrieved_scores"][0] == 0.87
    assert math.isnan(step["retrieved_scores"][1])
    assert orjson.loads(texts["retrieved"])[0]["text"] == "Parcels leave at noon."
    assert (texts["input"], texts["output"], texts["call_id"]) == ("parcel", '{"hits":2}', step["step_id"])


def test_an_answer_carries_documents_and_embedding() -> None:
    rows = process(line("answer_with_documents"))
    texts = only(rows, "contents")
    assert list(texts["embedding"]) == [0.25, -0.5, 1.0]
    assert texts["embedder"] == "hash-3gram/1"
    assert only(rows, "calls")["cost_status"] == "estimated_usage"


@pytest.mark.parametrize(
    ("offset_ns", "stored"),
    [
        (0, True),
        ((NOW_MS + AHEAD_MS) * 10**6 - AT_NS, True),
        ((NOW_MS + AHEAD_MS) * 10**6 - AT_NS + 1, False),
        ((NOW_MS - OLDEST_MS) * 10**6 - AT_NS, True),
        ((NOW_MS - OLDEST_MS) * 10**6 - AT_NS - 1, False),
        (-AT_NS, False),
        ((1 << 63) - 1 - AT_NS, False),
    ],
)
def test_times_out_of_range_are_dead_letters(offset_ns: int, stored: bool) -> None:
    rows = process(line("openai_chat", started_at_ns=AT_NS + offset_ns), line("request"))
    assert ("calls" in rows) is stored
    assert len(rows["requests"]) == 1
    if not stored:
        assert only(rows, "dead_letters")["reason"] == "time out of range"
        assert only(rows, "dead_letter_bytes")["raw"] == line("openai_chat", started_at_ns=AT_NS + offset_ns)


def test_a_dead_letter_says_whose_it_is_where_and_why() -> None:
    broken = b'{"type":"response","app":"mine","call_id":"secret"}'
    rows = process(line("request"), broken)
    letter, raw = only(rows, "dead_letters"), only(rows, "dead_letter_bytes")
    assert letter == {
        "processor": "calls",
        "project": "header-project",
        "app": "header-app",
        "bytes": len(broken),
        "at": NOW_MS,
        "producer": "run-1",
        "producer_seq": 101,
        "incarnation": "cluster.topic",
        "topic": "llmtower.calls",
        "partition": 3,
        "offset": 7,
        "event_index": 1,
        "reason": letter["reason"],
    }
    assert letter["reason"] == "string_pattern_mismatch at call_id"
    assert (raw["raw"], raw["event_index"]) == (broken, 1)


def test_a_readable_event_that_is_refused_keeps_its_own_app() -> None:
    letter = only(process(line("feedback", app="own-app", project="own-project")), "dead_letters")
    assert (letter["project"], letter["app"]) == ("own-project", "own-app")
    assert letter["reason"] == "event does not belong on this topic"


def test_events_of_another_app_than_the_headers_are_fine() -> None:
    assert only(process(line("openai_chat", app="other", project="p")), "calls")["app"] == "other"


def test_events_without_headers_are_fine() -> None:
    rows = run(CALLS.function, batch(record(line("openai_chat") + b"\n" + line("request"), headers=False)))
    assert (rows["calls"][0]["producer"], rows["calls"][0]["producer_seq"], rows["requests"][0]["producer_seq"]) == ("", 0, 1)


@pytest.mark.parametrize("value", [None, b"", b"\n", b" \n\t "])
def test_an_empty_record_is_one_dead_letter(value: bytes | None) -> None:
    rows = run(CALLS.function, batch(record(value)))
    assert set(rows) == {"dead_letters", "dead_letter_bytes"}
    assert only(rows, "dead_letters")["reason"] == "empty record"


def test_a_record_of_endless_lines_is_one_dead_letter() -> None:
    value = b"{\n" * (MAX_LINES + 1)
    rows = run(CALLS.function, batch(record(value), record(line("request"), offset=1)))
    assert only(rows, "dead_letters")["reason"] == f"more than {MAX_LINES} lines in one record"
    assert only(rows, "dead_letter_bytes")["raw"] == value
    assert len(rows["requests"]) == 1


def test_the_time_of_a_dead_letter_stays_within_what_can_be_inserted() -> None:
    early, late = record(b"{", offset=0)._replace(timestamp_ms=-1), record(b"{", offset=1)._replace(timestamp_ms=1 << 60)
    rows = run(CALLS.function, batch(early, late))
    assert [row["at"] for row in rows["dead_letters"]] == [NOW_MS - OLDEST_MS, NOW_MS + AHEAD_MS]


def test_the_same_batch_gives_the_same_blocks() -> None:
    made = batch(record(encode([encode_event(event) for event in EXAMPLES.values()] + [b"{"])))
    first = [Block(block.table, {name: list(column) for name, column in block.columns.items()}) for block in CALLS.function(made)]
    second = [Block(block.table, {name: list(column) for name, column in block.columns.items()}) for block in CALLS.function(made)]
    assert repr(first) == repr(second)


def test_an_empty_batch_gives_nothing() -> None:
    assert CALLS.function(batch()) == []


def test_a_large_batch_is_worked_on_in_portions_and_joined() -> None:
    long = line("openai_streaming", output="x" * 200_000)
    values = [
        encode([line("request"), long]),
        encode([line("unknown_model"), b"{"]),
        encode([line("retrieval_step"), long, line("rate_limited")]),
    ]
    records = [record(value, offset=offset, seq=10 * offset) for offset, value in enumerate(values * 3)]
    made = batch(*records)
    assert len(list(portions(made))) > 1
    rows = run(CALLS.function, made)
    found = sorted((row["kafka_offset"], row["event_index"]) for table in ("calls", "requests", "steps") for row in rows[table])
    broken = [(row["offset"], row["event_index"]) for row in rows["dead_letters"]]
    assert found == sorted({(o, i) for o in range(9) for i in range((2, 2, 3)[o % 3])} - set(broken))
    assert broken == [(1, 1), (4, 1), (7, 1)]
    assert [row["producer_seq"] for row in rows["requests"]] == [0, 30, 60]
    assert [row["input"] for row in rows["contents"] if row["kind"] == "step"] == ["parcel"] * 3
    assert len(rows["contents"]) == 6 + 3 + 3
    assert {row["cost_status"] for row in rows["calls"]} == {"priced", "unknown_model", "failed"}
