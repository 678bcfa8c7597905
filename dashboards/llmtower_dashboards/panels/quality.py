"""Quality and safety: rates of bad answers with intervals, feedback, and the answers behind them.

Rates are Horvitz-Thompson estimates: a score counts by the inverse of the probability with which its answer was picked (`weight`).
"""

from collections.abc import Mapping, Sequence
from typing import Final

from llmtower_dashboards.panel import Behind, Column, Dashboard, Panel, Row, Threshold
from llmtower_dashboards.panels.common import APP, MODEL, PROMPT, TIME, VERSION, only
from llmtower_dashboards.panels.feedback import BY_APP as FEEDBACK_BY_APP
from llmtower_dashboards.panels.feedback import NEGATIVE, NEGATIVE_NOW, NEGATIVE_SERIES, SHARE_NOW
from llmtower_dashboards.panels.intervals import PARTS, RATE, sampled_rate, weights
from llmtower_dashboards.panels.judge import AGREEMENT, BUDGET, RATES, ROUNDS
from llmtower_dashboards.panels.scorers import NO_SCORES, ROLLUP, SCORERS, UNSCORED
from llmtower_dashboards.panels.sql import END, OF_SCORES, START, Resolution, Rows, aliased, filters, outer, resolutions, select
from llmtower_schemas.metrics import COUNTED, SCORED, Scored

_ROWS: Final = Rows("scores", "started_at")
_LISTED: Final = 100
_NAMES: Final = ", ".join(f"'{one.score}'" for one in SCORED)
_LOW: Final = f"name IN ({', '.join(repr(one.score) for one in SCORED if one.side == 'low')})"
"""Whether low values are the bad ones."""
_BAD: Final = f"if({_LOW}, value < 0.5, value >= 0.5)"
"""Whether a score is bad, whatever its name."""
_INTERVAL: Final = (Column("low", "Low", "ratio"), Column("high", "High", "ratio"), Column("sample", "Scored", "events"))


def rates(by: Mapping[str, str], where: str, *, over_time: str = "", tail: str = "") -> str:
    """One row per group (and, with a name for the time, bucket): the keys, the rate of bad ones, its interval, how many were scored."""

    def build(of: Resolution) -> str:
        keys = {**({over_time: of.bucket()} if over_time else {}), **by}
        within = of.within(of.bucket_s) if over_time else of.within()
        return select({**keys, **weights(_LOW)}, of.table, f"{within} AND {where} AND {filters(OF_SCORES)}", list(keys))

    low, high = sampled_rate()
    names = [*([over_time] if over_time else []), *by]
    inner = resolutions(build, rollup=ROLLUP)
    parts = [f"{step} AS {name}_" for name, step in PARTS.items()]
    kept = [*(f"{name}_" for name in names), f"{RATE} AS rate_", "scored_", "n_", "w_", "wb_", *parts]
    middle = f"SELECT {', '.join(kept)}\nFROM (\n{inner}\n)"
    shown = {**{name: f"{name}_" for name in names}, "rate": "rate_", "low": low, "high": high, "sample": "scored_"}
    return f"SELECT {aliased(shown)}\nFROM (\n{middle}\n)\nWHERE scored_ > 0{tail}"


def _now(one: Scored) -> Panel:
    return Panel(
        name=f"quality_{one.score}",
        title=one.title,
        question=one.question,
        kind="stat",
        unit="ratio",
        sql=rates({}, f"name = '{one.score}'").replace("rate_ AS rate", "rate_ AS value"),
        columns=(Column("value", one.title, "ratio"), *_INTERVAL),
        no_data=f"No answer was scored for {one.score} in this range. {NO_SCORES.partition(': ')[2].capitalize()}",
        thresholds=_LEVELS[one.score],
        worse="up",
        variables=OF_SCORES,
        trend=f"quality_{one.score}_series",
        calls=only(score=one.score),
        width=6,
        height=4,
    )


def _levels(warn: float, bad: float) -> tuple[Threshold, ...]:
    return Threshold(warn, "warn"), Threshold(bad, "bad")


