"""The cases of an experiment: lines of a file or rows of a dataset, their fields mapped to variables. Pure but for the file."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from llmtower_processors.errors import NotConfigured
from llmtower_schemas.prompts import Version

EXPECTED, DOCUMENTS = "expected", "documents"
_MAP_HELP: Final = "--map VARIABLE=FIELD says which field of a case a variable is"
_SHAPE: Final = 'Write one JSON object a line: {"variables": {"question": "…"}}'


class Row(NamedTuple):
    """One line or row before it is a case: `variables` are meant for the prompt; `fields` may be named by a mapping, too."""

    where: str
    variables: Mapping[str, Any]
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Case:
    """What a prompt is tried with: values of variables, what is expected where something is, documents the answer is to rest on."""

    key: str
    variables: dict[str, Any]
    expected: str | None = None
    documents: tuple[str, ...] = ()
    where: str = field(default="", compare=False)
    mapped: bool = field(default=False, compare=False)
    """Whether somebody said which fields are variables: then other fields are no mistake."""

    def values_for(self, version: Version) -> dict[str, Any]:
        """Give the values of a version's variables. Raises NotConfigured, which names both sides."""
        wanted = version.prompt.variables
        missing = sorted(name for name, one in wanted.items() if one.required and name not in self.variables)
        extra = [] if self.mapped else sorted(self.variables.keys() - wanted.keys())
        if missing or extra:
            said = [f"missing: {', '.join(missing)}" if missing else "", f"unknown to the prompt: {', '.join(extra)}" if extra else ""]
            sides = f"{version.title} takes {_names(wanted)}; the case has {_names(self.variables)}"
            raise NotConfigured(f"{self.where} does not fit: {sides} ({'; '.join(filter(None, said))}). {_MAP_HELP}. Nothing was asked.")
        return {name: self.variables[name] for name in wanted if name in self.variables}


def _names(found: Iterable[str]) -> str:
    return ", ".join(found) or "no variables"


def read_mapping(texts: Sequence[str]) -> dict[str, str]:
    """Read `VARIABLE=FIELD`, several times. Raises NotConfigured."""
    pairs = [text.partition("=") for text in texts]
    for text, (variable, equals, name) in zip(texts, pairs, strict=True):
        if not (variable.strip() and equals and name.strip()):
            raise NotConfigured(f"{text!r} is no mapping. Write --map VARIABLE=FIELD; VARIABLE may be expected or documents, too.")
    return {variable.strip(): name.strip() for variable, _, name in pairs}


def read_cases(rows: Iterable[Row], mapping: Mapping[str, str], *, source: str, most: int = 0) -> list[Case]:
    """Make rows cases, each once, `most` of them at most (0 = all). Raises NotConfigured."""
    cases: dict[str, Case] = {}
    for row in islice(rows, most or None):
        case = _case(row, mapping)
        cases.setdefault(case.key, case)
    if not cases:
        raise NotConfigured(f"{source} holds no case. {_SHAPE}.")
    return list(cases.values())


def file_rows(path: Path) -> Iterator[Row]:
    """Read a JSONL file: `{"variables": {…}, "expected": "…"}` a line; one without `variables` is the variables. Raises NotConfigured."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield _row(line, f"{path}, line {number}")
    except OSError as error:
        raise NotConfigured(f"{path} cannot be read ({error.strerror}).") from error


def _row(line: bytes, where: str) -> Row:
    try:
        raw = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise NotConfigured(f"{where}: is no JSON. {_SHAPE}.") from error
    variables = raw.get("variables", raw) if isinstance(raw, dict) else None
    if not isinstance(variables, dict):
        raise NotConfigured(f"{where}: is to be an object with variables. {_SHAPE}.")
    if "variables" not in raw:
        return Row(where, raw, raw)
    beside = {name: value for name, value in raw.items() if name != "variables"}
    return Row(where, variables, {**beside, **variables})


def _case(row: Row, mapping: Mapping[str, str]) -> Case:
    """Without a mapping the row's own variables count, `expected` and `documents` only where they stand beside them."""
    beside = row.fields if row.fields is not row.variables else {}
    found = {name: beside.get(name) for name in (EXPECTED, DOCUMENTS) if name not in row.variables}
    variables = dict(row.fields if mapping else row.variables)
    for variable, name in mapping.items():
        if name not in row.fields:
            raise NotConfigured(f"{row.where} has no field {name}, which --map {variable}={name} names; it has {_names(row.fields)}.")
        variables[variable] = row.fields[name]
        if variable in (EXPECTED, DOCUMENTS):
            found[variable] = row.fields[name]
    expected, documents = found.get(EXPECTED), _documents(found.get(DOCUMENTS), row.where)
    text = expected if expected is None or isinstance(expected, str) else orjson.dumps(expected).decode()
    told = [variables, text, *([documents] if documents else [])]
    key = hashlib.sha256(orjson.dumps(told, option=orjson.OPT_SORT_KEYS)).hexdigest()[:16]
    return Case(key, variables, text, documents, row.where, bool(mapping))


def _documents(value: Any, where: str) -> tuple[str, ...]:
    """A text, texts, or objects with a `text`, as events carry them."""
    given = value if isinstance(value, list) else [] if value is None else [value]
    found = [one.get("text") if isinstance(one, dict) else one for one in given]
    texts = tuple(text for text in found if isinstance(text, str))
    if len(texts) < len(found):
        raise NotConfigured(f"{where}: documents are to be texts, or objects with a text.")
    return texts
