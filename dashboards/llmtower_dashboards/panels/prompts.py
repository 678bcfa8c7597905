"""Prompts and models: versions side by side, with intervals, not only means."""

from collections.abc import Mapping
from typing import Final

from llmtower_dashboards.panel import Column, Dashboard, Panel, PanelUnit, Row
from llmtower_dashboards.panels.common import CALLS, MODEL, NO_CALLS, PROMPT, PROVIDER, TIME, UNPRICED, VERSION, only
from llmtower_dashboards.panels.intervals import mean_interval, quantile_interval, quantile_levels, wilson
from llmtower_dashboards.panels.sql import END, OF_ROLLUPS, OF_SCORES, Resolution, filters, metric, outer, pair, resolutions, select, series

_NO_PROMPTS: Final = "No calls with a named prompt: pass prompt=… to the SDK."
_NAMED: Final = " AND prompt_name != ''"
_BY_VERSION: Final = {"prompt": "prompt_name", "version": "prompt_version"}
_BY_MODEL: Final = {"model": "request_model", "provider": "provider"}
_SIDE_BY_SIDE_S: Final = 21_600


def side_by_side(by: Mapping[str, str], extra: str = "") -> str:
    """One row per group: rates, percentiles and means, each with its 95 % interval.

    Rates by Wilson; percentiles by order statistics, read from the digest; means from how they vary between the buckets of time.
    """
    rate_low, rate_high = wilson("errors_", "calls_")
    shown = {
        **{name: f"{name}_" for name in (*by, "calls")},
        "error_rate": "errors_ / nullIf(calls_, 0)",
        "error_rate_low": rate_low,
        "error_rate_high": rate_high,
    }
    for name, level in (("p50", 0.5), ("p95", 0.95)):
        low, high = quantile_interval(level, "levels_", "calls_")
        shown |= {name: f"{name}_", f"{name}_low": low, f"{name}_high": high}
    shown["ttft_p95"] = "ttft_p95_"
    for name, total, count, prefix in (("cost_per_call", "cost_", "priced_", "cost"), ("tokens_per_call", "tokens_", "calls_", "tokens")):
        mean, low, high = mean_interval(total, count, prefix)
        shown |= {name: mean, f"{name}_low": low, f"{name}_high": high}
    shown["unpriced"] = "unpriced_"
    queries = "\nUNION ALL\n".join(_joined(of, by, extra) for of in pair(_SIDE_BY_SIDE_S))
    head = ", ".join(f"{sql} AS {name}" for name, sql in shown.items())
    return f"SELECT {head}\nFROM (\n{queries}\n)\nORDER BY {', '.join(by)}\nLIMIT 50"


_TOTALS: Final = {
    "calls": "sum(calls)",
    "errors": "sum(errors)",
    "p50": metric("duration_p50"),
    "p95": metric("duration_p95"),
    "levels": quantile_levels("duration_digest"),
    "ttft_p95": metric("ttft_p95"),
    "unpriced": "sum(unpriced_calls)",
}
_PER_BUCKET: Final = {
    "c": "toFloat64(sum(cost_nano_usd)) / 1e9",
    "n": "toFloat64(sum(priced_calls))",
    "t": "toFloat64(sum(output_tokens + reasoning_tokens))",
    "m": "toFloat64(sum(calls))",
}


def _joined(of: Resolution, by: Mapping[str, str], extra: str) -> str:
    """Totals and digests beside the sums of squares over buckets, which make the intervals of means."""
    where = f"{of.within()} AND {filters(OF_ROLLUPS)}{extra}"
    totals, buckets = {**by, **_TOTALS}, {**by, "bucket": of.time, **_PER_BUCKET}
    squares = ", ".join(
        f"sum({x}_) AS {kind}_, sum({n}_) AS {count}_, sum({x}_ * {x}_) AS {kind}_xx_, sum({x}_ * {n}_) AS {kind}_xn_,"
        f" sum({n}_ * {n}_) AS {kind}_nn_, countIf({n}_ > 0) AS {kind}_buckets_"
        for kind, count, x, n in (("cost", "priced", "c", "n"), ("tokens", "counted", "t", "m"))
    )
    keys = ", ".join(f"{name}_" for name in by)
    return f"""SELECT * FROM (
{select(totals, of.table, where, list(by))}
) AS totals
INNER JOIN (
SELECT {keys}, {squares}
FROM (
{select(buckets, of.table, where, [*by, "bucket"])}
)
GROUP BY {keys}
) AS spread USING ({keys})"""  # noqa: S608 - literals


def _with_interval(name: str, title: str, unit: PanelUnit) -> tuple[Column, Column, Column]:
    return Column(name, title, unit), Column(f"{name}_low", "Low", unit), Column(f"{name}_high", "High", unit)


_FIGURES: Final = (
    CALLS,
    *_with_interval("error_rate", "Error rate", "ratio"),
    *_with_interval("p50", "p50 duration", "seconds"),
    *_with_interval("p95", "p95 duration", "seconds"),
    Column("ttft_p95", "p95 to first token", "seconds"),
    *_with_interval("cost_per_call", "Cost per priced call", "usd"),
    *_with_interval("tokens_per_call", "Output tokens per call", "tokens"),
    UNPRICED,
)
_NO_INTERVAL: Final = " An interval that is unknown needs more calls (about 100 for a p95) or more buckets of time (ten)."

