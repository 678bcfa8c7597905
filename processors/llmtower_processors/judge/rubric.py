"""Rubrics: what a judge is asked and which answers it has to choose from. One YAML file each."""

from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Final, Self

import orjson
import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmtower_processors.judge.errors import RubricError

MAX_BYTES: Final = 65_536
PREFIX: Final = "judge_"
"""Of the names of a judge's scores, so that they are never mixed with local ones of the same quality."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Level(_Part):
    """One of the answers to choose from."""

    value: Annotated[float, Field(ge=0, le=1, description="the score: 0 bad, 1 good")]
    meaning: Annotated[str, Field(min_length=1, max_length=400, description="when to choose it")]


class Rubric(_Part):
    """One quality that a judge scores."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,40}$", description="the score is called judge_<name>")]
    version: Annotated[str, Field(min_length=1, max_length=64, description="change it with the wording: scores carry it")]
    question: Annotated[str, Field(min_length=10, max_length=8_000, description="what the judge is asked of each answer")]
    levels: Annotated[tuple[Level, ...], Field(min_length=2, max_length=11)]
    threshold: Annotated[float, Field(gt=0, le=1, description="below it an answer is bad")] = 0.5
    documents: Annotated[bool, Field(description="only answers whose calls carry retrieved documents")] = False
    uncertain_by: Annotated[
        str, Field(max_length=256, description="name of a local score: answers nearest to its threshold are asked first")
    ] = ""
    uncertain_at: Annotated[float, Field(description="threshold of that local score")] = 0.5
    apps: Annotated[tuple[str, ...], Field(max_length=100, description="only these apps; none = all")] = ()

    @model_validator(mode="after")
    def _decides(self) -> Self:
        values = [level.value for level in self.levels]
        if len(set(values)) < len(values):
            raise ValueError("two levels have the same value")
        if not min(values) < self.threshold <= max(values):
            raise ValueError("threshold must lie above the lowest level and not above the highest: every answer would be the same")
        return self

    @property
    def score(self) -> str:
        """Name of its scores."""
        return f"{PREFIX}{self.name}"


def rubric_schema() -> str:
    """Give the text of `schemas/exported/rubric.schema.json`, for editors."""
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **Rubric.model_json_schema(), "title": "Llmtower rubric"}
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()


def load_rubrics(names: Sequence[str], folder: Path | None = None) -> tuple[Rubric, ...]:
    """Give the rubrics of these names, those of `folder` before the shipped ones; none = all. Raises RubricError."""
    known = {rubric.name: rubric for rubric in (*_shipped(), *_own(folder))}
    missing = [name for name in names if name not in known]
    if missing:
        raise RubricError(f"No rubric is called {', '.join(missing)}. There are: {', '.join(known)}.")
    return tuple(known[name] for name in dict.fromkeys(names)) or tuple(known.values())


def parse_rubric(text: str, where: str) -> Rubric:
    """Read the text of a file. Raises RubricError naming the file and the field."""
    try:
        return Rubric.model_validate(yaml.safe_load(text))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, fault['loc'])) or 'the file'}: {fault['msg']}" for fault in error.errors()[:5])
        raise RubricError(f"{where} is no rubric: {faults}. docs/judge.md shows one.") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark: Any = getattr(error, "problem_mark", None)
        place = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
        raise RubricError(f"{where}{place} cannot be read as YAML.") from error


def _shipped() -> Iterator[Rubric]:
    for file in sorted(resources.files(__package__).joinpath("rubrics").iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yaml"):
            yield parse_rubric(file.read_text("utf-8"), file.name)


def _own(folder: Path | None) -> Iterator[Rubric]:
    if folder is None:
        return
    if not folder.is_dir():
        raise RubricError(f"There is no folder {folder} for rubrics: make it, or change LLMTOWER_JUDGE__RUBRICS_DIR.")
    for path in sorted(folder.glob("*.y*ml")):
        try:
            if path.stat().st_size > MAX_BYTES:
                raise RubricError(f"{path} is larger than {MAX_BYTES >> 10} KiB.")
            text = path.read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise RubricError(f"{path} cannot be read ({type(error).__name__}).") from error
        yield parse_rubric(text, str(path))
