"""Lists of calls: the latest, those that failed, the slowest, the most expensive."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel
from llmtower_dashboards.panels.common import APP, MODEL, PROMPT, TIME, VERSION
from llmtower_dashboards.panels.narrow import CONDITIONS, IN_ROLLUPS, NARROWED, NARROWING
from llmtower_dashboards.panels.sql import END, OF_CALLS, OF_ROLLUPS, START, filters

LISTED: Final = 100
SINCE: Final = "since_"
"""The moment from which on a list looks for calls: each list says what it is."""
_RANGE: Final = f"started_at >= {SINCE} AND started_at < {END}"
_OF_LIST: Final = (*OF_CALLS, *NARROWING)
_OF_USER: Final = (
    "$__conditionalAll((project, app, request_model) IN (SELECT project, app, request_model FROM rollup_user_1h"  # noqa: S608 - literals
    f" WHERE user_id IN (${{user:singlequote}}) AND hour >= toStartOfHour({START}) AND hour < {END}), $user)"
)
"""The hourly rollup knows in which apps a user is: the primary key then skips the rest of `calls`."""


def _none(*names: str) -> str:
    """Whether nothing is chosen of any of these."""
    return " AND ".join(f"$__conditionalAll(1 = 0, ${name})" for name in names)


def _since(count: str) -> str:
    """The start of the minute from which on there are enough calls, by the rollups: the list then reads a few minutes of `calls`.

    What the rollups do not know (users, sessions, scores, experiments …): with one of them chosen, the whole range is read. Scores have
    rollups, but by the minute in which they were given, which may be long after the call, and several may be of one call.
    """
    more = " AND ".join(f"$__conditionalAll({CONDITIONS[name]}, ${name})" for name in IN_ROLLUPS)
    known = _none("user", *(name for name in NARROWING if name not in IN_ROLLUPS))
    return f"""if({known}, greatest({START}, (
        SELECT maxIf(minute, found >= {LISTED}) FROM (SELECT minute, sum(here) OVER (ORDER BY minute DESC) AS found FROM (
            SELECT minute, {count} AS here FROM rollup_1m
            WHERE {known} AND minute >= toStartOfMinute({START}) AND minute < {END} AND {filters(OF_ROLLUPS)} AND {more} GROUP BY minute
        ))
    )), {START})"""  # noqa: S608 - literals


_LIST: Final = """SELECT started_at AS time, toString(call_id) AS call, calls.app AS app, request_model AS model, prompt_name AS prompt,
    prompt_version AS version, calls.status AS status, calls.error_class AS error_class, duration_us / 1e6 AS duration,
    ttft_us / 1e6 AS ttft, toUInt64(input_tokens) + cache_read_tokens + cache_write_tokens + cache_write_1h_tokens AS tokens_in,
    toUInt64(output_tokens) + reasoning_tokens AS tokens_out, cost_nano_usd / 1e9 AS cost, calls.cost_status AS cost_status,
    user_id AS user, session_id AS session
FROM calls"""
LIST_COLUMNS: Final = (
    TIME,
    Column("call", "Call", "text", link="call"),
    APP,
    MODEL,
    PROMPT,
    VERSION,
    Column("status", "Status", "text"),
    Column("error_class", "Error", "text"),
    Column("duration", "Duration", "seconds"),
    Column("ttft", "First token", "seconds"),
    Column("tokens_in", "Tokens in", "tokens"),
    Column("tokens_out", "Tokens out", "tokens"),
    Column("cost", "Cost", "usd"),
    Column("cost_status", "Price", "text"),
    Column("user", "User", "text", link="user"),
    Column("session", "Session", "text", link="calls"),
)
_NO_CALLS: Final = "No such calls in this range: widen it or clear a filter."
FILTERED: Final = f"{filters(OF_CALLS)} AND {_OF_USER} AND {NARROWED}"
"""The condition of every filter that a list of calls knows."""


def _listed(name: str, title: str, question: str, where: str, order: str, since: str = START) -> Panel:
    sql = f"WITH {since} AS {SINCE}\n{_LIST}\nWHERE {_RANGE}{where} AND {FILTERED}\nORDER BY {order}\nLIMIT {LISTED}"
    return Panel(
        name=name,
        title=title,
        question=question,
        kind="table",
        unit="",
        sql=sql,
        columns=LIST_COLUMNS,
        no_data=_NO_CALLS,
        variables=_OF_LIST,
        width=24,
        height=12,
        calls=None,
    )


RECENT = _listed(
    "calls_recent",
    "Latest calls",
    "Which calls were made last?",
    "",
    "started_at DESC, call_id",
    _since("sum(calls)"),
)
FAILED = _listed(
    "calls_failed",
    "Latest failed calls",
    "Which calls failed last?",
    " AND calls.status != 'ok'",
    "started_at DESC, call_id",
    _since("sum(errors)"),
)
SLOWEST = _listed("calls_slowest", "Slowest calls", "Which calls took longest?", "", "duration_us DESC, started_at DESC")
DEAREST = _listed(
    "calls_dearest",
    "Most expensive calls",
    "Which single calls cost most?",
    " AND isNotNull(cost_nano_usd)",
    "cost_nano_usd DESC, started_at DESC",
)
