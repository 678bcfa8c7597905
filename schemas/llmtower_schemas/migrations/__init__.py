"""Numbered, checksummed SQL migrations: read them in order, they say why."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

_END = re.compile(r";\s*$", re.MULTILINE)
_NAME = re.compile(r"^(\d{4})_([a-z0-9_]+)\.sql$")
_TABLE = re.compile(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)\n\(\n(.*?)\n\)\nENGINE", re.DOTALL)
_OPTIONS = r"(?: DEFAULT .*?)?(?: CODEC\(.*\))?(?: COMMENT '.*')?(?: AFTER \w+| FIRST)?"
_COLUMN = re.compile(rf"^ {{4}}([a-z_]\w*) ([A-Z].*?){_OPTIONS},?$", re.MULTILINE)
_ADDED = re.compile(rf"^ALTER TABLE (\w+)\s+ADD COLUMN (?:IF NOT EXISTS )?(\w+) ([A-Z].*?){_OPTIONS}$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its number, its name and its statements."""

    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        """Give the SHA-256 of the text, in hex."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def statements(self, *, replicated: bool = False) -> list[str]:
        """Split at each semicolon that ends a line; `replicated` rewrites engines and windows for a server with Keeper."""
        text = "\n".join(line for line in self.sql.splitlines() if not line.lstrip().startswith("--"))
        parts = [part.strip() for part in _END.split(text) if part.strip()]
        return [_replicate(part) for part in parts] if replicated else parts


def migrations() -> list[Migration]:
    """Give all migrations in order. Raises ValueError when the numbers are not 1, 2, 3 …"""
    found = []
    for entry in resources.files(__package__).iterdir():
        match = _NAME.match(entry.name)
        if match:
            found.append(Migration(int(match[1]), match[2], entry.read_text("utf-8")))
    found.sort(key=lambda migration: migration.number)
    if [migration.number for migration in found] != list(range(1, len(found) + 1)):
        raise ValueError("migrations are not numbered 1, 2, 3 … without gaps")
    return found


@cache
def column_types() -> Mapping[str, Mapping[str, str]]:
    """Give the types of the columns of every table, as the migrations create it; a column is added by an ALTER TABLE of its own."""
    return read_columns([migration.sql for migration in migrations()])


def read_columns(scripts: Sequence[str]) -> Mapping[str, Mapping[str, str]]:
    """Read the tables and columns that scripts make."""
    tables = {name: dict(_COLUMN.findall(body)) for sql in scripts for name, body in _TABLE.findall(sql)}
    for table, name, of in (added for sql in scripts for added in _ADDED.findall(sql.replace(";", ""))):
        tables[table][name] = of
    return tables


def _replicate(statement: str) -> str:
    """A week of seconds: deduplication on a server forgets by time as well as by count."""
    statement = re.sub(r"ENGINE = (\w*MergeTree)", r"ENGINE = Replicated\1", statement)
    return statement.replace(
        "non_replicated_deduplication_window = 100000",
        "replicated_deduplication_window = 100000, replicated_deduplication_window_seconds = 604800",
    )
