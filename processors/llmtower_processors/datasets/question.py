"""Which calls a dataset is made of: the options as a value, and the SQL that they mean. Values of people are bound, never SQL."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, NamedTuple

from llmtower_processors.datasets.errors import DatasetError
from llmtower_schemas.metrics import METRICS, SCORED

STRATA: Final = ("app", "environment", "provider", "request_model", "prompt_name", "prompt_version", "operation", "status", "user_id")
"""What a random part may be spread over evenly."""
BAD: Final[Mapping[str, str]] = {one.score: one.bad for one in SCORED}
"""Scores that say of an answer that it is bad, and when they do."""
Feedback = Literal["", "negative", "positive", "corrected"]
_NEGATIVE: Final = METRICS["negative_feedback"].value.removeprefix("countIf(").partition(") / ")[0]
_SAID: Final[Mapping[str, str]] = {
    "negative": _NEGATIVE,
    "positive": "score > 0 OR label IN ('good', 'positive', 'thumbs_up', 'up')",
}
_SCORE: Final = re.compile(r"\s*([\w./-]{1,256})\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)\s*")


class ScoreCondition(NamedTuple):
    """A score of a name on one side of a level."""

    name: str
    sign: str
    level: float


class Window(NamedTuple):
    """A segment in a span in which it drifted."""

    start: datetime
    end: datetime
    segment: Mapping[str, str]


def read_score(text: str) -> ScoreCondition:
    """Read `groundedness<0.5`. Raises DatasetError."""
    found = _SCORE.fullmatch(text)
    if found is None:
        raise DatasetError(f"{text[:80]!r} is no condition on a score. Write NAME, one of < <= > >=, and a number: groundedness<0.5")
    return ScoreCondition(found[1], found[2], float(found[3]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What to look for, in which span, and how much of it to keep."""

    project: str
    start: datetime
    end: datetime
    equal: Mapping[str, str]
    """Values of columns of `calls`."""
    feedback: Feedback = ""
    bad: tuple[str, ...] = ()
    scores: tuple[ScoreCondition, ...] = ()
    failed: bool = False
    min_nano_usd: int | None = None
    drifted: tuple[Window, ...] | None = None
    condition: str = ""
    """A safe SQL condition in parentheses, or ''."""
    chance: bool = False
    """A random part of all is what is asked for."""
    stratify: tuple[str, ...] = ()
    size: int = 10_000
    near: float = 0.85
    seed: int = 0

    def __post_init__(self) -> None:
        """Raise DatasetError for names that do not exist."""
        if self.start >= self.end:
            raise DatasetError("The span ends before it begins: check --from and --to.")
        if unknown := [name for name in self.bad if name not in BAD]:
            raise DatasetError(f"{unknown[0]!r} is no score that can be bad; there are {', '.join(BAD)}. For others: --score 'NAME<LEVEL'")
        if unknown := [name for name in self.stratify if name not in STRATA]:
            raise DatasetError(f"--stratify cannot spread over {unknown[0]!r}; there are {', '.join(STRATA)}.")

    @property
    def narrows(self) -> bool:
        """Say whether it asks for anything but the span."""
        asked = (self.equal, self.feedback, self.bad, self.scores, self.failed, self.min_nano_usd, self.condition)
        return any(asked) or self.drifted is not None


Sql = tuple[str, dict[str, Any]]
_TIMES: Final = "started_at >= fromUnixTimestamp64Micro({start:Int64}) AND started_at < fromUnixTimestamp64Micro({end:Int64})"
_SPAN: Final = f"project = {{project:String}} AND {_TIMES}"


def span(question: Question) -> Sql:
    """Give the condition of project and time."""
    return _SPAN, {"project": question.project, "start": microseconds(question.start), "end": microseconds(question.end)}


def microseconds(at: datetime) -> int:
    """Give a time as ClickHouse is given it: microseconds since 1970, UTC."""
    return int(at.timestamp()) * 1_000_000 + at.microsecond


