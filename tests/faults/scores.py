"""What must be true of scores at the end: they are a pure function of the calls, so every row is known, and the rollups' sums with it."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from clickhouse_connect.driver.client import Client

from llmtower_processors.audit.rollups import ROLLUPS, audit_rollup
from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.roles import PIPELINE
from llmtower_schemas.codec import encode
from tests.faults.load import journal, kind, line
from tests.processors.batches import batch, record
from tests.processors.blocks import rows

SCORES: Final = ("quality", "toxicity")
SCORED_EVERY: Final = 5
"""Of the seeds, every fifth runs with what scores, too, in the same workers: attacks meet both."""
_ROWS: Final = "SELECT toString(call_id), names, score_values, statuses, weights FROM call_scores WHERE processor = {processor:String}"
_SUMS: Final = {
    "call_scores": "SELECT sum(length(names)), sum(arraySum(weights)) FROM call_scores",
    "rollup_scores_1m": "SELECT sum(events), sum(w_low + w_high) FROM rollup_scores_1m",
    "rollup_scores_1h": "SELECT sum(events), sum(w_low + w_high) FROM rollup_scores_1h",
}


class Row(NamedTuple):
    """What one processor says of one call."""

    names: tuple[str, ...]
    values: tuple[float | None, ...]
    statuses: tuple[str, ...]
    weights: tuple[float, ...]


def processors_of(seed: int) -> tuple[str, ...]:
    """Name the processors of one seed's workers."""
    return (*PIPELINE, *SCORES) if seed % SCORED_EVERY == 0 else PIPELINE


def wanted(journals: Sequence[Path]) -> int:
    """Give how many rows of scores there must be."""
    return len(SCORES) * sum(kind(seq) == "calls" for path in journals for seq in _sequence(path))


def stored_scores(client: Client) -> int:
    """Give how many there are."""
    return int(str(client.command("SELECT count() FROM call_scores")))


def judge_scores(client: Client, journals: dict[str, Path]) -> list[str]:
    """Compare every row of scores with the processors' own functions, and the rollups with the rows."""
    lines = list(_lines(journals))
    return [fault for name in SCORES for fault in _judge_processor(client, name, lines)] + _judge_rollups(client)


def _judge_processor(client: Client, name: str, lines: Sequence[bytes]) -> list[str]:
    expected = _expected(name, lines)
    found = client.query(_ROWS, parameters={"processor": name}).result_rows
    by_call = {call: Row(*map(tuple, columns)) for call, *columns in found}
    lost, doubled = len(expected.keys() - by_call.keys()), len(found) - len(by_call)
    strange = len(by_call.keys() - expected.keys())
    wrong = sum(by_call[call] != row for call, row in expected.items() if call in by_call)
    if not (lost or doubled or strange or wrong):
        return []
    return [f"scores of {name}: {lost} lost, {doubled} doubled, {strange} of no call, {wrong} not what the function gives"]


def _expected(name: str, lines: Sequence[bytes]) -> dict[str, Row]:
    function = build_processors(PriceBook())[name].function
    found: dict[str, Row] = {}
    for start in range(0, len(lines), 2_000):
        made = replace(batch(record(encode(lines[start : start + 2_000])), processor=name), time_ms=time.time_ns() // 1_000_000)
        for row in (row for block in function(made) for row in rows(block)):
            columns = (tuple(row[column]) for column in ("names", "score_values", "statuses", "weights"))
            found[str(row["call_id"])] = Row(*columns)
    return found


def _judge_rollups(client: Client) -> list[str]:
    sums = {name: [float(value or 0) for value in client.query(sql).result_rows[0]] for name, sql in _SUMS.items()}
    scored = float(str(client.command("SELECT sum(arrayCount(x -> x IS NOT NULL, score_values)) FROM call_scores")))
    events = sums["call_scores"][0]
    faults = [f"{name} sums to {sums[name]}, rows to {events}, {scored}" for name in list(_SUMS)[1:] if sums[name] != [events, scored]]
    hours = [
        int(hour) for (hour,) in client.query("SELECT DISTINCT toUnixTimestamp(toStartOfHour(started_at)) FROM call_scores").result_rows
    ]
    asked = [rollup for rollup in ROLLUPS if rollup.table in _SUMS]
    return faults + [f"{found.check}: {found.detail}" for rollup in asked for found in audit_rollup(client, rollup, sorted(hours))]


def _lines(journals: dict[str, Path]) -> Iterator[bytes]:
    for producer, path in journals.items():
        for sent in journal(path)[0]:
            yield from (line(producer, seq, sent.at_ns) for seq in range(sent.seq, sent.seq + sent.count) if kind(seq) == "calls")


def _sequence(path: Path) -> Iterator[int]:
    return (seq for sent in journal(path)[0] for seq in range(sent.seq, sent.seq + sent.count))
