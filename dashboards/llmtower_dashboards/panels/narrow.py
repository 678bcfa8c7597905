"""What narrows lists of calls beyond the filters that all panels share, so that any figure leads to exactly the calls behind it."""

from collections.abc import Mapping
from typing import Final

from llmtower_dashboards.panel import Variable
from llmtower_dashboards.panels.sql import COLUMNS, END, START
from llmtower_schemas.metrics import COUNTED

_MODELS: Final = "(SELECT name FROM registry_events WHERE kind = 'model')"
_RANGE: Final = f"started_at >= {START} AND started_at < {END}"


def _about(table: str, where: str) -> str:
    """Calls that something was said about, by the call's own id, that of its answer or that of its trace."""
    said = f"FROM {table} WHERE {where} AND target_kind"
    by_id = f"call_id IN (SELECT toUUIDOrZero(target_id) {said} = 'call_id')"
    others = (f"({kind} != '' AND {kind} IN (SELECT target_id {said} = '{kind}'))" for kind in ("response_id", "trace_id"))
    return f"({' OR '.join((by_id, *others))})"


def _scored(where: str) -> str:
    """Calls with a score for which that holds of `name`, `value` and `scorer`, whoever gave it."""
    each = f"arrayExists((name, value, scorer) -> {where}, names, score_values, scorers)"
    ours = f"call_id IN (SELECT call_id FROM call_scores WHERE {_RANGE} AND {each})"  # noqa: S608 - literals
    return f"({ours} OR {_about('scores', f'{_RANGE} AND {where}')})"


def _rated(where: str = "1 = 1") -> str:
    return _about("feedback", f"feedback.at >= {START} AND feedback.at < {END} AND {where}")


def chosen(name: str) -> str:
    """The chosen values as an array. A text field of Grafana holds one, so several are written with commas between them."""
    return f"splitByChar(',', arrayStringConcat([${{{name}:singlequote}}], ','))"


_COLUMNS: Final[Mapping[str, str]] = {
    "session": "session_id",
    "version": "prompt_version",
    "error": "error_class",
    "snapshot": "response_model",
    "run": "tags['experiment']",
    "dataset": "tags['dataset']",
}
ONLY: Final[Mapping[str, str]] = {
    "failed": "calls.status != 'ok'",
    "unpriced": "isNull(cost_nano_usd) AND cost_status != 'failed'",
    "streamed": "isNotNull(ttft_us)",
    "flowing": "isNotNull(ttft_us) AND duration_us >= ttft_us AND toUInt64(output_tokens) + reasoning_tokens > 1",
    "retried": "retries > 0",
    "cached": "toUInt64(cache_read_tokens) + cache_write_tokens + cache_write_1h_tokens > 0",
    "prompted": "prompt_name != ''",
    "users": "user_id != ''",
    "sessions": "session_id != ''",
    "snapshots": "response_model != ''",
    "request_limits": "isNotNull(rate_limit_remaining_requests)",
    "token_limits": "isNotNull(rate_limit_remaining_tokens)",
    "registered": f"request_model IN {_MODELS}",
    "unregistered": f"request_model NOT IN {_MODELS}",
    "scored": _scored("isNotNull(value)"),
    "measured": _scored(f"isNotNull(value) AND NOT has({list(COUNTED)}, name)"),
    "judged": _scored("scorer = 'llmtower-judge'"),
    "rated": _rated(),
    **{f"no_{name}": f"{column} = ''" for name, column in {**COLUMNS, **_COLUMNS}.items()},
}
"""Value of the variable `only` → the condition on `calls`; of several all must hold."""
_KNOWN: Final = f"hasAll({list(ONLY)}, {chosen('only')})"
"""Of what is not known nothing is listed: a slip of the pen must not look like everything."""
_CHAIN: Final = " AND ".join((_KNOWN, *(f"(NOT has({chosen('only')}, '{name}') OR ({sql}))" for name, sql in ONLY.items())))
CONDITIONS: Final[Mapping[str, str]] = {
    **{name: f"{column} IN (${{{name}:singlequote}})" for name, column in _COLUMNS.items()},
    "score": _scored(f"has({chosen('score')}, name) AND isNotNull(value)"),
    "feedback": _rated("feedback.name IN (${feedback:singlequote})"),
    "only": _CHAIN,
}
"""Variable of the call explorer → its condition on `calls`."""
IN_ROLLUPS: Final = ("version", "error")
"""What the rollups know, too."""
NARROWED: Final = " AND ".join(f"$__conditionalAll({sql}, ${name})" for name, sql in CONDITIONS.items())
NARROWING: Final = {
    name: Variable(name=name, title=title, column=_COLUMNS.get(name, ""))
    for name, title in (
        ("session", "Session"),
        ("version", "Version"),
        ("error", "Error"),
        ("snapshot", "Snapshot"),
        ("run", "Experiment"),
        ("dataset", "Dataset"),
        ("score", "Score"),
        ("feedback", "Feedback"),
        ("only", "Only"),
    )
}
"""Typed, or linked to; "" stands for all."""
FILTER_OF: Final[Mapping[str, str]] = {
    **{name: name for name in ("app", "model", "provider", "prompt", "user", "version", "snapshot", "run", "dataset", "score", "feedback")},
    "session": "session",
    "error_class": "error",
    "rubric": "score",
    "name": "score",
}
"""Column of a panel with calls behind it → the variable that a row of it narrows them by."""
COUNTS: Final[Mapping[str, str]] = {"unpriced": "unpriced", "errors": "failed"}
"""Column that counts a part of the calls of its row → what narrows them to it."""
ALL_OF_ROW: Final = frozenset({"calls", "made"})
"""Columns that count every call of their row, whatever the panel is about."""
