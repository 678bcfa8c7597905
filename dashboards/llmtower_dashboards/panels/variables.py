"""The filters that dashboards share. Their values come from the hourly rollups: what was seen in the range, most used first."""

from typing import Final

from llmtower_dashboards.panel import Variable
from llmtower_dashboards.panels.narrow import NARROWING
from llmtower_dashboards.panels.sql import END, OF_ROLLUPS, OF_USERS, START, filters

MAX_LISTED: Final = 500


def _listed(name: str, column: str) -> Variable:
    """A variable is listed under the choices of those before it: models of the chosen apps, never the other way round."""
    users = name == "user"
    order = OF_USERS if users else OF_ROLLUPS
    before = order[: order.index(name)]
    where = " AND ".join(part for part in (f"hour >= toStartOfHour({START}) AND hour < {END} AND {column} != ''", filters(before)) if part)
    table = "rollup_user_1h" if users else "rollup_1h"
    sql = f"SELECT {column} FROM {table} WHERE {where} GROUP BY {column} ORDER BY sum(calls) DESC, {column} LIMIT {MAX_LISTED}"  # noqa: S608 - literals
    return Variable(name=name, title=name.capitalize(), column=column, sql=sql)


VARIABLES: Final = {
    variable.name: variable
    for variable in (
        _listed("project", "project"),
        _listed("environment", "environment"),
        _listed("app", "app"),
        _listed("model", "request_model"),
        _listed("provider", "provider"),
        _listed("prompt", "prompt_name"),
        _listed("user", "user_id"),
        Variable(name="call", title="Call", column="call_id"),
        *NARROWING.values(),
    )
}
