"""What the panels about models and datasets must say, out of the same rows."""

import statistics
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from tests.integration.dashboards.expected_rest import mean_score, scores
from tests.integration.dashboards.oracle import Found, Look, Values, at, cost, failed, grouped, seconds, share, unpriced, wilson
from tests.integration.dashboards.pipeline import Row, us


def _events(look: Look, kind: str) -> list[Row]:
    found = [row for row in look.world["registry_events"] if row["kind"] == kind and row["at"] * 1_000 < us(look.frame.end)]
    return sorted(found, key=lambda row: row["at"])


def _moment(row: Row) -> datetime:
    return datetime.fromtimestamp(row["at"] // 1_000, UTC)


def _sums(rows: Sequence[Row]) -> Values:
    return {"calls": len(rows), "error_rate": share(failed(rows), len(rows)), "cost": cost(rows), "unpriced": unpriced(rows)}


def registered(look: Look) -> Found:
    """The last word on every model, with its calls of the range."""
    last = {row["name"]: row for row in _events(look, "model")}
    used = grouped(look.calls(), lambda row: (row["request_model"],), _sums)
    nothing = {"calls": 0, "error_rate": None, "cost": None, "unpriced": 0}
    return {
        (name,): {"stage": row["version"], "changed": _moment(row), "by": row["by"], "note": row["note"], **used.get((name,), nothing)}
        for name, row in last.items()
    }


def strangers(look: Look) -> Found:
    """Models in production that were never registered, with the hour of their first call ever."""
    known = {row["name"] for row in look.world["registry_events"] if row["kind"] == "model"}
    rows = [row for row in look.calls() if row["environment"] == "production" and row["request_model"] not in known]

    def figures(found: Sequence[Row]) -> Values:
        sums = {name: value for name, value in _sums(found).items() if name != "error_rate"}
        one = found[0]
        same = [row for row in look.world["calls"] if (row["request_model"], row["provider"]) == (one["request_model"], one["provider"])]
        return sums | {"first_seen": at(min(row["started_at"] for row in same), 3_600)}

    return grouped(rows, lambda row: (row["request_model"], row["provider"]), figures)


def snapshots(look: Look) -> Found:
    """What answered in the whole hours of the range; first and last hour before its end."""
    hour = look.frame.start.replace(minute=0, second=0, microsecond=0)
    rows = [row for row in look.rows("calls", hour) if row["response_model"]]
    before = [row for row in look.rows("calls", datetime.fromtimestamp(0, UTC)) if row["response_model"]]

    def figures(found: Sequence[Row]) -> Values:
        pair = (found[0]["request_model"], found[0]["response_model"])
        starts = [row["started_at"] for row in before if (row["request_model"], row["response_model"]) == pair]
        times = seconds(found, "duration_us")
        ends = {"first_seen": at(min(starts), 3_600), "last_seen": at(max(starts), 3_600)}
        return ends | {"calls": len(found), "error_rate": share(failed(found), len(found)), "mean": sum(times) / len(times)}

    return grouped(rows, lambda row: (row["request_model"], row["response_model"]), figures)


def _run(row: Row) -> tuple[str, ...]:
    return (row["tags"]["experiment"], row["tags"]["dataset"], row["prompt_name"], row["prompt_version"], row["request_model"])


def _tried(look: Look) -> list[Row]:
    """Calls of the environment `experiment`, whichever one is chosen elsewhere."""
    chosen = look.frame.variables.get("app") or ()
    rows = [row for row in look.world["calls"] if us(look.frame.start) <= row["started_at"] < us(look.frame.end)]
    return [row for row in rows if row["environment"] == "experiment" and (not chosen or row["app"] in chosen)]


def _around(name: str, values: Sequence[float]) -> Values:
    """A mean with its interval, which ten values at least have."""
    if not values:
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    mean = statistics.fmean(values)
    half = 1.96 * statistics.stdev(values) / len(values) ** 0.5 if len(values) >= 10 else None
    return {name: mean, f"{name}_low": half and max(0, mean - half), f"{name}_high": half and mean + half}


def experiments(look: Look) -> Found:
    """Runs by dataset, version and model."""

    def figures(found: Sequence[Row]) -> Values:
        low, high = wilson(failed(found), len(found))
        return {
            **_sums(found),
            "cases": len({row["tags"]["case"] for row in found}),
            "error_rate_low": low,
            "error_rate_high": high,
            **_around("duration", seconds(found, "duration_us")),
            **_around("cost_per_call", [row["cost_nano_usd"] / 1e9 for row in found if row["cost_nano_usd"] is not None]),
            "ended": datetime.fromtimestamp(0, UTC) + timedelta(microseconds=max(row["started_at"] for row in found)),
        }

    return grouped(_tried(look), _run, figures)


def experiment_scores(look: Look) -> Found:
    """What was said of those calls, each by its run."""
    runs = {str(row["call_id"]): _run(row) for row in _tried(look)}
    chosen = {name: values for name, values in look.frame.variables.items() if name != "environment"}
    everywhere = replace(look, frame=replace(look.frame, variables=chosen))
    rows = [row for row in scores(everywhere) if row["value"] is not None and row["target_id"] in runs]
    return grouped(rows, lambda row: (*runs[row["target_id"]], row["name"]), mean_score)


def datasets(look: Look) -> Found:
    """Every version built before the range's end."""
    rows = [(f"{row['name']}@{row['version']}", row) for row in _events(look, "dataset")]
    return {(name,): {"time": _moment(row), "by": row["by"], "note": row["note"]} for name, row in rows}
