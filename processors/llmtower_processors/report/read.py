"""Edge: read the figures of a report, from rollups; whole hours."""

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.models.figures import seen
from llmtower_processors.report.judge import LEVELS, SHARES, SUMS
from llmtower_processors.report.model import Change, Facts, Figures, Fired, Point, Stranger, Value
from llmtower_schemas.metrics import METRICS
from llmtower_schemas.queries import Scope, series, total

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

PRODUCTION: Final = "production"
_ERRORS: Final = """
SELECT app, argMax(error_class, failed), max(failed) FROM
(
    SELECT app, error_class, sum(r.errors) AS failed FROM rollup_1h AS r
    WHERE project = {project:String} AND hour >= toDateTime({start:UInt32}, 'UTC') AND hour < toDateTime({end:UInt32}, 'UTC')
        AND error_class != ''
    GROUP BY app, error_class
)
GROUP BY app
"""
_FIRED: Final = """
SELECT rule, group_text, countIf(to_state = 'firing') AS times,
    argMax(to_state, (alert_events.at, kafka_offset, entry_index)) = 'firing' AS now
FROM alert_events
WHERE alert_events.at >= toDateTime({start:UInt32}, 'UTC') AND alert_events.at < toDateTime({end:UInt32}, 'UTC') AND NOT shadow
    AND ifNull(group_values['project'], '') IN ('', {project:String})
GROUP BY rule, group_text HAVING times > 0 ORDER BY now DESC, times DESC, rule, group_text LIMIT 50
"""


def read(
    client: "Client", project: str, start: datetime, end: datetime, *, registered: Collection[str], changes: Sequence[Change]
) -> Facts:
    """Read a span of whole hours, and the one of equal length before it."""
    length = end - start
    bucket_s = 86_400 if length > timedelta(days=2) else 3_600
    now, before = (_figures(client, project, one, one + length) for one in (start, start - length))
    return Facts(
        project, start, end, now, before,
        models=_models(client, project, start, length), errors=_errors(client, project, start, end), changes=changes,
        fired=_fired(client, project, start, end), strangers=_strangers(client, project, start, registered),
        points=_points(client, project, start, end, bucket_s), bucket_s=bucket_s,
    )  # fmt: skip


def whole_hour(at: datetime) -> datetime:
    """Give the end of the hour that a time lies in."""
    floor = at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return floor if floor == at else floor + timedelta(hours=1)


def _figures(client: "Client", project: str, start: datetime, end: datetime) -> Figures:
    names = [name for name in (*SUMS, *SHARES, *LEVELS) if name in METRICS]
    found: dict[str, dict[str, Value]] = {}
    for source in {METRICS[name].source.name for name in names}:
        metrics = [METRICS[name] for name in names if METRICS[name].source.name == source]
        query = total(metrics, Scope(start, end, {"project": [project]}), by=("app",), bucket_s=3_600)
        for row in client.query(query.sql, parameters=dict(query.parameters)).named_results():
            figures = found.setdefault(str(row["app"]), {})
            figures |= {one.name: _value(row, one.name) for one in metrics}
    return {app: figures for app, figures in found.items() if figures.get("calls", Value(None, 0)).value}


def _value(row: Mapping[str, Any], name: str) -> Value:
    value, sample = row[f"{name}_value"], row[f"{name}_sample"]
    return Value(None if value is None or value != value else float(value), float(sample or 0))


def _models(client: "Client", project: str, start: datetime, length: timedelta) -> list[tuple[str, float, float, float]]:
    sides = []
    for begin in (start, start - length):
        metrics = [METRICS["cost"], METRICS["unpriced_calls"]]
        query = total(metrics, Scope(begin, begin + length, {"project": [project]}), by=("request_model",), bucket_s=3_600)
        rows = client.query(query.sql, parameters=dict(query.parameters)).named_results()
        sides.append({str(row["request_model"]): (float(row["cost_value"] or 0), float(row["unpriced_calls_value"] or 0)) for row in rows})
    found = [(model, usd, sides[1].get(model, (0.0, 0.0))[0], unpriced) for model, (usd, unpriced) in sides[0].items()]
    return sorted(found, key=lambda one: (-one[1], one[0]))


def _errors(client: "Client", project: str, start: datetime, end: datetime) -> dict[str, tuple[str, int]]:
    return {str(row[0]): (str(row[1]), int(row[2])) for row in client.query(_ERRORS, parameters=_bounds(project, start, end)).result_rows}


def _fired(client: "Client", project: str, start: datetime, end: datetime) -> list[Fired]:
    rows = client.query(_FIRED, parameters=_bounds(project, start, end)).result_rows
    return [Fired(str(row[0]), str(row[1]), int(row[2]), bool(row[3])) for row in rows]


def _strangers(client: "Client", project: str, start: datetime, registered: Collection[str]) -> list[Stranger]:
    """Nobody who registers no model at all is told of every one."""
    if not registered:
        return []
    found = [one for one in seen(client, project, start) if one.calls and PRODUCTION in one.environments and one.model not in registered]
    return [Stranger(one.model, one.first, one.calls) for one in found]


def _points(client: "Client", project: str, start: datetime, end: datetime, bucket_s: int) -> list[Point]:
    metrics = [METRICS[name] for name in ("cost", "calls", "errors")]
    query = series(metrics, Scope(start, end, {"project": [project]}), bucket_s=bucket_s, by=("app",))
    rows = client.query(query.sql, parameters=dict(query.parameters)).named_results()
    return [
        Point(row["time"], str(row["app"]), float(row["cost_value"] or 0), int(row["calls_value"]), int(row["errors_value"]))
        for row in rows
    ]


def _bounds(project: str, start: datetime, end: datetime) -> dict[str, Any]:
    return {"project": project, "start": int(start.timestamp()), "end": int(end.timestamp())}
