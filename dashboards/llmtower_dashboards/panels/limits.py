"""How close the providers' limits are, and which calls hang."""

from typing import Final, Literal

from llmtower_dashboards.panel import Column, Panel, PanelUnit
from llmtower_dashboards.panels.common import APP, MODEL, PROVIDER, TIME, only
from llmtower_dashboards.panels.sql import END, OF_CALLS, START, Rows, filters, outer, select

HEADROOM_S: Final = 21_600
_CALLS: Final = Rows("calls", "started_at")


def _headroom(of: Literal["requests", "tokens"]) -> Panel:
    column = f"rate_limit_remaining_{of}"
    values = {"time": _CALLS.bucket(), "model": "request_model", "provider": "provider", "left": f"min({column})"}
    within = f"started_at >= greatest({START}, {END} - toIntervalSecond({HEADROOM_S})) AND started_at < {END}"
    unit: PanelUnit = "calls" if of == "requests" else "tokens"
    return Panel(
        name=f"latency_headroom_{of}",
        title=f"Rate limits: {of} left (last six hours of the range)",
        question=f"How many {of} did the provider still allow, at the worst moment of each bucket?",
        kind="timeseries",
        unit=unit,
        sql=outer(
            list(values),
            select(values, "calls", f"{within} AND isNotNull({column}) AND {filters(OF_CALLS)}", ["time", "model", "provider"]),
            "\nORDER BY time, model, provider",
        ),
        columns=(TIME, MODEL, PROVIDER, Column("left", f"{of.capitalize()} left", unit)),
        no_data="No provider said what is left: only answers with rate-limit headers carry it.",
        calls=only("request_limits" if of == "requests" else "token_limits", span="six_hours"),
        worse="down",
        variables=OF_CALLS,
    )


HEADROOM: Final = (_headroom("requests"), _headroom("tokens"))
HUNG_S: Final = 300
HUNG_WINDOW_S: Final = 10_800
_HUNG_TIME: Final = f"started_at >= greatest({START}, {END} - toIntervalSecond({HUNG_WINDOW_S})) AND started_at < {END}"
_AGE: Final = f"dateDiff('second', started_at, least({END}, now()))"
HUNG = Panel(
    name="latency_hung",
    title="Hung calls (begun in the last three hours of the range)",
    question="Which calls have begun and not ended, beyond their own timeout (five minutes if they have none)?",
    kind="table",
    unit="seconds",
    sql=f"""
SELECT started_at AS time, toString(call_id) AS call, requests.app AS app, request_model AS model, requests.provider AS provider,
    user_id AS user, {_AGE} AS waiting, timeout_ms / 1000 AS timeout
FROM requests
WHERE {_HUNG_TIME} AND {_AGE} > ifNull(timeout_ms / 1000, {HUNG_S}) AND {filters(OF_CALLS)}
    AND call_id NOT IN (SELECT call_id FROM calls WHERE {_HUNG_TIME})
ORDER BY time, call
LIMIT 100
""",  # noqa: S608 - literals
    columns=(
        TIME,
        Column("call", "Call", "text", link="call"),
        APP,
        MODEL,
        PROVIDER,
        Column("user", "User", "text", link="user"),
        Column("waiting", "Waiting", "seconds"),
        Column("timeout", "Timeout", "seconds"),
    ),
    no_data="No call hangs. Calls are known to have begun only where the application sends `request` events (the SDK does).",
    worse="up",
    variables=OF_CALLS,
    width=24,
    calls=None,
)