_LEVELS: Final = {
    "toxicity": _levels(0.01, 0.05),
    "pii": _levels(0.001, 0.01),
    "injection": _levels(0.01, 0.05),
    "refusal": _levels(0.05, 0.2),
    "groundedness": _levels(0.1, 0.3),
    "relevance": _levels(0.1, 0.3),
}
"""From which rate on a score is looked at; a score without levels is an error at import."""


def _over_time(one: Scored) -> Panel:
    return Panel(
        name=f"quality_{one.score}_series",
        title=f"{one.title} over time",
        question=f"{one.question} And how sure is that?",
        kind="timeseries",
        unit="ratio",
        sql=rates({}, f"name = '{one.score}'", over_time="time", tail="\nORDER BY time"),
        columns=(TIME, Column("rate", one.title, "ratio", link="calls"), *_INTERVAL),
        calls=only(score=one.score),
        no_data=NO_SCORES,
        thresholds=_LEVELS[one.score],
        worse="up",
        variables=OF_SCORES,
    )


NOW: Final = tuple(_now(one) for one in SCORED)
SERIES: Final = tuple(_over_time(one) for one in SCORED)


def _by(name: str, title: str, question: str, keys: Mapping[str, str], columns: Sequence[Column]) -> Panel:
    by = {**keys, "score": "name"}
    order = f"\nORDER BY rate DESC, sample DESC, {', '.join(by)}\nLIMIT 50"
    return Panel(
        name=name,
        title=title,
        question=question,
        kind="table",
        unit="ratio",
        sql=rates(by, f"name IN ({_NAMES})", tail=order),
        calls=Behind(only=tuple(("score", one.score) for one in SCORED)),
        columns=(*columns, Column("score", "Score", "text"), Column("rate", "Bad", "ratio"), *_INTERVAL),
        no_data=NO_SCORES,
        worse="up",
        variables=OF_SCORES,
    )


BY_APP = _by("quality_by_app", "By app", "Which app answers badly, and in what way?", {"app": "app"}, (APP,))
BY_PROMPT = _by(
    "quality_by_prompt",
    "By model and prompt version",
    "Did a model or a prompt version make answers worse?",
    {"model": "request_model", "prompt": "prompt_name", "version": "prompt_version"},
    (MODEL, PROMPT, VERSION),
)
_SINCE: Final = f"""greatest({START}, (
    SELECT maxIf(minute, found >= {_LISTED}) FROM
    (
        SELECT minute, sum(here) OVER (ORDER BY minute DESC) AS found FROM
        (
            SELECT minute, toInt64(sumIf(low, {_LOW}) + sumIf(scored - low, NOT {_LOW})) AS here FROM rollup_scores_1m
            WHERE minute >= toStartOfMinute({START}) AND minute < {END} AND name IN ({_NAMES}) AND {filters(OF_SCORES)}
            GROUP BY minute
        )
    )))"""  # noqa: S608 - literals
"""The start of the minute from which on enough answers are bad, by the rollup: the list then reads a few minutes of single scores."""
_FLAGGED_COLUMNS: Final = "app, request_model AS model, prompt_name AS prompt, prompt_version AS version"
FLAGGED = Panel(
    name="quality_flagged",
    title="Latest bad answers",
    question="Which answers were judged bad last?",
    kind="table",
    unit="",
    sql=f"""
SELECT time, call, app, model, prompt, version, score, value, label, scorer
FROM (
    SELECT started_at AS time, if(target_kind = 'call_id', target_id, '') AS call, {_FLAGGED_COLUMNS}, name AS score, value, label, scorer
    FROM scores
    WHERE {_ROWS.within()} AND started_at >= {_SINCE} AND name IN ({_NAMES}) AND isNotNull(value) AND {_BAD} AND {filters(OF_SCORES)}
    UNION ALL
    SELECT started_at AS time, toString(call_id) AS call, {_FLAGGED_COLUMNS}, name AS score, value, label, scorer
    FROM call_scores
    ARRAY JOIN names AS name, score_values AS value, labels AS label, scorers AS scorer
    WHERE {_ROWS.within()} AND started_at >= {_SINCE} AND name IN ({_NAMES}) AND isNotNull(value) AND {_BAD} AND {filters(OF_SCORES)}
)
ORDER BY time DESC, call, score
LIMIT {_LISTED}
""",  # noqa: S608 - literals
    columns=(
        TIME,
        Column("call", "Call", "text", link="call"),
        APP,
        MODEL,
        PROMPT,
        VERSION,
        Column("score", "Score", "text"),
        Column("value", "Value"),
        Column("label", "Label", "text"),
        Column("scorer", "Scorer", "text"),
    ),
    no_data="No answer was judged bad in this range.",
    variables=OF_SCORES,
    width=24,
    calls=None,
)


