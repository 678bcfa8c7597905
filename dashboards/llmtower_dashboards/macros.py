"""The macros of Grafana's ClickHouse plugin and its variables, expanded here: the same SQL runs in Grafana and on the live page.

A twin of `pkg/macros/macros.go` and of `applyConditionalAll` in `src/data/CHDatasource.ts` (grafana/clickhouse-datasource 4.x). What is
different is on purpose: `expand` *binds* every value as a parameter (the text is the same for all values, so that the engine's face has
to look at it only once), a macro that is not known is an error instead of being left as it is, and a variable without a value outside
`$__conditionalAll` is the empty string. Macros are expanded inside quotes too: panels have none there (tested).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from llmtower_schemas.queries import Query

MAX_VALUES: Final = 200
"""Values of one variable; more do not fit into a request's address."""

_TOKEN: Final = re.compile(r"\$__(?P<macro>\w+)|\$\{(?P<braced>\w+)(?::(?P<format>\w+))?\}|\$(?P<bare>[A-Za-z]\w*)")
_VARIABLE: Final = re.compile(r"\s*\$(?:\{(\w+)(?::\w+)?\}|(\w+))\s*")
_GO_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?(?:ms|s|m|h))+")
_GO_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0}
_STEPS: Final = (60, 120, 300, 600, 900, 1_200, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 604_800, 2_592_000)


class MacroError(ValueError):
    """SQL uses a macro or a variable in a way that Grafana's plugin would not understand; the message names it."""


@dataclass(frozen=True, slots=True)
class Frame:
    """What is looked at: [start, end) with a time zone, the width of a bucket, the chosen values by variable (none = all)."""

    start: datetime
    end: datetime
    interval_s: int = 60
    variables: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise MacroError("A frame's start and end need a time zone.")
        if self.start >= self.end:
            raise MacroError("A frame's start must lie before its end.")


def interval_for(start: datetime, end: datetime, points: int = 120) -> int:
    """Give the width of a bucket in seconds for about so many points: a round number of minutes; hours beyond a day."""
    span = (end - start).total_seconds()
    least = span / max(points, 1) if span <= 86_400 else max(span / max(points, 1), 3_600)
    return next((step for step in _STEPS if step >= least), _STEPS[-1])


def expand(sql: str, frame: Frame) -> Query:
    """Give the SQL that ClickHouse runs, and its parameters. Raises MacroError."""
    binding = _Bound()
    return Query(_expand(sql, frame, binding), binding.parameters)


def literal(sql: str, frame: Frame) -> str:
    """Give the text that the plugin sends for this frame, for people to copy: values stand in it, quoted. Raises MacroError."""
    return _expand(sql, frame, _Literal())


def variables_of(sql: str) -> tuple[str, ...]:
    """Name the variables that the SQL uses, in order of appearance."""
    found = (match["braced"] or match["bare"] for match in _TOKEN.finditer(sql))
    return tuple(dict.fromkeys(name for name in found if name))


def macros_of(sql: str) -> tuple[str, ...]:
    """Name the macros that the SQL uses, without `$__`."""
    return tuple(dict.fromkeys(match["macro"] for match in _TOKEN.finditer(sql) if match["macro"]))


class _Bound:
    """Values become parameters."""

    def __init__(self) -> None:
        self.parameters: dict[str, Any] = {}

    def number(self, name: str, value: int) -> str:
        self.parameters[name] = value
        return f"{{{name}:Int64}}"

    def text(self, name: str, value: str) -> str:
        self.parameters[name] = value
        return f"{{{name}:String}}"


class _Literal:
    """Values stand in the text."""

    def number(self, _name: str, value: int) -> str:
        return str(value)

    def text(self, _name: str, value: str) -> str:
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


_Binding = _Bound | _Literal


@dataclass(frozen=True, slots=True)
class _Times:
    """The frame's ends and bucket as the macros want them."""

    frame: Frame
    binding: _Binding

    def seconds(self, end: str) -> str:
        return f"toDateTime({self.binding.number(f'time_{end}', int(self._of(end).timestamp() // 1))})"

    def millis(self, end: str) -> str:
        millis = (self._of(end) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)
        return f"fromUnixTimestamp64Milli({self.binding.number(f'time_{end}_ms', millis)})"

    def date(self, end: str) -> str:
        return f"toDate({self.binding.text(f'date_{end}', self._of(end).astimezone(UTC).strftime('%Y-%m-%d'))})"

    def interval(self, factor: int = 1) -> str:
        name = "interval_s" if factor == 1 else "interval_ms"
        return self.binding.number(name, max(self.frame.interval_s, 1) * factor)

    def _of(self, end: str) -> datetime:
        return self.frame.start if end == "from" else self.frame.end


def _between(column: str, value: Callable[[str], str]) -> str:
    return f"{column} >= {value('from')} AND {column} <= {value('to')}"


def _date_time_filter(times: _Times, args: Sequence[str]) -> str:
    date, time = args
    return f"({_between(date, times.date)}) AND ({_between(time, times.seconds)})"


