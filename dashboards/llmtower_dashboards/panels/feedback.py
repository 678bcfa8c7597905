"""What people say of answers. Per (answer, person, kind of feedback) the last word counts; whoever says nothing is in no rate."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel, Threshold
from llmtower_dashboards.panels.common import APP, NO_CALLS, TIME, only
from llmtower_dashboards.panels.intervals import wilson
from llmtower_dashboards.panels.sql import OF_SCOPE, Resolution, Rows, aliased, filters, outer, resolutions, select
from llmtower_schemas.metrics import METRICS

_ROWS: Final = Rows("feedback", "feedback.at")
_SAID_AT: Final = Rows("said", "at")
_BAD: Final = METRICS["negative_feedback"].value.partition(")")[0].removeprefix("countIf(") + ")"
NO_FEEDBACK: Final = "Nobody gave feedback in this range: send it with `llmtower.feedback(…)`. Silence is not approval."
LEVELS: Final = (Threshold(0.1, "warn"), Threshold(0.3, "bad"))
_LOW, _HIGH = wilson("negative_", "given_")
_SHOWN: Final = {"low": _LOW, "high": _HIGH, "sample": "given_"}
_COUNTED: Final = {"given": "count()", "negative": f"countIf({_BAD})"}
_COLUMNS: Final = (Column("low", "Low", "ratio"), Column("high", "High", "ratio"), Column("sample", "Said", "events"))


def last_words(where: str) -> str:
    """The last feedback per answer, person and kind."""
    return f"""(
SELECT project, app, environment, target_kind, target_id, user_id, name, max(feedback.at) AS at,
    tupleElement(argMax((feedback.score, feedback.label), feedback.at) AS last, 1) AS score, last.2 AS label
FROM feedback
WHERE {where} AND {filters(OF_SCOPE)}
GROUP BY project, app, environment, target_kind, target_id, user_id, name
) AS said"""  # noqa: S608 - literals


_TARGETS: Final = "uniqExact(target_kind, target_id)"
SHARE: Final = Column("share", "Of its calls", "ratio")
_SHARE: Final = {"share": "answers_ / nullIf(made.calls, 0)"}
"""Stands beside every rate: people who say something are not like those who do not."""


def _calls(by: tuple[str, ...]) -> str:
    def build(of: Resolution) -> str:
        values = {name: name for name in by} | {"calls": "sum(calls)"}
        return select(values, of.table, f"{of.within()} AND {filters(OF_SCOPE)}", list(by))

    return outer([*by, "calls"], resolutions(build))


_SAID: Final = f"SELECT {_TARGETS} AS answers FROM feedback WHERE {_ROWS.within()} AND {filters(OF_SCOPE)}"  # noqa: S608 - literals


def _calls_over_time() -> str:
    """Calls by bucket; none where calls are kept in coarser buckets than the panel's."""

    def build(of: Resolution) -> str:
        where = f"{of.within(of.bucket_s)} AND greatest($__interval_s, 60) = {of.bucket_s} AND {filters(OF_SCOPE)}"
        return select({"time": of.bucket(), "calls": "sum(calls)"}, of.table, where, ["time"])

    return outer(["time", "calls"], resolutions(build))