VERSIONS = Panel(
    name="prompt_versions",
    title="Prompt versions side by side",
    question="Is the new version better or worse, beyond chance?",
    kind="table",
    unit="",
    sql=side_by_side(_BY_VERSION, _NAMED),
    columns=(PROMPT, VERSION, *_FIGURES),
    no_data=_NO_PROMPTS + _NO_INTERVAL,
    variables=OF_ROLLUPS,
    width=24,
    calls=only("prompted"),
)
MODELS = Panel(
    name="models",
    title="Models side by side",
    question="How do models differ in errors, speed and price, beyond chance?",
    kind="table",
    unit="",
    sql=side_by_side(_BY_MODEL),
    columns=(MODEL, PROVIDER, *_FIGURES),
    no_data=NO_CALLS + _NO_INTERVAL,
    variables=OF_ROLLUPS,
    width=24,
)
TRAFFIC = Panel(
    name="prompt_traffic",
    title="Traffic by prompt version",
    question="Which version is in use, since when, and how far is a rollout?",
    kind="timeseries",
    unit="calls/min",
    sql=series({"calls": "sum(calls) / {minutes}"}, by=_BY_VERSION, extra=_NAMED),
    columns=(TIME, PROMPT, VERSION, Column("calls", "Calls", "calls/min", link="calls")),
    no_data=_NO_PROMPTS,
    variables=OF_ROLLUPS,
    stacked=True,
    calls=only("prompted"),
)
DURATION = Panel(
    name="prompt_duration",
    title="p95 duration by prompt version",
    question="Did a version make calls slower?",
    kind="timeseries",
    unit="seconds",
    sql=series({"p95": metric("duration_p95")}, by=_BY_VERSION, extra=_NAMED),
    columns=(TIME, PROMPT, VERSION, Column("p95", "p95 duration", "seconds", link="calls")),
    no_data=_NO_PROMPTS,
    worse="up",
    variables=OF_ROLLUPS,
    calls=only("prompted"),
)
MODEL_TRAFFIC = Panel(
    name="model_traffic",
    title="Traffic by model",
    question="Which models are in use, and since when?",
    kind="timeseries",
    unit="calls/min",
    sql=series({"calls": "sum(calls) / {minutes}"}, by={"model": "request_model"}),
    columns=(TIME, MODEL, Column("calls", "Calls", "calls/min", link="calls")),
    no_data=NO_CALLS,
    variables=OF_ROLLUPS,
    stacked=True,
)
_SEEN: Final = {**_BY_VERSION, "first": "min(hour)", "last": "max(hour)", "calls": "sum(calls)"}
SEEN = Panel(
    name="prompt_seen",
    title="When versions were used",
    question="When was each version first and last used (by whole hours, up to the end of the range)?",
    kind="table",
    unit="time",
    sql=outer(
        list(_SEEN),
        select(
            _SEEN,
            "rollup_1h",
            f"hour < {END} AND {filters(OF_ROLLUPS)}{_NAMED}",
            list(_BY_VERSION),
            "\nORDER BY first_ DESC, prompt_, version_ DESC\nLIMIT 50",
        ),
    ),
    columns=(PROMPT, VERSION, Column("first", "First hour", "time"), Column("last", "Last hour", "time"), CALLS),
    no_data=_NO_PROMPTS,
    variables=OF_ROLLUPS,
    calls=only("prompted", span="ever"),
)
_SCORES: Final = {
    **_BY_VERSION,
    "name": "name",
    "scored": "sum(scored)",
    "w": "sum(w_low + w_high)",
    "wv": "sum(wv)",
    "ww": "sum(ww_low + ww_high)",
    "wwv": "sum(wwv)",
    "wwvv": "sum(wwvv)",
}


def _scores(of: Resolution) -> str:
    return select(_SCORES, of.table, f"{of.within()} AND {filters(OF_SCORES)}", [*_BY_VERSION, "name"])


_MEAN: Final = "wv_ / nullIf(w_, 0)"
_HALF: Final = f"1.96 * sqrt(greatest(0, wwvv_ - 2 * {_MEAN} * wwv_ + {_MEAN} * {_MEAN} * ww_)) / nullIf(w_, 0)"
SCORES = Panel(
    name="prompt_scores",
    title="Scores by prompt version",
    question="How do evaluations rate each version (each score counts by the inverse of its sampling probability)?",
    kind="table",
    unit="",
    sql=f"SELECT prompt_ AS prompt, version_ AS version, name_ AS name, scored_ AS scored, {_MEAN} AS mean,"
    f" if(scored_ < 10, NULL, mean - {_HALF}) AS low, if(scored_ < 10, NULL, mean + {_HALF}) AS high\nFROM (\n"
    + resolutions(_scores, rollup="rollup_scores")
    + "\n)\nWHERE scored_ > 0\nORDER BY name, prompt, version\nLIMIT 100",
    columns=(
        PROMPT,
        VERSION,
        Column("name", "Score", "text"),
        Column("scored", "Scored", "events"),
        Column("mean", "Mean"),
        Column("low", "Low"),
        Column("high", "High"),
    ),
    no_data="No scores in this range: send evaluations with `llmtower.score(…)`. An unknown interval needs ten scores.",
    variables=OF_SCORES,
    calls=only("scored"),
)

PROMPTS = Dashboard(
    name="prompts",
    title="Prompts and models",
    question="Which version and which model is better, faster, cheaper, beyond chance?",
    rows=(
        Row("Prompts", (VERSIONS, TRAFFIC, DURATION, SEEN, SCORES)),
        Row("Models", (MODELS, MODEL_TRAFFIC)),
    ),
)
