"""What the panels about models and datasets must say, out of the same rows."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import numpy as np
from tests.integration.dashboards.columns import Array, Row, Table, known
from tests.integration.dashboards.expected_scores import mean_score, scores
from tests.integration.dashboards.oracle import (
    Found,
    Look,
    Values,
    at,
    cost,
    failed,
    floor,
    grouped,
    moment,
    seconds,
    share,
    total,
    unpriced,
    wilson,
)
from tests.integration.dashboards.pipeline import us


def _events(look: Look, kind: str) -> list[Row]:
    rows = look.world["registry_events"]
    return sorted(rows.where((rows["kind"] == kind) & (rows["at"] * 1_000 < us(look.frame.end))), key=lambda row: int(row["at"]))


def _moment(row: Row) -> datetime:
    return datetime.fromtimestamp(row["at"] // 1_000, UTC)


def _sums(rows: Table) -> Values:
    return {"calls": len(rows), "error_rate": share(failed(rows), len(rows)), "cost": cost(rows), "unpriced": unpriced(rows)}


def registered(look: Look) -> Found:
    """The last word on every model, with its calls of the range."""
    last = {row["name"]: row for row in _events(look, "model")}
    used = grouped(look.calls(), ("request_model",), _sums)
    nothing = {"calls": 0, "error_rate": None, "cost": None, "unpriced": 0}
    return {
        (name,): {"stage": row["version"], "changed": _moment(row), "by": row["by"], "note": row["note"], **used.get((name,), nothing)}
        for name, row in last.items()
    }


def strangers(look: Look) -> Found:
    """Models in production that were never registered, with the hour of their first call ever."""
    events, calls = look.world["registry_events"], look.calls()
    registered = events.where(events["kind"] == "model")["name"].plain()
    by = ("request_model", "provider")
    everything = grouped(look.world["calls"], by, lambda found: {"first": at(int(found["started_at"].min()), 3_600)})

    def figures(found: Table) -> Values:
        sums = {name: value for name, value in _sums(found).items() if name != "error_rate"}
        return sums | {"first_seen": everything[found.first("request_model"), found.first("provider")]["first"]}

    strange = (calls["environment"] == "production") & ~calls["request_model"].isin(registered)
    return grouped(calls.where(strange), by, figures)


def snapshots(look: Look) -> Found:
    """What answered in the whole hours of the range; first and last hour before its end."""
    by = ("request_model", "response_model")
    rows = look.rows("calls", floor(look.frame.start, 3_600))
    ever = look.rows("calls", datetime.fromtimestamp(0, UTC))

    def ends(found: Table) -> Values:
        first, last = (at(int(end), 3_600) for end in (found["started_at"].min(), found["started_at"].max()))
        return {"first_seen": first, "last_seen": last}

    seen = grouped(ever.where(ever["response_model"] != ""), by, ends)

    def figures(found: Table) -> Values:
        mean = total(found, "duration_us") / len(found) / 1e6
        return {"calls": len(found), "error_rate": share(failed(found), len(found)), "mean": mean}

    answered = grouped(rows.where(rows["response_model"] != ""), by, figures)
    return {key: seen[key] | values for key, values in answered.items()}


_BY_RUN: Final = ("experiment", "dataset", "prompt_name", "prompt_version", "request_model")


def _tried(look: Look) -> Table:
    """Calls of the environment `experiment`, whichever one is chosen elsewhere, with what their tags say."""
    rows = replace(look, frame=replace(look.frame, variables=_without_environment(look)), kept={}).rows("calls")
    rows = rows.where(rows["environment"] == "experiment")
    tags = {name: rows["tags"].read(lambda value, name=name: value.get(name, "")) for name in ("experiment", "dataset", "case")}
    return rows.with_columns(**tags)


def _without_environment(look: Look) -> dict[str, Sequence[str]]:
    return {name: values for name, values in look.frame.variables.items() if name != "environment"}


def _around(name: str, values: Array) -> Values:
    """A mean with its interval, which ten values at least have."""
    if not len(values):
        return {name: None, f"{name}_low": None, f"{name}_high": None}
    mean = float(values.mean())
    half = 1.96 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) >= 10 else None
    return {name: mean, f"{name}_low": half and max(0, mean - half), f"{name}_high": half and mean + half}


def experiments(look: Look) -> Found:
    """Runs by dataset, version and model."""

    def figures(found: Table) -> Values:
        low, high = wilson(failed(found), len(found))
        money = found["cost_nano_usd"]
        return {
            **_sums(found),
            "cases": len(np.unique(found["case"].numbers)),
            "error_rate_low": low,
            "error_rate_high": high,
            **_around("duration", seconds(found, "duration_us")),
            **_around("cost_per_call", np.ma.getdata(money)[known(money)] / 1e9),
            "ended": moment(int(found["started_at"].max())),
        }

    return grouped(_tried(look), _BY_RUN, figures)


def experiment_scores(look: Look) -> Found:
    """What was said of those calls, each by its run."""
    tried = _tried(look)
    everywhere = replace(look, frame=replace(look.frame, variables=_without_environment(look)), kept={})
    rows = scores(everywhere)
    rows = rows.where(known(rows["value"]) & np.isin(rows["target_id"].numbers, tried["call_id"].numbers))
    order = np.argsort(tried["call_id"].numbers)
    place = order[np.searchsorted(tried["call_id"].numbers[order], rows["target_id"].numbers)]
    return grouped(rows.with_columns(**{name: tried[name][place] for name in _BY_RUN}), (*_BY_RUN, "name"), mean_score)


def datasets(look: Look) -> Found:
    """Every version built before the range's end."""
    rows = [(f"{row['name']}@{row['version']}", row) for row in _events(look, "dataset")]
    return {(name,): {"time": _moment(row), "by": row["by"], "note": row["note"]} for name, row in rows}