NEGATIVE_NOW = Panel(
    name="feedback_negative_now",
    title="Negative feedback",
    question="Which share of the feedback is bad (a score below 0, or a label that says so)?",
    kind="stat",
    unit="ratio",
    sql=f"SELECT {aliased({'value': 'negative_ / given_', **_SHOWN, **_SHARE})}\nFROM (\n"  # noqa: S608 - literals
    + select({**_COUNTED, "answers": _TARGETS}, last_words(_ROWS.within()), "1 = 1", tail="\nHAVING count() > 0")
    + f"\n) AS found\nCROSS JOIN (\nSELECT sum(calls) AS calls FROM (\n{_calls(())}\n)\n) AS made",
    columns=(Column("value", "Negative feedback", "ratio"), *_COLUMNS, SHARE),
    no_data=NO_FEEDBACK,
    thresholds=LEVELS,
    worse="up",
    variables=OF_SCOPE,
    trend="feedback_negative",
    width=6,
    height=4,
    calls=only("rated", span="rows"),
)
NEGATIVE_SERIES = Panel(
    name="feedback_negative",
    title="Negative feedback over time",
    question="Do people like the answers less, and how sure is that?",
    kind="timeseries",
    unit="ratio",
    sql=f"SELECT {aliased({'time': 'time_', 'rate': 'negative_ / given_', **_SHOWN, **_SHARE})}\nFROM (\n"
    + select({"time": _SAID_AT.bucket(), "answers": _TARGETS, **_COUNTED}, last_words(_ROWS.within_buckets()), "1 = 1", ["time"])
    + f"\n) AS found\nLEFT JOIN (\n{_calls_over_time()}\n) AS made ON found.time_ = made.time\nORDER BY time",
    columns=(TIME, Column("rate", "Negative feedback", "ratio"), *_COLUMNS, SHARE),
    no_data=NO_FEEDBACK,
    thresholds=LEVELS,
    worse="up",
    variables=OF_SCOPE,
    calls=only("rated", span="rows"),
)


SHARE_NOW = Panel(
    name="feedback_share",
    title="Calls with feedback",
    question="Of how many calls do people say anything? (Those who do are not like those who do not.)",
    kind="stat",
    unit="ratio",
    sql=f"SELECT answers / made AS value, answers, sum(calls) AS made\nFROM (\n{_calls(())}\n) AS all_calls\nCROSS JOIN ({_SAID}) AS said\n"
    "GROUP BY answers\nHAVING made > 0",
    columns=(
        Column("value", "Calls with feedback", "ratio"),
        Column("answers", "With feedback", "events"),
        Column("made", "Calls", "calls", link="calls"),
    ),
    no_data=NO_CALLS,
    variables=OF_SCOPE,
    width=6,
    height=4,
    calls=only("rated", span="rows"),
)
BY_APP = Panel(
    name="feedback_by_app",
    title="Feedback by app",
    question="Which app do people complain about, and how many say anything?",
    kind="table",
    unit="ratio",
    sql=f"SELECT app_ AS app, kind_ AS feedback, negative_ / given_ AS rate, {aliased(_SHOWN)},\n"
    "    if(made.calls > 0, answers_ / made.calls, NULL) AS share\nFROM (\n"
    + select({"app": "app", "kind": "name", "answers": _TARGETS, **_COUNTED}, last_words(_ROWS.within()), "1 = 1", ["app", "kind"])
    + f"\n) AS found\nLEFT JOIN (\n{_calls(('app',))}\n) AS made ON found.app_ = made.app\n"
    "ORDER BY rate DESC, sample DESC, app, feedback\nLIMIT 50",
    columns=(
        APP,
        Column("feedback", "Feedback", "text"),
        Column("rate", "Negative", "ratio"),
        *_COLUMNS,
        SHARE,
    ),
    no_data=NO_FEEDBACK,
    worse="up",
    variables=OF_SCOPE,
    calls=only("rated", span="rows"),
)
NEGATIVE = Panel(
    name="feedback_latest",
    title="Latest negative feedback",
    question="Which answers did people dislike last?",
    kind="table",
    unit="",
    sql=f"""
SELECT at AS time, if(target_kind IN ('call_id', 'response_id'), target_id, '') AS call, said.app AS app, said.name AS feedback,
    said.score AS score, said.label AS label, said.user_id AS user
FROM {last_words(_ROWS.within())}
WHERE {_BAD}
ORDER BY time DESC, call, feedback, user
LIMIT 100
""",  # noqa: S608 - literals
    columns=(
        TIME,
        Column("call", "Call", "text", link="call"),
        APP,
        Column("feedback", "Feedback", "text"),
        Column("score", "Score"),
        Column("label", "Label", "text"),
        Column("user", "User", "text", link="user"),
    ),
    no_data="No negative feedback in this range.",
    variables=OF_SCOPE,
    width=24,
    calls=None,
)
