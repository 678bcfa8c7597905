"""What a message of a Grafana-managed rule says beside the value, as a second question of the rule. Pure.

Grafana keeps what every query of a rule gave for the templates of its annotations (`.Values.C`), where the labels of one contain those of
the other; an alert's own labels come from its condition alone. So one row per group holds the sample as its number and the rest as text.
The condition does not refer to it, but most versions of Grafana take a rule for one without data as soon as any of its queries has no rows
or fails (`IsNoData` in `pkg/services/ngalert/eval`). So it always gives a row; it looks for changes only while a group is beyond the
level; and should it fail, a rule that cannot be without data otherwise (`grafana_sql.never_empty`) is told as one that is.
"""

import re
from typing import Final

from llmtower_processors.alerts.changes import BEFORE_US, KNOWN_DAYS, LASTS_US, MOST, changes_query
from llmtower_processors.alerts.grafana_sql import as_text, asked, begin, enough
from llmtower_processors.alerts.levels import Level
from llmtower_processors.alerts.message import LONGEST
from llmtower_processors.alerts.rules import Rule

MARKS_S: Final = 600
"""Older watermarks say nothing about now."""
_NOW_US: Final = "toUnixTimestamp64Micro(now64(6))"
_NEVER_US: Final = 4_102_444_800_000_000
"""The year 2100: nothing that is stored is younger, so a table is not read at all."""
_CLOCK: Final = "'%Y-%m-%d %H:%i:%S UTC'"
_AROUND_S: Final = (1_800, 600)
"""Links show so many seconds before the window and after it."""


def grafana_facts(rule: Rule, level: Level) -> str:
    """Give one row per group that is judged: from and to when, how complete in percent, what changed, and the sample as `value`."""
    keys = rule.group_by
    named = "".join(f"{name}, " for name in keys)
    groups = f"({_groups(keys)}) AS groups_"
    joined = f"{groups} {_beside(_marks(keys), keys, ('project',))} {_beside(_changed(keys), keys, ('project', 'app'))}"
    return (
        f"WITH ({_judged(rule, level)}) AS judged_ "  # noqa: S608
        f"SELECT {named}{_text(begin(rule))} AS window_from, {_text('now()')} AS window_to, {_link(rule)}, {_complete(rule)} AS complete,"
        f" changed, sample_ AS value FROM {joined}"
    )


def _judged(rule: Rule, level: Level) -> str:
    """Asked once, whatever refers to it: names, sample, and whether it is not on the good side, of each group."""
    inner, value = asked(rule)
    names = "".join(f"{name}, " for name in rule.group_by)
    bad = f"toFloat64({value}) {'>' if level.below is None else '<'} {level.recovery!r}"
    rows = f"SELECT {''.join(as_text(rule))}toFloat64({_sample(rule)}) AS sample_, {bad} AS bad_ FROM (\n{inner}\n) {enough(rule)}"  # noqa: S608
    return f"SELECT groupArray(tuple({names}assumeNotNull(sample_), toUInt8(assumeNotNull(bad_)))) FROM ({rows})"  # noqa: S608


def _groups(keys: tuple[str, ...]) -> str:
    """A row each; where there is none, one without a name."""
    names = "".join(f"one_.{number} AS {name}, " for number, name in enumerate(keys, 1))
    nobody = "".join("'', " for _ in keys)
    each = f"arrayJoin(if(empty(judged_), [tuple({nobody}0.0, toUInt8(0))], judged_)) AS one_"
    return f"SELECT {names}one_.{len(keys) + 1} AS sample_ FROM (SELECT {each})"  # noqa: S608


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
    """What changed shortly before, of the group's project and app, a line each, as the evaluator's own messages say it (`with_changes`).

    Asked only while a group is beyond the level: most of what it costs is in knowing which models and prompts are new.
    """
    shared = [name for name in ("project", "app") if name in keys]
    query = changes_query(0)
    offsets = {"since": BEFORE_US, "until": 0, "known": BEFORE_US + KNOWN_DAYS * 86_400_000_000, "drifting": BEFORE_US + LASTS_US}
    sql = query.sql
    beyond = f"arrayExists(one -> one.{len(keys) + 2} = 1, judged_)"
    for name, ago in offsets.items():
        since = f"({_NOW_US} - {ago})"
        sql = sql.replace(f"{{{name}:Int64}}", since if name == "until" else f"if({beyond}, {since}, {_NEVER_US})")
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
