"""Reading a judge's answer: strict in what counts as a score, tolerant in how it is wrapped. Logic: pure."""

import re
from collections.abc import Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

from llmtower_processors.judge.rubric import Rubric

LONGEST: Final = 20_000
"""Characters of an answer that are looked at."""
_KEYS: Final = ("score", "value", "rating")
_NUMBER: Final = re.compile(r"^\s*([01](?:\.\d{1,4})?|\.\d{1,4})\s*$")
_decode = JSONDecoder().raw_decode


def read_score(text: str, rubric: Rubric) -> float | None:
    """Give the level that an answer chooses; None when it names none, or more than one: a guess would be worse than no score."""
    for found in _objects(text[:LONGEST]):
        value = next((found[key] for key in _KEYS if key in found), None)
        if value is not None:
            return _level(value, rubric)
    return _level(text, rubric)


def _objects(text: str) -> Iterator[dict[str, Any]]:
    """Find JSON objects wherever they stand: bare, in a code block, after some words."""
    start = text.find("{")
    while start >= 0:
        try:
            value, end = _decode(text, start)
        except (JSONDecodeError, RecursionError):
            end = start + 1
        else:
            if isinstance(value, dict):
                yield value
        start = text.find("{", end)


def _level(value: Any, rubric: Rubric) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        by_meaning = [level.value for level in rubric.levels if level.meaning.casefold() == value.strip().casefold()]
        if by_meaning:
            return by_meaning[0]
        matched = _NUMBER.match(value)
        value = float(matched[1]) if matched else None
    if not isinstance(value, int | float):
        return None
    return next((level.value for level in rubric.levels if abs(level.value - value) < 1e-6), None)
