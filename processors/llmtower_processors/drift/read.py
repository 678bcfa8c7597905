"""What an evaluation reads: three queries a minute for all segments together, and the minutes of a reference where one is learnt anew."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

import numpy as np

from llmtower_processors.drift.features import Reals
from llmtower_processors.drift.judge import HOUR_S, Key, Row
from llmtower_processors.drift.metrics import COLUMNS, METRICS, vector
from llmtower_processors.drift.reference import DAY
from llmtower_processors.drift.scopes import Scope

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Days = tuple[Reals, Reals]
_KEY: Final = ", ".join(Key._fields)
_FAMILY: Final = ", ".join(name for name in Key._fields if name not in ("prompt_version", "request_model"))
_SUMS: Final = """
    sum(found.texts) AS texts_sum, sumForEachMerge(found.features) AS features_sum,
    arraySum(mapValues(sumMap(found.lengths))) AS answered_sum, sum(found.refusals) AS refusals_sum,
    sum(found.tool_calls) AS tool_calls_sum, sumMap(found.lengths) AS lengths_sum, sumMap(found.token_times) AS token_times_sum,
    sumMap(found.finish_reasons) AS finish_reasons_sum,
    sumMap(map(found.language, arraySum(mapValues(found.lengths)))) AS languages_sum, sum(found.calls) AS calls_sum,
    sum(found.session_calls) AS session_calls_sum, uniqCombinedArrayMerge(12)(found.sessions) AS sessions_sum,
    sum(found.calls) - sum(found.failed) AS succeeded_sum
"""
"""Every text has a length, whether it came with its call or apart from it."""
_MINUTES: Final = f"""
SELECT {_KEY}, toUnixTimestamp(found.minute) AS at, {_SUMS} FROM drift_sketches AS found
WHERE minute >= toDateTime({{start:UInt32}}, 'UTC') AND minute < toDateTime({{end:UInt32}}, 'UTC')
GROUP BY {_KEY}, at ORDER BY at
"""  # noqa: S608 - names from literals
_HOURS: Final = f"""
SELECT {_KEY}, toUnixTimestamp(found.hour) AS at, {_SUMS} FROM drift_hours AS found
WHERE hour >= toDateTime({{start:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC')
GROUP BY {_KEY}, at ORDER BY at
"""  # noqa: S608 - names from literals
_BY_HOUR: Final = f"""
SELECT {_KEY}, toHour(found.hour, 'UTC') AS hour_of_day,
    groupUniqArray(intDiv({{end:UInt32}} - 1 - toUnixTimestamp(found.hour), 86400)) AS days, {_SUMS}
FROM drift_hours AS found
WHERE hour >= toDateTime({{start:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC') AND ({_FAMILY}) IN (
    SELECT {_FAMILY} FROM drift_hours WHERE hour >= toDateTime({{active:UInt32}}, 'UTC') AND hour < toDateTime({{until:UInt32}}, 'UTC')
)
GROUP BY {_KEY}, hour_of_day
"""  # noqa: S608 - names from literals
_DAY_OF: Final = {
    1: f"""
SELECT toUnixTimestamp(found.minute) AS at, {_SUMS} FROM drift_sketches AS found
WHERE minute >= toDateTime({{start:UInt32}}, 'UTC') AND minute < toDateTime({{end:UInt32}}, 'UTC') AND
""",  # noqa: S608 - names from literals
    60: f"""
SELECT toUnixTimestamp(found.hour) AS at, {_SUMS} FROM drift_hours AS found
WHERE hour >= toDateTime({{start:UInt32}}, 'UTC') AND hour < toDateTime({{end:UInt32}}, 'UTC') AND
""",  # noqa: S608 - names from literals
}
"""By the minutes of a bin."""


def minutes(client: "Client", start: int, end: int) -> dict[Key, list[Row]]:
    """Give the minutes of a span (seconds), by segment."""
    return _grouped(client, _MINUTES, {"start": start, "end": end}, "at")


def hours(client: "Client", start: int, end: int) -> dict[Key, list[Row]]:
    """Give the hours of a span."""
    return _grouped(client, _HOURS, {"start": start, "end": end}, "at")


def hours_of_day(client: "Client", start: int, end: int, *, active: int, until: int) -> dict[Key, list[Row]]:
    """Give sums by hour of the day over a span, of all versions and models of what has calls in `active`..`until`.

    A row has besides `hour` the days (`days`, spans of 24 hours back from the end) on which there were any.
    """
    values = {"start": start, "end": end, "active": active, "until": until}
    return _grouped(client, _BY_HOUR, values, "hour", "days")


def _grouped(client: "Client", sql: str, values: dict[str, int], *names: str) -> dict[Key, list[Row]]:
    found: dict[Key, list[Row]] = {}
    width = len(Key._fields)
    for row in client.query(sql, parameters=values).result_rows:
        key = Key(*map(str, row[:width]))
        found.setdefault(key, []).append(dict(zip((*names, *COLUMNS), row[width:], strict=True)))
    return found


def whole_days(client: "Client", scope: Scope, start: int, days: int, metrics: Iterable[str], *, bin_minutes: int = 1) -> dict[str, Days]:
    """Give (days, bins, width) sums and (days, bins) counts of some metrics of a scope, from `start` (seconds, a whole hour)."""
    bins = DAY // bin_minutes
    made = {name: (np.zeros((days, bins, METRICS[name].width)), np.zeros((days, bins))) for name in metrics}
    where = " AND ".join(f"{name} {'!=' if name == scope.others else '='} {{{name}:String}}" for name in Key._fields)
    sql = f"{_DAY_OF[bin_minutes]} {where} GROUP BY at"
    for first in range(days):  # a day at a time: a row is 2 kB
        begin = start + first * 24 * HOUR_S
        values = scope.key._asdict() | {"start": begin, "end": begin + 24 * HOUR_S}
        for at, *row in client.query(sql, parameters=values).result_rows:
            place = (int(at) - begin) // (60 * bin_minutes)
            fields = {"at": at} | dict(zip(COLUMNS, row, strict=True))
            for name, (sums, counts) in made.items():
                sums[first, place], counts[first, place] = vector(name, fields)
    return made
