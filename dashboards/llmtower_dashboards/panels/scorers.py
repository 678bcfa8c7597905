"""Who gave scores, and what could not be scored."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.panels.sql import OF_SCORES, Resolution, filters, resolutions, select

ROLLUP: Final = "rollup_scores"
NO_SCORES: Final = "No scores in this range: run the scoring processors, or send evaluations with `llmtower.score(…)`."


def _outcomes(of: Resolution) -> str:
    keys = ("score", "scorer", "status", "reason")
    values = {"score": "name", "scorer": "scorer", "status": "status", "reason": "reason", "events": "sum(events)"}
    return select(values, of.table, f"{of.within()} AND {filters(OF_SCORES)}", keys)


UNSCORED = Panel(
    name="quality_unscored",
    title="What could not be scored",
    question="Which scorers failed or skipped, and why?",
    kind="table",
    unit="events",
    sql=f"""
SELECT score_ AS score, scorer_ AS scorer, status_ AS status, reason_ AS reason, events_ AS events, share_ AS share
FROM (
    SELECT *, events_ / sum(events_) OVER (PARTITION BY score_, scorer_) AS share_
    FROM (
{resolutions(_outcomes, rollup=ROLLUP)}
    )
)
WHERE status_ != 'ok'
ORDER BY events DESC, score, scorer, status, reason
LIMIT 50
""",  # noqa: S608 - literals
    columns=(
        Column("score", "Score", "text"),
        Column("scorer", "Scorer", "text"),
        Column("status", "Status", "text"),
        Column("reason", "Reason", "text"),
        Column("events", "Answers", "events"),
        Column("share", "Of its answers", "ratio"),
    ),
    no_data="Everything that was looked at was scored (or nothing was looked at: see the sample beside each rate).",
    worse="up",
    variables=OF_SCORES,
    calls=None,
)


def _scorers(of: Resolution) -> str:
    values = {"score": "name", "scorer": "scorer", "version": "scorer_version", "scored": "sum(scored)", "stood": "sum(w_low + w_high)"}
    return select(values, of.table, f"{of.within()} AND {filters(OF_SCORES)}", ["score", "scorer", "version"], "\nHAVING scored_ > 0")


SCORERS = Panel(
    name="quality_scorers",
    title="Who scored",
    question="Which model or rule gave each score, how often, and for how many answers does that stand?",
    kind="table",
    unit="events",
    sql="SELECT score_ AS score, scorer_ AS scorer, version_ AS version, scored_ AS scored, stood_ AS stood\nFROM (\n"
    + resolutions(_scorers, rollup=ROLLUP)
    + "\n)\nORDER BY score, scored DESC, scorer, version\nLIMIT 100",
    columns=(
        Column("score", "Score", "text"),
        Column("scorer", "Scorer", "text"),
        Column("version", "Version", "text"),
        Column("scored", "Scored", "events"),
        Column("stood", "Stands for", "events"),
    ),
    no_data=NO_SCORES,
    variables=OF_SCORES,
    calls=None,
)
