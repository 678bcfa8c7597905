"""What experiments found: run by run, dataset, version and model, with intervals. Their calls carry `environment=experiment`.

These panels read single calls and scores, not rollups, which know nothing of runs: experiments are small, and the hourly rollup says which
applications and models made any, so that the primary key skips the rest.
"""

from collections.abc import Mapping
from typing import Final

from llmtower_dashboards.panel import Column, Panel, PanelUnit
from llmtower_dashboards.panels.common import CALLS, COST, MODEL, PROMPT, UNPRICED, VERSION, only
from llmtower_dashboards.panels.intervals import Z, at_least_0, wilson
from llmtower_dashboards.panels.sql import END, START, Rows, aliased, filters, select

FEW: Final = 10
"""Values below which a mean has no interval."""
_OF_CALLS: Final = ("project", "app", "model", "provider", "prompt")
_OF_SCORES: Final = ("project", "app", "model", "prompt")
NO_EXPERIMENT: Final = (
    "No experiment ran in this range: `llmtower prompts test PROMPT VERSION --dataset cases.jsonl` runs one; its calls carry"
    " `environment=experiment`."
)
_TRIED: Final = (
    "environment = 'experiment' AND (project, app) IN (SELECT project, app FROM rollup_1h WHERE environment = 'experiment'"  # noqa: S608
    f" AND hour >= toStartOfHour({START}) AND hour < {END})"
)
_RUN: Final = {"run": "tags['experiment']", "dataset": "tags['dataset']"}
_BY: Final = {**_RUN, "prompt": "prompt_name", "version": "prompt_version", "model": "request_model"}
_KEYS: Final = (Column("run", "Experiment", "text"), Column("dataset", "Dataset", "text"), PROMPT, VERSION, MODEL)


def _mean(column: str, factor: str) -> Mapping[str, str]:
    """A mean over calls, and half of its interval; NULL below FEW known values."""
    half = f"if(count({column}) < {FEW}, NULL, {Z} * sqrt(varSamp({column}) / count({column})) / {factor})"
    return {"mean": f"avg({column}) / {factor}", "half": half}


def _figure(name: str, title: str, unit: PanelUnit) -> tuple[Column, Column, Column]:
    return Column(name, title, unit), Column(f"{name}_low", "Low", unit), Column(f"{name}_high", "High", unit)


_DURATION, _PRICE = _mean("duration_us", "1e6"), _mean("cost_nano_usd", "1e9")
_COUNTED: Final = {
    "cases": "uniqExactIf(tags['case'], tags['case'] != '')",
    "calls": "count()",
    "errors": "countIf(calls.status != 'ok')",
    **{f"duration_{name}": sql for name, sql in _DURATION.items()},
    **{f"price_{name}": sql for name, sql in _PRICE.items()},
    "cost": "sum(ifNull(cost_nano_usd, 0)) / 1e9",
    "unpriced": "countIf(isNull(cost_nano_usd) AND cost_status != 'failed')",
    "ended": "max(started_at)",
}
_LOW, _HIGH = wilson("errors_", "calls_")


def _around(name: str, of: str) -> dict[str, str]:
    low, high = f"({of}_mean_ - {of}_half_)", f"{of}_mean_ + {of}_half_"
    return {name: f"{of}_mean_", f"{name}_low": at_least_0(low), f"{name}_high": high}


_SHOWN: Final = {
    **{name: f"{name}_" for name in (*_BY, "cases", "calls")},
    "error_rate": "errors_ / calls_",
    "error_rate_low": _LOW,
    "error_rate_high": _HIGH,
    **_around("duration", "duration"),
    **_around("cost_per_call", "price"),
    **{name: f"{name}_" for name in ("cost", "unpriced", "ended")},
}
EXPERIMENTS = Panel(
    name="experiments",
    title="Experiments",
    question="What was tried on which dataset: how do versions and models compare in errors, speed and price, and what did trying cost?",
    kind="table",
    unit="",
    sql=f"SELECT {aliased(_SHOWN)}\nFROM (\n"
    + select(
        {**_BY, **_COUNTED},
        "calls",
        f"{Rows('calls', 'started_at').within()} AND {_TRIED} AND {filters(_OF_CALLS)}",
        list(_BY),
    )
    + "\n)\nORDER BY run, dataset, prompt, version, model\nLIMIT 200",
    columns=(
        *_KEYS,
        Column("cases", "Cases", "rows"),
        CALLS,
        *_figure("error_rate", "Error rate", "ratio"),
        *_figure("duration", "Mean duration", "seconds"),
        *_figure("cost_per_call", "Cost per call", "usd"),
        COST,
        UNPRICED,
        Column("ended", "Last call", "time"),
    ),
    no_data=f"{NO_EXPERIMENT} An interval that is unknown needs ten calls.",
    variables=_OF_CALLS,
    width=24,
    calls=only(environment="experiment"),
)

_SAID: Final = Rows("scores_of_calls", "started_at")
_OF_RUNS: Final = f"""
SELECT arrayJoin([('call_id', toString(call_id)), ('response_id', response_id)]) AS told_, {aliased({f"{k}_": v for k, v in _RUN.items()})}
FROM calls
WHERE {Rows("calls", "started_at").within()} AND {_TRIED}"""  # noqa: S608 - literals
_MEAN: Final = "wv_ / nullIf(w_, 0)"
_HALF: Final = f"{Z} * sqrt(arraySum(one -> pow(one.1 * (one.2 - wv_ / w_), 2), each_)) / nullIf(w_, 0)"
_WEIGHED: Final = {
    "scored": "count()",
    "w": "sum(weight)",
    "wv": "sum(weight * assumeNotNull(value))",
    "each": "groupArray((weight, assumeNotNull(value)))",
}
_RATED: Final = {"prompt": "prompt_name", "version": "prompt_version", "model": "request_model", "score": "name"}
EXPERIMENT_SCORES = Panel(
    name="experiment_scores",
    title="Scores of experiments",
    question="How was what an experiment answered rated, by its own checks and by the scorers of production?",
    kind="table",
    unit="",
    sql=f"SELECT {aliased({name: f'{name}_' for name in (*_RUN, *_RATED, 'scored')})}, {_MEAN} AS mean,"
    f" if(scored_ < {FEW}, NULL, mean - {_HALF}) AS low, if(scored_ < {FEW}, NULL, mean + {_HALF}) AS high\nFROM (\n"
    + select(
        {"run": "runs.run_", "dataset": "runs.dataset_", **_RATED, **_WEIGHED},
        f"""(
SELECT *
FROM scores_of_calls
WHERE {_SAID.within()} AND {_TRIED} AND isNotNull(value) AND weight > 0 AND {filters(_OF_SCORES)}
) AS said
LEFT ANY JOIN ({_OF_RUNS}
) AS runs ON runs.told_ = (said.target_kind, said.target_id)""",  # noqa: S608 - literals
        "1 = 1",
        [*_RUN, *_RATED],
    )
    + "\n)\nORDER BY run, dataset, score, prompt, version, model\nLIMIT 200",
    columns=(
        *_KEYS,
        Column("score", "Score", "text"),
        Column("scored", "Scored", "events"),
        Column("mean", "Mean"),
        Column("low", "Low"),
        Column("high", "High"),
    ),
    no_data="No answer of an experiment was scored in this range: its checks score at once, the scorers of production when they get to it."
    " An interval that is unknown needs ten scores.",
    variables=_OF_SCORES,
    width=24,
    calls=only("scored", environment="experiment"),
)
