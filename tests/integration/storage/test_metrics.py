"""Every metric, asked of the real engine, says what Python computes from the same calls."""

import math
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.storage.conftest import NOON, Insert
from tests.integration.storage.rows import Columns, calls

from llmtower_schemas.metrics import CALLS, METRICS, SOURCES
from llmtower_schemas.queries import Query, Scope, series, total

pytestmark = pytest.mark.integration
START = datetime.fromtimestamp(NOON / 1e6, UTC)
SCOPE = Scope(START, START + timedelta(hours=2))
Flags = np.ndarray[Any, np.dtype[np.bool_]]
OF_CALLS = [metric for metric in METRICS.values() if metric.source is CALLS]


def ask(client: Client, query: Query) -> list[dict[str, Any]]:
    return list(client.query(query.sql, parameters=dict(query.parameters)).named_results())


def expected(columns: Columns, keep: Flags) -> dict[str, Any]:
    """What the calls that are kept come to; for a percentile, the values one rank in a hundred below and above."""

    def values(name: str) -> "np.ndarray[Any, np.dtype[np.float64]]":
        return np.array([math.nan if value is None else value for value in columns[name]], dtype=np.float64)[keep]

    failed = np.array([status != "ok" for status in columns["status"]])[keep]
    priced = ~np.isnan(values("cost_nano_usd"))
    read = sum(values(name).sum() for name in ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens"))
    unpriced = np.array([status not in ("priced", "failed") for status in columns["cost_status"]])[keep].sum()
    cost, count = np.nansum(values("cost_nano_usd")) / 1e9, float(keep.sum())
    found: dict[str, Any] = {
        "calls": count,
        "errors": failed.sum(),
        "error_rate": failed.sum() / count,
        "retries": np.nansum(values("retries")),
        "cost": cost,
        "cost_per_call": cost / priced.sum(),
        "cost_per_success": cost / (count - failed.sum()),
        "unpriced_calls": unpriced,
        "unpriced_share": unpriced / count,
        "input_tokens": read,
        "output_tokens": values("output_tokens").sum() + values("reasoning_tokens").sum(),
        "cache_hit_ratio": values("cache_read_tokens").sum() / read,
    }
    classes = np.array(columns["error_class"])[keep]
    found |= {
        f"{name}_share": (failed & (classes == name)).sum() / count
        for name in ("rate_limit", "timeout", "auth", "invalid_request", "content_filter", "server", "network")
    }
    written = values("output_tokens") + values("reasoning_tokens")
    streamed = ~np.isnan(values("ttft_us")) & (written > 1)
    flow = (values("duration_us") - values("ttft_us"))[streamed] / (written[streamed] - 1)
    for name, sample in (("duration", values("duration_us")), ("ttft", values("ttft_us")), ("token_time", flow)):
        for label in ("p50", "p90", "p95", "p99"):
            rank = float(label[1:])
            found[f"{name}_{label}"] = tuple(np.nanpercentile(sample, (rank - 1, min(100.0, rank + 1))) / 1e6)
    return found


def assert_right(row: dict[str, Any], right: dict[str, Any]) -> None:
    assert set(right) == {metric.name for metric in OF_CALLS}
    for name, value in right.items():
        found = row[f"{name}_value"]
        assert value[0] <= found <= value[1] if isinstance(value, tuple) else found == pytest.approx(value, rel=1e-12), name


def test_without_data_a_metric_is_nothing_or_zero_and_never_nan(client: Client) -> None:
    for metric in METRICS.values():
        (row,) = ask(client, total([metric], SCOPE))
        assert row[f"{metric.name}_sample"] == 0, metric.name
        assert row[f"{metric.name}_value"] in (0, None), metric.name
        assert ask(client, series([metric], SCOPE, bucket_s=3_600)) == []


def test_metrics_of_calls_equal_an_independent_computation(client: Client, insert: Insert) -> None:
    columns = calls(6_000, seed=3, start_us=NOON, span_s=7_000)
    insert("calls", columns, "one")
    everything = np.ones(6_000, dtype=bool)
    for bucket_s in (60, 3_600):
        (row,) = ask(client, total(OF_CALLS, SCOPE, bucket_s=bucket_s))
        assert_right(row, expected(columns, everything))

    model = np.array(columns["request_model"])
    of_chat = np.array(columns["app"]) == "chat"
    rows = ask(client, total(OF_CALLS, Scope(SCOPE.start, SCOPE.end, {"app": ["chat"]}), by=["request_model"]))
    assert {row["request_model"] for row in rows} == set(columns["request_model"])
    for row in rows:
        assert_right(row, expected(columns, of_chat & (model == row["request_model"])))

    points = ask(client, series([METRICS["cost"], METRICS["calls"]], SCOPE, bucket_s=300, by=["app"]))
    assert sum(point["calls_value"] for point in points) == 6_000
    assert len({(point["time"], point["app"]) for point in points}) == len(points) > 40


def test_what_lies_outside_the_window_is_not_counted(client: Client, insert: Insert) -> None:
    insert("calls", calls(500, seed=4, start_us=NOON, span_s=3_600), "in")
    insert("calls", calls(300, seed=5, start_us=NOON - 3_600_000_000, span_s=3_600), "before")
    insert("calls", calls(200, seed=6, start_us=NOON + 7_200_000_000, span_s=60), "after")
    (row,) = ask(client, total([METRICS["calls"]], SCOPE))
    assert row["calls_value"] == 500


def test_other_sources_are_asked_the_same_way(client: Client, insert: Insert) -> None:
    insert("calls", calls(1_000, seed=7, start_us=NOON, span_s=3_000), "one")
    spent = ask(client, total([METRICS["user_cost"]], SCOPE, by=["user_id"], bucket_s=3_600))
    assert sum(row["user_cost_sample"] for row in spent) == 1_000
    letters = {"project": ["default"] * 3, "app": ["chat"] * 3, "reason": ["not JSON", "not JSON", "time out of range"]}
    insert("dead_letters", letters | {"at": [NOON // 1_000 + 5] * 3}, "two")
    found = ask(client, total([METRICS["dead_letters"]], SCOPE, by=["reason"]))
    assert [(row["reason"], row["dead_letters_value"]) for row in found] == [("not JSON", 2), ("time out of range", 1)]
    said = {"project": ["default"] * 5, "app": ["chat"] * 5, "target_id": ["a", "b", "c", "d", "d"]}
    words = {"score": [1.0, -1.0, None, None, None], "label": ["", "", "thumbs_down", "bad", "good"]}  # of `d` the last word counts
    insert("feedback", said | words | {"at": [NOON + 5, NOON + 5, NOON + 5, NOON + 5, NOON + 6]}, "three")
    (row,) = ask(client, total([METRICS["negative_feedback"]], SCOPE))
    assert (row["negative_feedback_value"], row["negative_feedback_sample"]) == (0.5, 4)


def test_every_source_names_columns_that_there_are(client: Client) -> None:
    for source in SOURCES.values():
        for _, table, time in source.resolutions:
            there = {
                row[0]
                for row in client.query("SELECT name FROM system.columns WHERE table = {t:String}", parameters={"t": table}).result_rows
            }
            assert {time, *source.dimensions} <= there, table