def _time_group(_times: _Times, args: Sequence[str]) -> str:
    column, period = args[0], args[1].strip("'\"")
    if not _GO_DURATION.fullmatch(period):
        raise MacroError(f"$__timeGroup: {period!r} is no duration; write 5m or 1h.")
    seconds = round(sum(float(number) * _GO_UNITS[unit] for number, unit in re.findall(r"([\d.]+)(ms|s|m|h)", period)))
    if seconds <= 0:
        raise MacroError("$__timeGroup: the duration must be at least a second.")
    return f"toStartOfInterval(toDateTime({column}), INTERVAL {seconds} second)"


_Macro = tuple[int, Callable[[_Times, Sequence[str]], str]]

MACROS: Final[Mapping[str, _Macro]] = {
    "fromTime": (0, lambda times, _: times.seconds("from")),
    "toTime": (0, lambda times, _: times.seconds("to")),
    "fromTime_ms": (0, lambda times, _: times.millis("from")),
    "toTime_ms": (0, lambda times, _: times.millis("to")),
    "timeFilter": (1, lambda times, args: _between(args[0], times.seconds)),
    "timeFilter_ms": (1, lambda times, args: _between(args[0], times.millis)),
    "dateFilter": (1, lambda times, args: _between(args[0], times.date)),
    "dateTimeFilter": (2, _date_time_filter),
    "dt": (2, _date_time_filter),
    "timeFrom": (1, lambda times, args: f"{args[0]} >= {times.seconds('from')}"),
    "timeTo": (1, lambda times, args: f"{args[0]} <= {times.seconds('to')}"),
    "timeGroup": (2, _time_group),
    "timeInterval": (1, lambda times, args: f"toStartOfInterval(toDateTime({args[0]}), INTERVAL {times.interval()} second)"),
    "timeInterval_ms": (
        1,
        lambda times, args: f"toStartOfInterval(toDateTime64({args[0]}, 3), INTERVAL {times.interval(1_000)} millisecond)",
    ),
    "interval_s": (0, lambda times, _: times.interval()),
    "interval_ms": (0, lambda times, _: times.interval(1_000)),
}
"""Name → number of arguments, expansion. `$__conditionalAll` comes before all of them: it belongs to the plugin's front end."""


def _expand(sql: str, frame: Frame, binding: _Binding) -> str:
    times = _Times(frame, binding)
    parts, position = [], 0
    sql = _conditional_all(sql, frame)
    while match := _TOKEN.search(sql, position):
        parts.append(sql[position : match.start()])
        position = match.end()
        if name := match["macro"]:
            if name not in MACROS:
                raise MacroError(f"$__{name} is no macro. There are: {', '.join(f'$__{known}' for known in [*MACROS, 'conditionalAll'])}.")
            args, position = _arguments(sql, position)
            expected, build = MACROS[name]
            if len(args) != expected:
                raise MacroError(f"$__{name} takes {expected} arguments, not {len(args)}.")
            parts.append(build(times, [_expand(arg.strip(), frame, binding) for arg in args]))
        else:
            parts.append(_values(match, frame, binding))
    return "".join([*parts, sql[position:]])


def _values(match: re.Match[str], frame: Frame, binding: _Binding) -> str:
    name = match["braced"] or match["bare"]
    if match["format"] != "singlequote":
        raise MacroError(f"Variable {name} must be written ${{{name}:singlequote}}, so that its values are quoted.")
    values = [value for value in frame.variables.get(name, ()) if value] or [""]
    if len(values) > MAX_VALUES:
        raise MacroError(f"Variable {name} has {len(values)} values; choose at most {MAX_VALUES}, or none for all.")
    return ", ".join(binding.text(f"var_{name}_{number}", value) for number, value in enumerate(values))


def _conditional_all(sql: str, frame: Frame) -> str:
    """Drop the conditions of variables that stand for all."""
    macro = "$__conditionalAll"
    while (start := sql.rfind(macro)) >= 0:
        args, end = _arguments(sql, start + len(macro))
        variable = _VARIABLE.fullmatch(args[1]) if len(args) == 2 else None
        if variable is None:
            raise MacroError("$__conditionalAll takes a condition and a variable: $__conditionalAll(app IN (${app:singlequote}), $app).")
        chosen = any(frame.variables.get(variable[1] or variable[2], ()))
        sql = f"{sql[:start]}{args[0].strip() if chosen else '1=1'}{sql[end:]}"
    return sql


def _arguments(sql: str, position: int) -> tuple[list[str], int]:
    """Read `(a, b)` at the position, as the plugin does: brackets are counted, quotes are not looked at."""
    if not sql.startswith("(", position):
        return [], position
    depth, args, begin = 0, [], position + 1
    for index in range(position, len(sql)):
        depth += {"(": 1, ")": -1}.get(sql[index], 0)
        if depth == 0 or (depth == 1 and sql[index] == ","):
            args.append(sql[begin:index])
            begin = index + 1
        if depth == 0:
            return [arg for arg in args if arg.strip()], index + 1
    raise MacroError("A macro's bracket is not closed.")
