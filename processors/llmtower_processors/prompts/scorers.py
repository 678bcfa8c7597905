"""What answers of an experiment are checked by: checks by name, and functions of one's own."""

import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from llmtower_processors.errors import NotConfigured

Check = Callable[[str, str | None, Mapping[str, Any]], float | bool | None]
"""Of an answer, what was expected, and the variables: a figure, True or False, or None where it does not apply."""

_HELP: Final = "exact, contains, json, regex:PATTERN, json-schema:FILE, or module:function"


def exact(answer: str, expected: str | None, _: Mapping[str, Any]) -> bool | None:
    """Whether the answer is what was expected, spaces around it aside."""
    return None if expected is None else answer.strip() == expected.strip()


def contains(answer: str, expected: str | None, _: Mapping[str, Any]) -> bool | None:
    """Whether what was expected stands in the answer, whatever its case."""
    return None if expected is None else expected.casefold() in answer.casefold()


def is_json(answer: str, _: str | None, __: Mapping[str, Any]) -> bool:
    """Whether the answer is JSON."""
    return _parsed(answer) is not None


def find_checks(texts: Sequence[str]) -> list[tuple[str, Check]]:
    """Find all; of several of one name the later ones are numbered. Raises NotConfigured."""
    found: dict[str, Check] = {}
    for text in texts:
        name, check = find_check(text)
        same = sum(other == name or other.startswith(f"{name} ") for other in found)
        found[f"{name} {same + 1}" if same else name] = check
    return list(found.items())


def find_check(text: str) -> tuple[str, Check]:
    """Give name and function of a check. Raises NotConfigured."""
    kind, _, rest = text.partition(":")
    if text in _PLAIN:
        return text, _PLAIN[text]
    if kind == "regex" and rest:
        return "regex", _regex(rest)
    if kind == "json-schema" and rest:
        return "json-schema", _schema(Path(rest))
    if kind and rest:
        return rest, _own(kind, rest)
    raise NotConfigured(f"{text!r} is no check. There are: {_HELP}.")


def _regex(pattern: str) -> Check:
    try:
        found = re.compile(pattern)
    except re.error as error:
        raise NotConfigured(f"regex: {error} in the pattern.") from error
    return lambda answer, _expected, _variables: found.search(answer) is not None


def _schema(path: Path) -> Check:
    try:
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError
    except ModuleNotFoundError as error:
        raise NotConfigured("The check json-schema needs jsonschema: pip install 'llmtower[experiments]'.") from error
    try:
        schema = orjson.loads(path.read_bytes())
        Draft202012Validator.check_schema(schema)
    except (OSError, orjson.JSONDecodeError, SchemaError) as error:
        raise NotConfigured(f"json-schema: {path} is no JSON Schema that can be read ({type(error).__name__}).") from error
    validator = Draft202012Validator(schema)

    def check(answer: str, _expected: str | None, _variables: Mapping[str, Any]) -> bool:
        parsed = _parsed(answer)
        return parsed is not None and validator.is_valid(parsed[0])

    return check


def _own(module: str, name: str) -> Check:
    sys.path.insert(0, str(Path.cwd()))
    try:
        function: Any = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise NotConfigured(f"There is no function {module}:{name} ({type(error).__name__}). Checks are: {_HELP}.") from error
    finally:
        sys.path.pop(0)
    if not callable(function):
        raise NotConfigured(f"{module}:{name} is no function of (answer, expected, variables).")
    check: Check = function
    return check


def score(
    checks: Sequence[tuple[str, Check]], answer: str, expected: str | None, variables: Mapping[str, Any]
) -> tuple[dict[str, float], tuple[str, ...]]:
    """Score an answer; a check that raises, or gives no number, is named, and the others go on."""
    found: dict[str, float] = {}
    failed: list[str] = []
    for name, check in checks:
        try:
            value = check(answer, expected, variables)
            if value is not None:
                found[name] = float(value)
        except Exception:
            failed.append(name)
    return found, tuple(failed)


def _parsed(answer: str) -> tuple[Any] | None:
    try:
        return (orjson.loads(answer),)
    except orjson.JSONDecodeError:
        return None


_PLAIN: Final[dict[str, Check]] = {"exact": exact, "contains": contains, "json": is_json}