def _means(of: Resolution) -> str:
    values = {"time": of.bucket(), "score": "name", "mean": "sum(wv) / nullIf(sum(w_low + w_high), 0)", "sample": "sum(scored)"}
    counted = ", ".join(map(repr, COUNTED))
    where = f"{of.within(of.bucket_s)} AND name NOT IN ({counted}) AND {filters(OF_SCORES)}"
    return select(values, of.table, where, ["time", "score"], "\nHAVING sample_ > 0")


MEANS = Panel(
    name="quality_means",
    title="Mean of every score",
    question="Where do all scores lie, also those of your own evaluations?",
    kind="timeseries",
    unit="",
    sql=outer(["time", "score", "mean", "sample"], resolutions(_means, rollup=ROLLUP), "\nORDER BY time, score"),
    columns=(TIME, Column("score", "Score", "text"), Column("mean", "Mean", link="calls"), Column("sample", "Scored", "events")),
    no_data=NO_SCORES,
    variables=OF_SCORES,
    calls=only("measured"),
)


_RETRIEVED: Final = ("retrieval_empty", "retrieval_score", "document_age")


def _retrieved(of: Resolution) -> str:
    """Retrieval steps and the documents of calls; values in the retriever's unit and in days."""

    def mean(name: str) -> str:
        return f"sumIf(wv, name = '{name}') / nullIf(sumIf(w_low + w_high, name = '{name}'), 0)"

    values = {
        "time": of.bucket(),
        "empty": "sumIf(w_high, name = 'retrieval_empty') / nullIf(sumIf(w_low + w_high, name = 'retrieval_empty'), 0)",
        "best": mean("retrieval_score"),
        "age": mean("document_age"),
        "sample": "sum(scored)",
    }
    where = f"{of.within(of.bucket_s)} AND name IN ({', '.join(map(repr, _RETRIEVED))}) AND {filters(OF_SCORES)}"
    return select(values, of.table, where, ["time"], "\nHAVING sample_ > 0")


RETRIEVAL = Panel(
    name="quality_retrieval",
    title="Retrieval",
    question="Does retrieval come back empty, how well do its best documents fit (in its own unit), and how old are the oldest (days)?",
    kind="timeseries",
    unit="",
    sql=outer(["time", "empty", "best", "age", "sample"], resolutions(_retrieved, rollup=ROLLUP), "\nORDER BY time"),
    columns=(
        TIME,
        Column("empty", "Empty", "ratio"),
        Column("best", "Best score"),
        Column("age", "Oldest document, days"),
        Column("sample", "Scored", "events"),
    ),
    no_data="No retrieval in this range: record it with `llmtower.step(…, kind='retrieval')`.",
    worse="up",
    variables=OF_SCORES,
    calls=Behind(only=tuple(("score", name) for name in _RETRIEVED)),
)

QUALITY = Dashboard(
    name="quality",
    title="Quality and safety",
    question="How many answers are toxic, leak, refuse or miss the question, how sure is that, and what do people say?",
    rows=(
        Row("Now", (*NOW, NEGATIVE_NOW, SHARE_NOW)),
        Row("Over time", (*SERIES, MEANS, RETRIEVAL, NEGATIVE_SERIES)),
        Row("Where", (BY_APP, BY_PROMPT, FEEDBACK_BY_APP, UNSCORED, SCORERS)),
        Row("Which answers", (FLAGGED, NEGATIVE)),
        Row("What the judge says", (BUDGET, ROUNDS, RATES, AGREEMENT)),
    ),
)
