"""Datasets: each is a chain `dataset/<name>` of the registry, its entries' numbers are its versions; rows are in `dataset_items`.

A version is what its manifest says: rows of a build that has no manifest (it was interrupted) belong to nothing.
"""

import re
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from llmtower_schemas.chains import Entry

PREFIX: Final = "dataset/"
ERASURE: Final = "erasure/"
"""Chains of what was erased from a dataset's rows, whatever their version."""
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_REFERENCE: Final = re.compile(rf"({NAME.pattern})(?:@(\d{{1,9}}))?")


class Counts(BaseModel):
    """What became of the calls that were looked at; whole numbers of calls."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    in_span: int = Field(0, ge=0)
    """Calls of the span and project."""
    matched: int = Field(0, ge=0)
    """Of them, what the question asks for."""
    read: int = Field(0, ge=0)
    """Of them, how many were looked at before the dataset was full, in an order drawn by chance."""
    without_text: int = Field(0, ge=0)
    exact_duplicates: int = Field(0, ge=0)
    near_duplicates: int = Field(0, ge=0)
    kept: int = Field(0, ge=0)


class Manifest(BaseModel):
    """One version of a dataset: where it comes from, what was left out, and what it holds, without any of its text."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    name: str = Field(pattern=rf"^{NAME.pattern}$")
    version: int = Field(ge=1)
    build_id: str = Field(min_length=1, max_length=64)
    """What its rows are found by."""
    project: str = "default"
    created_at_us: int = Field(ge=0)
    by: str = Field("", max_length=256)
    note: str = Field("", max_length=2_000)
    question: dict[str, str] = Field(default_factory=dict)
    """The options it was built with, as they were given."""
    start_us: int = Field(ge=0)
    end_us: int = Field(ge=0)
    counts: Counts = Counts()
    redactions: dict[str, int] = Field(default_factory=dict)
    """Kind of mark and how often it stands in the rows."""
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    """Of the rows' own hashes in their order: the same rows, the same hash."""

    @property
    def reference(self) -> str:
        """How people name it: `name@version`."""
        return f"{self.name}@{self.version}"


class Erasure(BaseModel):
    """Texts of rows were emptied, since somebody must be forgotten; never whose."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    dataset: str = Field(min_length=1, max_length=120)
    rows: int = Field(ge=0)
    by: str = Field("", max_length=256)
    note: str = Field("", max_length=2_000)


def read_erasure(entry: Entry) -> Erasure | None:
    """Read an entry of a chain of erasures; None for what this version does not understand."""
    try:
        return Erasure.model_validate_json(entry.value)
    except ValidationError:
        return None


def read_reference(text: str) -> tuple[str, int | None]:
    """Read `name` or `name@version`. Raises ValueError, which says what may stand there."""
    found = _REFERENCE.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} names no dataset. Write NAME or NAME@VERSION: letters, digits, '.', '_' and '-', say failures@3")
    return found[1], int(found[2]) if found[2] else None


def encode_manifest(manifest: Manifest) -> bytes:
    """Write the value of its entry."""
    return manifest.model_dump_json().encode()


def chain_of(name: str) -> str:
    """Give the name of a dataset's chain."""
    return f"{PREFIX}{name}"


def read_manifest(entry: Entry) -> Manifest | None:
    """Read an entry of a dataset's chain; None for what this version does not understand."""
    try:
        found = Manifest.model_validate_json(entry.value)
    except ValidationError:
        return None
    return found if (chain_of(found.name), found.version) == (entry.chain, entry.number) else None
