"""What a message of a Grafana-managed rule says beside the value, as a second question of the rule. Pure.

Grafana keeps what every query of a rule gave for the templates of its annotations (`.Values.C`), where the labels of one contain those of
the other; an alert's own labels come from its condition alone. So one row per group holds the sample as its number and the rest as text.
It never decides anything: the condition does not refer to it, and it always gives a row, since a query that gives none would make some
versions of Grafana take the whole rule for one without data (`pkg/services/ngalert/eval`).
"""

import re
from typing import Final

from llmtower_processors.alerts.changes import BEFORE_US, KNOWN_DAYS, LASTS_US, MOST, changes_query
from llmtower_processors.alerts.grafana_sql import as_text, asked, begin, enough
from llmtower_processors.alerts.message import LONGEST
from llmtower_processors.alerts.rules import Rule

MARKS_S: Final = 600
"""Older watermarks say nothing about now."""
_NOW_US: Final = "toUnixTimestamp64Micro(now64(6))"
_CLOCK: Final = "'%Y-%m-%d %H:%i:%S UTC'"
_AROUND_S: Final = (1_800, 600)
"""Links show so many seconds before the window and after it."""


def grafana_facts(rule: Rule) -> str:
    """Give one row per group that is judged: from and to when, how complete in percent, what changed, and the sample as `value`."""
    inner, _ = asked(rule)
    keys = rule.group_by
    named = "".join(f"{name}, " for name in keys)
    nobody = "".join(f"'' AS {name}, " for name in keys)
    judged = f"SELECT {''.join(as_text(rule))}toFloat64({_sample(rule)}) AS sample_, 0 AS nobody_ FROM (\n{inner}\n) {enough(rule)}"  # noqa: S608
    groups = f"SELECT *, count() OVER () AS rows_ FROM ({judged} UNION ALL SELECT {nobody}toFloat64(0) AS sample_, 1 AS nobody_)"  # noqa: S608
    joined = f"({groups}) AS groups_ {_beside(_marks(keys), keys, ('project',))} {_beside(_changed(keys), keys, ('project', 'app'))}"
    return (
        f"SELECT {named}{_text(begin(rule))} AS window_from, {_text('now()')} AS window_to, {_link(rule)}, {_complete(rule)} AS complete,"  # noqa: S608
        f" changed, sample_ AS value FROM {joined} WHERE NOT (nobody_ = 1 AND rows_ > 1)"
    )


def _sample(rule: Rule) -> str:
    """SQL of one's own may give none; then a row counts for one, as for the evaluator."""
    return "sample" if rule.measured or re.search(r"\bsample\b", rule.sql or "") else "1"


def _beside(sql: str, keys: tuple[str, ...], of: tuple[str, ...]) -> str:
    shared = [name for name in of if name in keys]
    return f"LEFT JOIN ({sql}) AS {of[-1]}_ USING ({', '.join(shared)})" if shared else f"CROSS JOIN ({sql}) AS {of[-1]}_"


def _marks(keys: tuple[str, ...]) -> str:
    """Up to where all is known to be there, in seconds since the epoch; 0 where nobody says."""
    latest = (
        f"SELECT toString(watermarks.project) AS project, toFloat64(argMax(watermark, at)) AS mark FROM watermarks"  # noqa: S608
        f" WHERE at >= now() - {MARKS_S} GROUP BY watermarks.project"
    )
    return latest if "project" in keys else f"SELECT min(mark) AS mark FROM ({latest})"  # noqa: S608


def _complete(rule: Rule) -> str:
    """In percent, rounded down: never called complete when it is not."""
    start = f"toFloat64({begin(rule)})"
    share = f"(mark - {start}) / greatest(1, toFloat64(now64(6)) - {start})"
    return f"if(mark = 0, '', toString(floor(1000 * least(1, greatest(0, {share}))) / 10))"


def _changed(keys: tuple[str, ...]) -> str:
    """What changed shortly before, of the group's project and app, a line each, as the evaluator's own messages say it (`with_changes`)."""
    shared = [name for name in ("project", "app") if name in keys]
    query = changes_query(0)
    offsets = {"since": BEFORE_US, "until": 0, "known": BEFORE_US + KNOWN_DAYS * 86_400_000_000, "drifting": BEFORE_US + LASTS_US}
    sql = query.sql
    for name, ago in offsets.items():
        sql = sql.replace(f"{{{name}:Int64}}", f"({_NOW_US} - {ago})")
    what = f"translateUTF8(replaceRegexpAll(substringUTF8(toString(what), 1, {LONGEST}), '\\\\pC', ' '), '<>@', '‹›＠')"  # noqa: RUF001
    line = f"concat(one.1, ' ', one.3, ' at ', formatDateTime(fromUnixTimestamp64Micro(one.2), {_CLOCK}, 'UTC'))"
    order = "arraySort(one -> (one.1 = 'drift', -one.2, one.1, one.3), groupArray((toString(kind), toInt64(at), text_)))"
    by = ", ".join(f"{name}_" for name in shared)
    given = "".join(f"{name}_ AS {name}, " for name in shared)
    rows = f"SELECT toString(project) AS project_, toString(app) AS app_, kind, at, {what} AS text_ FROM (\n{sql}\n)"  # noqa: S608
    told = f"arrayStringConcat(arrayMap(one -> {line}, arraySlice({order}, 1, {MOST})), '\\n') AS changed"
    return f"SELECT {given}{told} FROM ({rows}){f' GROUP BY {by}' if by else ''}"  # noqa: S608


def _link(rule: Rule) -> str:
    before, after = _AROUND_S
    return (
        f"toString((toUnixTimestamp({begin(rule)}) - {before}) * 1000) AS from_ms,"
        f" toString((toUnixTimestamp(now()) + {after}) * 1000) AS to_ms"
    )


def _text(moment: str) -> str:
    return f"formatDateTime({moment}, {_CLOCK}, 'UTC')"
