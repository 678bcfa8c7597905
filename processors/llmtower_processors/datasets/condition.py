"""An SQL condition of a person, made safe: one expression over the columns of `calls`, nothing that reads, writes or goes elsewhere.

Looked at token by token, with the engine's own lexer, before any server sees it; a server's grants stand behind it.
"""

import difflib
from collections.abc import Collection, Sequence
from itertools import pairwise
from typing import Final

from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.engine.errors import EngineError
from llmtower_processors.engine.lexer import Token, tokens

COLUMNS: Final = frozenset(
    (
        *("call_id", "project", "app", "environment", "release", "user_id", "session_id", "request_id", "route", "trace_id", "span_id"),
        *("operation", "provider", "request_model", "response_model", "response_id", "started_at", "duration_us", "ttft_us", "stream"),
        *("status", "error_class", "error_type", "http_status", "retries", "finish_reasons", "service_tier", "usage_source"),
        *("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens"),
        *("audio_input_tokens", "audio_output_tokens", "image_input_tokens", "tool_fees", "cost_nano_usd", "cost_input_nano_usd"),
        *("cost_cache_nano_usd", "cost_output_nano_usd", "cost_fees_nano_usd", "cost_status", "cost_source", "prompt_name"),
        *("prompt_version", "tags", "instrumentation", "capture"),
    )
)
"""Columns of `calls` that a condition may name."""

FUNCTIONS: Final = frozenset(
    (
        *("abs", "coalesce", "concat", "countSubstrings", "empty", "endsWith", "floor", "greatest", "has", "hasAll", "hasAny", "if"),
        *("ifNull", "intDiv", "isNotNull", "isNull", "least", "length", "like", "lower", "mapContains", "match", "modulo", "multiIf"),
        *("not", "notEmpty", "now", "position", "round", "startsWith", "substring", "toDate", "toDateTime", "toDayOfWeek", "toHour"),
        *("toInt64", "toFloat64", "toStartOfDay", "toStartOfHour", "toString", "upper"),
    )
)
"""Functions of a row alone; names as ClickHouse writes them."""

_WORDS: Final = frozenset(
    (
        *("AND", "OR", "NOT", "IN", "LIKE", "ILIKE", "BETWEEN", "IS", "NULL", "TRUE", "FALSE", "DIV", "MOD", "INTERVAL", "SECOND"),
        *("MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "CASE", "WHEN", "THEN", "ELSE", "END"),
    )
)
_SYMBOLS: Final = frozenset("()[]=<>!+-*/%,.|&")
_LONGEST: Final = 4_000


def safe(text: str) -> str:
    """Give the condition in parentheses, as it may stand in a WHERE. Raises DatasetError, which names the place."""
    if len(text) > _LONGEST:
        raise DatasetError(f"--where has {len(text):,} characters, {_LONGEST:,} are allowed.")
    try:
        found = list(tokens(text.encode()))
    except (EngineError, UnicodeEncodeError) as error:
        raise DatasetError("--where cannot be read: a quote or a comment in it is not closed, or it is no text.") from error
    if not found:
        raise DatasetError("--where is empty. Write a condition over the columns of calls, or leave it out.")
    for index, token in enumerate(found):
        _check(token, found[index + 1] if index + 1 < len(found) else None)
    _check_brackets(found)
    gaps = ["", *(" " if after.start > before.end else "" for before, after in pairwise(found))]
    return f"({''.join(gap + token.text.decode() for gap, token in zip(gaps, found, strict=True))})"


def _check(token: Token, after: Token | None) -> None:
    if token.kind == "string":
        return
    text = token.text.decode("utf-8", "replace")
    if token.kind == "symbol":
        if text not in _SYMBOLS:
            raise _refused(token, f"{text!r} may not stand in a condition")
    elif token.kind == "heredoc":
        raise _refused(token, "a heredoc may not stand in a condition")
    elif token.kind == "word" and text[0].isdigit():
        return
    elif after is not None and after.text == b"(" and token.kind == "word":
        if text not in FUNCTIONS and text.upper() not in _WORDS:
            raise _refused(token, f"the function {text} is not allowed{_nearest(text, FUNCTIONS)}")
    elif token.name not in COLUMNS and (token.kind == "quoted" or text.upper() not in _WORDS):
        raise _refused(token, f"{token.name} is no column of calls{_nearest(token.name, COLUMNS)}")


def _check_brackets(found: Sequence[Token]) -> None:
    """No bracket may close what the condition did not open: it would leave the parentheses that are put around it."""
    opened: list[bytes] = []
    for token in found:
        if token.kind != "symbol":
            continue
        if token.text in (b"(", b"["):
            opened.append(token.text)
        elif token.text in (b")", b"]") and (not opened or opened.pop() != {b")": b"(", b"]": b"["}[token.text]):
            raise _refused(token, f"{token.text.decode()!r} closes nothing")
    if opened:
        raise DatasetError(f"--where: {opened[-1].decode()!r} is not closed.")


def _nearest(name: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(name, known, 1)
    return f"; did you mean {close[0]}?" if close else ""


def _refused(token: Token, why: str) -> DatasetError:
    return DatasetError(f"--where, character {token.start + 1}: {why}. `llmtower datasets build --help` says what may stand there.")
