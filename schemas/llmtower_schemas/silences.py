"""Silences and acknowledgements: values of the compacted topic `llmtower.registry`, keyed `silence/<id>`, and rows of `silences`."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from llmtower_schemas.chains import RegistryRecord

PREFIX = "silence/"


class Silence(BaseModel):
    """Nobody is told of alerts that it covers, from its start until its end.

    kind `silence`: nothing is told but the end of what was told before. kind `acknowledge`: somebody is at it; no reminders,
    but a graver level and the end are told.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    silence_id: str = Field(min_length=1, max_length=128, pattern=r"^[A-Za-z0-9._:-]+$")
    kind: Literal["silence", "acknowledge"] = "silence"
    rule: str = Field("*", min_length=1, max_length=256)
    """Name of a rule; `*` and `?` stand for any text."""
    group: dict[str, str] = Field(default_factory=dict)
    """Values that an alert's group must have; empty = every group."""
    starts_at_us: int = Field(ge=0)
    ends_at_us: int = Field(ge=0)
    by: str = Field("", max_length=256)
    comment: str = Field("", max_length=2_000)
    deleted: bool = False

    @model_validator(mode="after")
    def _in_order(self) -> "Silence":
        if self.ends_at_us <= self.starts_at_us:
            raise ValueError("a silence must end after it starts")
        return self

    @property
    def key(self) -> str:
        """Its key in the topic."""
        return f"{PREFIX}{self.silence_id}"

    def covers(self, rule: str, group: Mapping[str, str], at_us: int) -> bool:
        """Say whether an alert is covered at a time: its start belongs to it, its end does not."""
        return (
            not self.deleted
            and self.starts_at_us <= at_us < self.ends_at_us
            and fnmatchcase(rule, self.rule)
            and all(group.get(name) == value for name, value in self.group.items())
        )


def encode_silence(silence: Silence) -> bytes:
    """Write the value of its record."""
    return silence.model_dump_json().encode()


def decode_silence(key: bytes | None, value: bytes | None) -> Silence | None:
    """Read a record of the registry; None when it is not a silence, or cannot be read. A record without a value deletes nothing here."""
    if key is None or value is None or not key.startswith(PREFIX.encode()):
        return None
    try:
        silence = Silence.model_validate_json(value)
    except ValidationError:
        return None
    return silence if silence.key.encode() == key else None


def newest_silence(silence_id: str, records: Iterable[RegistryRecord]) -> Silence | None:
    """Give the latest version of a silence among records of the registry, which may be its end; None if there is none."""
    key = f"{PREFIX}{silence_id}".encode()
    versions = [found for record in records if record.key == key and (found := decode_silence(record.key, record.value)) is not None]
    return versions[-1] if versions else None
