"""The LLM judge: what it says of answers, how far people agree with it, and what of its budget is spent."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel, Threshold
from llmtower_dashboards.panels.common import APP, TIME, only
from llmtower_dashboards.panels.intervals import EFFECTIVE, RATE, kappa, stepwise, weighted_rate
from llmtower_dashboards.panels.sql import END, OF_SCORES, START, Rows, aliased, filters, select
from llmtower_schemas.judged import TRACE_S, judged_feedback

_ROUNDS: Final = Rows("judge_rounds", "at")
_SCORES: Final = Rows("scores", "started_at")
NO_JUDGE: Final = "No judge ran in this range: name an endpoint with LLMTOWER_JUDGE__BASE_URL (docs/judge.md)."
_OF_BUDGET: Final = "argMax(spent_nano_usd, judge_rounds.at) / nullIf(argMax(budget_nano_usd, judge_rounds.at), 0)"
_MONEY: Final = {
    "spent": "argMax(spent_nano_usd, judge_rounds.at) / 1e9",
    "budget": "argMax(budget_nano_usd, judge_rounds.at) / 1e9",
}

BUDGET = Panel(
    name="judge_budget",
    title="Judge's budget of the day",
    question="How much of its daily budget (UTC) has the judge spent? At 1 it asks no more until midnight.",
    kind="stat",
    unit="ratio",
    sql=f"SELECT {aliased({'value': _OF_BUDGET, **_MONEY})}\nFROM judge_rounds\nWHERE {_ROUNDS.within()}\nHAVING count() > 0",
    columns=(Column("value", "Spent", "ratio"), Column("spent", "Spent", "usd"), Column("budget", "Budget", "usd")),
    no_data=NO_JUDGE,
    thresholds=(Threshold(0.8, "warn"), Threshold(1, "bad")),
    worse="up",
    trend="judge_rounds",
    width=6,
    calls=None,
)
ROUNDS = Panel(
    name="judge_rounds",
    title="What the judge spends",
    question="Is the judge asking, failing or out of money, and how fast does it spend its day's budget?",
    kind="timeseries",
    unit="usd",
    sql="SELECT time_ AS time, spent_ AS spent, budget_ AS budget\nFROM (\n"
    + select(
        {"time": _ROUNDS.bucket(), **_MONEY},
        "judge_rounds",
        _ROUNDS.within_buckets(),
        ["time"],
    )
    + "\n)\nORDER BY time",
    columns=(TIME, Column("spent", "Spent today", "usd"), Column("budget", "Budget", "usd")),
    no_data=NO_JUDGE,
    width=18,
    calls=None,
)
_LOW, _HIGH = weighted_rate()
_JUDGED: Final = f"scorer = 'llmtower-judge' AND {filters(OF_SCORES)}"
_SUMS: Final = {
    "scored": "count(value)",
    "w": "sumIf(weight, isNotNull(value))",
    "ww": "sumIf(weight * weight, isNotNull(value))",
    "wb": "sumIf(weight, label = 'bad')",
    "wwb": "sumIf(weight * weight, label = 'bad')",
}
"""Of rows, not of the rollup: a rubric has a threshold of its own, and its label says on which side of it a score lies."""
RATES = Panel(
    name="judge_rates",
    title="Bad answers, by the judge",
    question="Which share of an app's answers does the judge call bad, how sure is that, and how often could it not say?",
    kind="table",
    unit="ratio",
    sql="SELECT app_ AS app, rubric_ AS rubric, "
    + aliased({"rate": "rate_", "low": _LOW, "high": _HIGH, "sample": "scored_", "failed": "failed_"})
    + f"\nFROM (\nSELECT app_, rubric_, failed_, scored_, {RATE} AS rate_, {EFFECTIVE} AS effective_\nFROM (\n"
    + select(
        {"app": "app", "rubric": "name", "failed": "countIf(status != 'ok')", **_SUMS},
        "scores",
        f"{_SCORES.within()} AND {_JUDGED}",
        ["app", "rubric"],
    )
    + "\n)\n)\nORDER BY rate DESC NULLS LAST, sample DESC, app, rubric\nLIMIT 50",
    columns=(
        APP,
        Column("rubric", "Rubric", "text"),
        Column("rate", "Bad", "ratio"),
        Column("low", "Low", "ratio"),
        Column("high", "High", "ratio"),
        Column("sample", "Scored", "events"),
        Column("failed", "Without a score", "events"),
    ),
    no_data=NO_JUDGE,
    worse="up",
    variables=OF_SCORES,
    calls=only("judged"),
)
_CELLS: Final = {
    "both": "judge_bad AND person_bad",
    "judge": "judge_bad AND NOT person_bad",
    "person": "NOT judge_bad AND person_bad",
    "good": "NOT judge_bad AND NOT person_bad",
}
_NEAR: Final = f"started_at >= {START} - toIntervalSecond({TRACE_S}) AND started_at < {END} + toIntervalSecond({TRACE_S})"
_STEPS: Final = kappa(("both_", "judge_", "person_", "good_"), "effective_")
AGREEMENT = Panel(
    name="judge_agreement",
    title="Judge and people",
    question="Do people who gave feedback agree with the judge (Cohen's kappa: 1 fully, 0 as chance would)?",
    kind="table",
    unit="",
    sql="SELECT rubric_ AS rubric, scorer_ AS scorer, "
    + aliased({"agreed": "both_ + good_", **{name: f"{name}_" for name in ("kappa", "low", "high")}, "sample": "pairs_"})
    + "\nFROM (\n"
    + stepwise(
        select(
            {
                "rubric": "name",
                "scorer": "scorer_version",
                "pairs": "count()",
                "effective": "pow(sum(weight), 2) / sum(weight * weight)",
                **{cell: f"sumIf(weight, {when}) / sum(weight)" for cell, when in _CELLS.items()},
            },
            f"(\n{judged_feedback(f'{_SCORES.within()} AND {filters(OF_SCORES)}', _NEAR)}\n)",
            "1 = 1",
            ["rubric", "scorer"],
            "\nHAVING sum(weight) > 0",
        ),
        _STEPS,
    )
    + "\n)\nORDER BY rubric, scorer\nLIMIT 50",
    columns=(
        Column("rubric", "Rubric", "text"),
        Column("scorer", "Scorer", "text"),
        Column("agreed", "Agreed", "ratio"),
        Column("kappa", "Kappa"),
        Column("low", "Low"),
        Column("high", "High"),
        Column("sample", "Judged and rated", "events"),
    ),
    no_data="No call in this range has both a judge's score and a person's word (docs/judge.md, docs/feedback.md).",
    worse="down",
    variables=OF_SCORES,
    calls=only("judged", "rated"),
)
