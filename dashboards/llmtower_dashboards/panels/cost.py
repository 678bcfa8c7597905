"""Cost: who and what spends, what caches save, what is missing from the sums."""

from typing import Final

from llmtower_dashboards.panel import Behind, Column, Dashboard, Panel, Row
from llmtower_dashboards.panels.common import (
    APP,
    CALLS,
    COST,
    DEAREST,
    MODEL,
    NO_CALLS,
    NO_PRICE,
    PROMPT,
    PROVIDER,
    TIME,
    UNPRICED,
    VERSION,
    only,
)
from llmtower_dashboards.panels.prices import SAVINGS, UNPRICED_MODELS
from llmtower_dashboards.panels.sql import (
    DAY,
    END,
    OF_CALLS,
    OF_ROLLUPS,
    OF_USERS,
    START,
    filters,
    grouped,
    metric,
    outer,
    select,
    series,
)

_COST: Final = metric("cost")
_UNPRICED: Final = "sum(unpriced_calls)"
_LAST: Final = f"toTimeZone({END}, 'UTC') - 1"
"""The last second of the range: its day and month are meant."""

TODAY = Panel(
    name="cost_today",
    title="Cost today",
    question="What has this day (UTC) cost so far, and what will it have cost by its end at the pace of the last 24 hours?",
    kind="stat",
    unit="usd",
    sql=f"""
SELECT
    sumIf(cost_nano_usd, minute >= toStartOfDay({_LAST})) / 1e9 AS value,
    value + sum(cost_nano_usd) / 1e9 / {DAY} * ({DAY} - (toUnixTimestamp({END}) - toUnixTimestamp(toStartOfDay({_LAST})))) AS forecast,
    sumIf(unpriced_calls, minute >= toStartOfDay({_LAST})) AS unpriced,
    sumIf(calls, minute >= toStartOfDay({_LAST})) AS sample
FROM rollup_1m
WHERE minute >= toStartOfMinute({END}) - toIntervalSecond({DAY}) AND minute < {END} AND {filters(OF_ROLLUPS)}
HAVING count() > 0
""",  # noqa: S608 - literals
    columns=(
        Column("value", "Cost today", "usd", link="calls"),
        Column("forecast", "By the end of the day", "usd"),
        UNPRICED,
        Column("sample", "Calls", "calls"),
    ),
    no_data="No calls today.",
    worse="up",
    variables=OF_ROLLUPS,
    trend="cost_by_app_series",
    width=6,
    height=4,
    calls=Behind(span="day", listed="dearest"),
)
_MONTH: Final = f"toDateTime(toStartOfMonth({_LAST}), 'UTC')"
_NEXT_MONTH: Final = f"toDateTime(toStartOfMonth({_LAST}) + INTERVAL 1 MONTH, 'UTC')"
MONTH = Panel(
    name="cost_month",
    title="Cost this month",
    question="What has this month (UTC) cost so far, and what will it have cost at the pace of the last seven days?",
    kind="stat",
    unit="usd",
    sql=f"""
SELECT
    sumIf(cost_nano_usd, hour >= {_MONTH}) / 1e9 AS value,
    value + recent / seconds * (toUnixTimestamp({_NEXT_MONTH}) - toUnixTimestamp({END})) AS forecast,
    sumIf(unpriced_calls, hour >= {_MONTH}) AS unpriced,
    unpriced / nullIf(sumIf(calls, hour >= {_MONTH}), 0) AS unpriced_share,
    sumIf(calls, hour >= {_MONTH}) AS sample
FROM rollup_1h
CROSS JOIN
(
    SELECT
        sum(cost_nano_usd) / 1e9 AS recent,
        greatest(3600, toUnixTimestamp({END}) - toUnixTimestamp(min(hour))) AS seconds
    FROM rollup_1h
    WHERE hour >= toStartOfHour({END} - toIntervalDay(7)) AND hour < {END} AND {filters(OF_ROLLUPS)}
) AS pace
WHERE hour >= {_MONTH} AND hour < {END} AND {filters(OF_ROLLUPS)}
GROUP BY recent, seconds
HAVING sample > 0
""",  # noqa: S608 - literals
    columns=(
        Column("value", "Cost this month", "usd", link="calls"),
        Column("forecast", "By the end of the month", "usd"),
        UNPRICED,
        Column("unpriced_share", "Unpriced share", "ratio"),
        Column("sample", "Calls", "calls"),
    ),
    no_data="No calls this month.",
    worse="up",
    variables=OF_ROLLUPS,
    width=6,
    height=4,
    calls=Behind(span="month", listed="dearest"),
)
KINDS = Panel(
    name="cost_kinds",
    title="What is paid for",
    question="Is it input, cache, output or fees that cost?",
    kind="timeseries",
    unit="usd/h",
    sql=series(
        {
            **{name: f"sum(cost_{name}_nano_usd) / 1e9 / {{minutes}} * 60" for name in ("input", "cache", "output", "fees")},
            "unpriced": _UNPRICED,
        }
    ),
    columns=(TIME, *(Column(name, name.capitalize(), "usd/h") for name in ("input", "cache", "output", "fees")), UNPRICED),
    no_data=NO_PRICE,
    variables=OF_ROLLUPS,
    stacked=True,
    calls=DEAREST,
)
_SUMS: Final = {
    "cost": _COST,
    "calls": "sum(calls)",
    "cost_per_call": metric("cost_per_call"),
    "cost_per_success": metric("cost_per_success"),
    "unpriced": _UNPRICED,
}
_SUM_COLUMNS: Final = (
    COST,
    CALLS,
    Column("cost_per_call", "Per priced call", "usd"),
    Column("cost_per_success", "Per successful answer", "usd"),
    UNPRICED,
)
BY_APP = Panel(
    name="cost_by_app",
    title="Cost by app",
    question="Which app spends?",
    kind="bars",
    unit="usd",
    sql=grouped(_SUMS, by={"app": "app"}, order="cost DESC, app"),
    columns=(APP, *_SUM_COLUMNS),
    no_data=NO_CALLS,
    worse="up",
    variables=OF_ROLLUPS,
    calls=DEAREST,
)
BY_MODEL = Panel(
    name="cost_by_model",
    title="Cost by model",
    question="Which model costs?",
    kind="bars",
    unit="usd",
    sql=grouped(_SUMS, by={"model": "request_model", "provider": "provider"}, order="cost DESC, model"),
    columns=(MODEL, PROVIDER, *_SUM_COLUMNS),
    no_data=NO_CALLS,
    worse="up",
    variables=OF_ROLLUPS,
    calls=DEAREST,
)
BY_PROMPT = Panel(
    name="cost_by_prompt",
    title="Cost by prompt version",
    question="Which prompt, in which version, costs?",
    kind="table",
    unit="usd",
    sql=grouped(
        _SUMS, by={"prompt": "prompt_name", "version": "prompt_version"}, order="cost DESC, prompt, version", extra=" AND prompt_name != ''"
    ),
    columns=(PROMPT, VERSION, *_SUM_COLUMNS),
    no_data="No calls with a named prompt: pass prompt=… to the SDK.",
    variables=OF_ROLLUPS,
    calls=only("prompted"),
)
BY_USER = Panel(
    name="cost_by_user",
    title="Cost by user",
    question="Who spends?",
    kind="table",
    unit="usd",
    sql=outer(
        ["user", "cost", "calls", "tokens", "unpriced"],
        select(
            {"user": "user_id", "cost": _COST, "calls": "sum(calls)", "tokens": "sum(total_tokens)", "unpriced": _UNPRICED},
            "rollup_user_1h",
            f"hour >= toStartOfHour({START}) AND hour < {END} AND user_id != '' AND {filters(OF_USERS)}",
            ["user"],
            "\nORDER BY cost_ DESC, user_\nLIMIT 20",
        ),
    ),
    columns=(Column("user", "User", "text", link="user"), COST, CALLS, Column("tokens", "Tokens", "tokens"), UNPRICED),
    no_data="No calls with a user: pass user_id=… to the SDK. Whole hours are counted here.",
    variables=OF_USERS,
    calls=only("users", span="hours"),
)
SESSIONS_S: Final = 3_600
_SESSION: Final = {
    "session": "session_id",
    "user": "any(user_id)",
    "app": "any(app)",
    "cost": "sum(cost_nano_usd) / 1e9",
    "calls": "count()",
    "unpriced": "countIf(isNull(cost_nano_usd) AND cost_status != 'failed')",
    "minutes": "dateDiff('second', min(started_at), max(started_at)) / 60",
}
BY_SESSION = Panel(
    name="cost_by_session",
    title="Most expensive sessions of the last hour",
    question="Which conversation costs most (in the last hour of the range)?",
    kind="table",
    unit="usd",
    sql=outer(
        list(_SESSION),
        select(
            _SESSION,
            "calls",
            f"started_at >= greatest({START}, {END} - toIntervalSecond({SESSIONS_S})) AND started_at < {END} AND session_id != ''"
            f" AND {filters(OF_CALLS)}",
            ["session"],
            "\nORDER BY cost_ DESC NULLS LAST, session_\nLIMIT 20",
        ),
    ),
    columns=(
        Column("session", "Session", "text", link="calls"),
        Column("user", "User", "text", link="user"),
        APP,
        COST,
        CALLS,
        UNPRICED,
        Column("minutes", "Minutes"),
    ),
    no_data="No calls with a session in the last hour of the range: pass session_id=… to the SDK.",
    variables=OF_CALLS,
    calls=only("sessions", span="last_hour"),
)
_TOKENS: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")
TOKENS = Panel(
    name="cost_tokens",
    title="Tokens",
    question="What is read and written?",
    kind="timeseries",
    unit="tokens/min",
    sql=series({name: f"sum({name}) / {{minutes}}" for name in _TOKENS}),
    columns=(TIME, *(Column(name, name.removesuffix("_tokens").replace("_", " ").capitalize(), "tokens/min") for name in _TOKENS)),
    no_data=NO_CALLS,
    variables=OF_ROLLUPS,
    stacked=True,
)
PER_SUCCESS = Panel(
    name="cost_per_success",
    title="Cost per successful answer",
    question="What does one good answer cost, failures included?",
    kind="timeseries",
    unit="usd",
    sql=series({"cost": metric("cost_per_success"), "unpriced": _UNPRICED}, by={"app": "app"}),
    columns=(TIME, APP, Column("cost", "Per successful answer", "usd", link="calls"), UNPRICED),
    no_data=NO_CALLS,
    worse="up",
    variables=OF_ROLLUPS,
    calls=DEAREST,
)
COST_DASHBOARD = Dashboard(
    name="cost",
    title="Cost",
    question="Who and what spends, what do caches save, what is missing from the sums?",
    rows=(
        Row("Now", (TODAY, MONTH)),
        Row("Over time", (KINDS, TOKENS, PER_SUCCESS)),
        Row("Who and what", (BY_APP, BY_MODEL, BY_PROMPT, BY_USER, BY_SESSION)),
        Row("Caches and prices", (SAVINGS, UNPRICED_MODELS)),
    ),
)
