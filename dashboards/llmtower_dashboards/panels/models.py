"""Models and datasets: what is registered, what is not, which snapshots answer, which datasets there are."""

from typing import Final

from llmtower_dashboards.panel import Column, Dashboard, Panel, Row
from llmtower_dashboards.panels.common import CALLS, COST, MODEL, PROVIDER, UNPRICED, only
from llmtower_dashboards.panels.experiments import EXPERIMENT_SCORES, EXPERIMENTS
from llmtower_dashboards.panels.sql import END, OF_ROLLUPS, START, Resolution, aliased, filters, metric, outer, resolutions, select

_REGISTERED: Final = f"""
SELECT name AS model_, argMax((version, by, note, toDateTime(registry_events.at, 'UTC')), (registry_events.at, number)) AS last_
FROM registry_events
WHERE kind = 'model' AND registry_events.at < {END}
GROUP BY name"""  # noqa: S608 - literals
_SUMS: Final = {
    "calls": "sum(calls)",
    "error_rate": "sum(errors) / nullIf(sum(calls), 0)",
    "cost": metric("cost"),
    "unpriced": "sum(unpriced_calls)",
}
_NOBODY: Final = "Register what you call with `llmtower models register MODEL`."
_FIRST: Final = Column("first_seen", "First seen", "time")
_ERRORS: Final = Column("error_rate", "Error rate", "ratio")


def _used(extra: str = "") -> str:
    def build(of: Resolution) -> str:
        where = f"{of.within()} AND {filters(OF_ROLLUPS)}{extra}"
        return select({"model": "request_model", "provider": "provider", **_SUMS}, of.table, where, ["model", "provider"])

    return outer(("model", "provider", *_SUMS), resolutions(build))


REGISTERED = Panel(
    name="registry_models",
    title="Registered models",
    question="Which models did somebody register, in which stage are they, and how much are they used?",
    kind="table",
    unit="",
    sql=f"""SELECT known.model_ AS model, last_.1 AS stage, ifNull(used.calls, 0) AS calls, used.error_rate AS error_rate,
    if(used.model = '', NULL, used.cost) AS cost, ifNull(used.unpriced, 0) AS unpriced, last_.4 AS changed, last_.2 AS by, last_.3 AS note
FROM ({_REGISTERED}
) AS known
LEFT JOIN (
SELECT model, sum(found.calls) AS calls, sum(found.error_rate * found.calls) / sum(found.calls) AS error_rate, sum(found.cost) AS cost,
    sum(found.unpriced) AS unpriced
FROM ({_used()}) AS found GROUP BY model
) AS used ON used.model = known.model_
ORDER BY calls DESC, model
LIMIT 200""",  # noqa: S608 - literals
    columns=(
        MODEL,
        Column("stage", "Stage", "text"),
        CALLS,
        _ERRORS,
        COST,
        UNPRICED,
        Column("changed", "Changed", "time"),
        Column("by", "By", "text"),
        Column("note", "Note", "text"),
    ),
    no_data=f"No model is registered. {_NOBODY}",
    variables=OF_ROLLUPS,
    width=24,
    calls=only("registered"),
)
STRANGERS = Panel(
    name="registry_strangers",
    title="In production, registered by nobody",
    question="Which models are called in production that nobody registered, since when and how much?",
    kind="table",
    unit="",
    sql=f"""SELECT used.model AS model, used.provider AS provider, seen.first_ AS first_seen, used.calls AS calls, used.cost AS cost,
    used.unpriced AS unpriced
FROM ({_used(" AND environment = 'production' AND request_model NOT IN (SELECT name FROM registry_events WHERE kind = 'model')")}
) AS used
INNER JOIN (
SELECT request_model, provider, min(hour) AS first_ FROM rollup_1h GROUP BY request_model, provider
) AS seen ON seen.request_model = used.model AND seen.provider = used.provider
ORDER BY calls DESC, model, provider
LIMIT 100""",  # noqa: S608 - literals
    columns=(MODEL, PROVIDER, _FIRST, CALLS, COST, UNPRICED),
    no_data="Every model that is called in production in this range is registered, or none is called.",
    variables=OF_ROLLUPS,
    width=24,
    calls=only("unregistered", environment="production"),
)
_OF_SNAPSHOTS: Final = ("project", "environment", "app", "model", "provider")
_IN_RANGE: Final = f"hour >= toStartOfHour({START}) AND hour < {END}"
_ANSWERED: Final = {
    "model": "request_model",
    "snapshot": "response_model",
    "first_seen": "min(hour)",
    "last_seen": "max(hour)",
    "calls": f"sumIf(calls, {_IN_RANGE})",
    "error_rate": f"sumIf(errors, {_IN_RANGE}) / nullIf(sumIf(calls, {_IN_RANGE}), 0)",
    "mean": f"sumIf(duration_us, {_IN_RANGE}) / nullIf(sumIf(calls, {_IN_RANGE}), 0) / 1e6",
}
SNAPSHOTS = Panel(
    name="model_snapshots",
    title="Which snapshot answers",
    question="Which snapshots of a model answered in this range, and since when?",
    kind="table",
    unit="",
    sql=outer(
        tuple(_ANSWERED),
        select(
            _ANSWERED,
            "rollup_models_1h",
            f"hour < {END} AND response_model != '' AND {filters(_OF_SNAPSHOTS)}",
            ["model", "snapshot"],
            tail="\nHAVING calls_ > 0",
        ),
        "\nORDER BY model, first_seen, snapshot\nLIMIT 200",
    ),
    columns=(
        MODEL,
        Column("snapshot", "Snapshot", "text"),
        _FIRST,
        Column("last_seen", "Last seen", "time"),
        CALLS,
        _ERRORS,
        Column("mean", "Mean duration", "seconds"),
    ),
    no_data="No answer in this range names a snapshot (`response_model`).",
    variables=_OF_SNAPSHOTS,
    width=24,
    calls=only("snapshots", span="hours"),
)
_BUILT: Final = {
    "dataset": "concat(name, '@', version)",
    "time": "toDateTime(registry_events.at, 'UTC')",
    "by": "by",
    "note": "note",
}
DATASETS = Panel(
    name="registry_datasets",
    title="Datasets",
    question="Which datasets were built, when and by whom?",
    kind="table",
    unit="",
    sql=f"""SELECT {aliased(_BUILT)}
FROM registry_events
WHERE kind = 'dataset' AND registry_events.at < {END}
ORDER BY time DESC, dataset
LIMIT 100""",  # noqa: S608 - literals
    columns=(
        Column("dataset", "Dataset", "text"),
        Column("time", "Built", "time"),
        Column("by", "By", "text"),
        Column("note", "Note", "text"),
    ),
    no_data="No dataset was built before the end of this range: `llmtower datasets build failures --feedback negative`.",
    calls=None,
    width=24,
)

MODELS_DASHBOARD: Final = Dashboard(
    name="models",
    title="Models and datasets",
    question="Which models do we run, where do they come from, and what are they made better with?",
    rows=(
        Row("Models", (REGISTERED, STRANGERS, SNAPSHOTS)),
        Row("Experiments and datasets", (EXPERIMENTS, EXPERIMENT_SCORES, DATASETS)),
    ),
)