def chosen(question: Question) -> Sql:
    """Give the condition on rows of `calls` that is asked for, the span apart; `1` when there is none."""
    parts: list[str] = []
    values: dict[str, Any] = {}
    for number, (column, value) in enumerate(sorted(question.equal.items())):
        parts.append(f"{column} = {{equal{number}:String}}")
        values[f"equal{number}"] = value
    if question.feedback:
        parts.append(_with_feedback(question.feedback))
    for number, (name, where) in enumerate(_scored(question)):
        parts.append(_with_score(number, where))
        values[f"score{number}"] = name
    if question.failed:
        parts.append("status != 'ok'")
    if question.min_nano_usd is not None:
        parts.append("cost_nano_usd >= {min_nano_usd:Int64}")
        values["min_nano_usd"] = question.min_nano_usd
    if question.drifted is not None:
        drifted, bound = _in_windows(question.drifted)
        parts.append(drifted)
        values |= bound
    if question.condition:
        parts.append(question.condition)
    return " AND ".join(parts) or "1", values


def _scored(question: Question) -> list[tuple[str, str]]:
    named = [(name, BAD[name]) for name in question.bad]
    return named + [(one.name, f"value {one.sign} {one.level!r}") for one in question.scores]


def _with_score(number: int, where: str) -> str:
    return (
        "call_id IN (SELECT toUUIDOrZero(target_id) FROM scores_of_calls WHERE project = {project:String}"  # noqa: S608 - literals, values bound
        f" AND name = {{score{number}:String}} AND isNotNull(value) AND {where} AND target_kind = 'call_id' AND {_TIMES})"
    )


def _with_feedback(kind: Feedback) -> str:
    """Feedback names a call by its id, its response or its trace; that of a trace means every call of it."""
    if kind == "corrected":
        said = (
            "SELECT target_id FROM feedback WHERE project = {project:String} AND feedback_id IN (SELECT call_id FROM contents"
            " WHERE project = {project:String} AND kind = 'feedback' AND correction != '') AND target_kind = "
        )
    else:
        said = f"SELECT target_id FROM feedback_current WHERE project = {{project:String}} AND ({_SAID[kind]}) AND target_kind = "  # noqa: S608 - literals
    by_call = f"call_id IN (SELECT toUUIDOrZero(target_id) FROM ({said}'call_id'))"  # noqa: S608 - literals
    others = [f"({column} != '' AND {column} IN ({said}'{column}'))" for column in ("response_id", "trace_id")]
    return f"({' OR '.join((by_call, *others))})"


def _in_windows(windows: tuple[Window, ...]) -> Sql:
    parts: list[str] = []
    values: dict[str, Any] = {}
    for number, window in enumerate(windows):
        names = {column: f"drift{number}_{column}" for column in window.segment}
        values |= {name: window.segment[column] for column, name in names.items()}
        values |= {f"drift{number}_start": microseconds(window.start), f"drift{number}_end": microseconds(window.end)}
        times = [f"fromUnixTimestamp64Micro({{drift{number}_{end}:Int64}})" for end in ("start", "end")]
        within = f"started_at >= {times[0]} AND started_at < {times[1]}"
        parts.append(" AND ".join((within, *(f"{column} = {{{name}:String}}" for column, name in names.items()))))
    return f"({' OR '.join(f'({part})' for part in parts)})" if parts else "0", values


DRIFTED: Final = """
SELECT min(at - toIntervalMinute(window_minutes)) AS start, max(at) AS end, app, environment, request_model, prompt_name, prompt_version
FROM drift
WHERE project = {project:String} AND status = 'drift' AND window_minutes = 10
    AND at > fromUnixTimestamp64Micro({start:Int64}) AND at - toIntervalMinute(window_minutes) < fromUnixTimestamp64Micro({end:Int64})
GROUP BY app, environment, request_model, prompt_name, prompt_version, toStartOfHour(at)
ORDER BY end DESC
LIMIT 200
"""
"""Segments that drifted, by hour: of windows of ten minutes, which say most exactly when."""
SEGMENT: Final = ("app", "environment", "request_model", "prompt_name", "prompt_version")
