"""SQL from metrics: only names of the registries become SQL, and a wrong name is answered with the right ones."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from llmtower_schemas.metrics import CALLS, DEAD_LETTERS, METRICS, USERS
from llmtower_schemas.queries import QueryError, Scope, resolution, series, total

START = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCOPE = Scope(START, START + timedelta(hours=1))


@pytest.mark.parametrize(("bucket_s", "table"), [(60, "rollup_1m"), (300, "rollup_1m"), (3_600, "rollup_1h"), (86_400, "rollup_1h")])
def test_the_coarsest_table_that_fits_is_asked(bucket_s: int, table: str) -> None:
    assert resolution(CALLS, bucket_s)[0] == table


@pytest.mark.parametrize(("source", "bucket_s"), [(CALLS, 90), (CALLS, 1), (USERS, 60)])
def test_a_bucket_finer_than_what_is_kept_is_refused(source: object, bucket_s: int) -> None:
    with pytest.raises(QueryError, match="kept in buckets of"):
        resolution(source, bucket_s)  # type: ignore[arg-type]


def test_what_a_user_typed_never_becomes_sql() -> None:
    hostile = "x') OR 1 = 1 --"
    query = total([METRICS["calls"]], Scope(START, START, {"app": [hostile]}))
    assert hostile not in query.sql
    assert query.parameters["app"] == [hostile]


@pytest.mark.parametrize("names", [{"where": {"app; DROP TABLE calls": ["x"]}}, {"by": ["user_id"]}])
def test_an_unknown_dimension_is_answered_with_the_known_ones(names: dict[str, dict[str, list[str]] | list[str]]) -> None:
    with pytest.raises(QueryError, match="There are: project, app"):
        total([METRICS["calls"]], Scope(START, START, names.get("where", {})), by=names.get("by", []))  # type: ignore[arg-type]


def test_metrics_of_different_sources_are_not_mixed() -> None:
    with pytest.raises(QueryError, match="share a source"):
        total([METRICS["calls"], METRICS["user_cost"]], SCOPE)


def test_times_are_bound_in_utc() -> None:
    local = START.astimezone(timezone(timedelta(hours=5, minutes=30)))
    assert total([METRICS["calls"]], Scope(local, local)).parameters["start"] == "2026-11-20 12:00:00"


def test_every_metric_says_what_it_is() -> None:
    for name, metric in METRICS.items():
        assert name == metric.name
        assert metric.question.endswith("?")
        assert metric.title[0].isupper()
        assert metric.unpriced == (metric.unit == "usd" and "priced_calls" not in metric.sample)
    assert METRICS["dead_letters"].source is DEAD_LETTERS
    assert series([METRICS["dead_letters"]], SCOPE, bucket_s=10, by=["reason"]).sql.endswith("ORDER BY time, reason")
