"""Start-up repair of deduplication logs (DESIGN section 4, rule 7), on files, before the engine opens them.

The embedded engine appends `1 <part> <block id>` to a table's log and then renames the part into place. Killed between the two it would
drop the replay of a block that it never stored. `2 <part> <block id>` records that a dropped part's block is forgotten.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LOG_NAME: Final = re.compile(r"deduplication_log_(\d+)\.txt")
_PART_NAME: Final = re.compile(r"(?P<partition>[^_]+)_(?P<low>\d+)_(?P<high>\d+)_(?P<level>\d+)(?:_(?P<mutation>\d+))?")
_ADD: Final = "1"
_DROP: Final = "2"


@dataclass(frozen=True, slots=True)
class Part:
    """A part's place: its partition and the block numbers it holds."""

    partition: str
    low: int
    high: int

    def covers(self, other: "Part") -> bool:
        """True if this part holds every block of `other`."""
        return self.partition == other.partition and self.low <= other.low and self.high >= other.high


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a log; `line` counts from 0 within its file."""

    file: int
    line: int
    operation: str
    part: Part
    block_id: str


@dataclass(frozen=True, slots=True)
class Repair:
    """What was taken out of one table's log."""

    table: Path
    blocks: tuple[str, ...]
    torn_lines: int


def parse_part(name: str) -> Part | None:
    """Read a part's name; None for anything else (temporary, detached, format_version.txt)."""
    match = _PART_NAME.fullmatch(name)
    return None if match is None else Part(match["partition"], int(match["low"]), int(match["high"]))


def parse_line(line: str, *, file: int, number: int) -> Entry | None:
    """Read one line of a log; None if it is torn."""
    fields = line.split("\t")
    if len(fields) != 3 or fields[0] not in (_ADD, _DROP) or not fields[2]:
        return None
    part = parse_part(fields[1])
    return None if part is None else Entry(file, number, fields[0], part, fields[2])


def phantoms(entries: Sequence[Entry], parts: Iterable[Part]) -> list[Entry]:
    """The newest remembered blocks whose part was never put in place, up to the first one that was.

    Only the tail: further back a part may be gone for good reasons (merged and expired), and its block must stay remembered.
    """
    forgotten = {(entry.part, entry.block_id) for entry in entries if entry.operation == _DROP}
    stored = list(parts)
    found: list[Entry] = []
    for entry in reversed(entries):
        if entry.operation == _DROP or (entry.part, entry.block_id) in forgotten:
            continue
        if any(part.covers(entry.part) for part in stored):
            break
        found.append(entry)
    return found


def repair_table(table: Path) -> Repair | None:
    """Mend the logs of one table directory; None if nothing was wrong."""
    files = _log_files(table / "deduplication_logs")
    lines = [path.read_bytes().decode("utf-8", "replace").split("\n") for path in files]
    entries: list[Entry] = []
    torn: set[tuple[int, int]] = set()
    for file, content in enumerate(lines):
        for number, line in enumerate(content):
            entry = parse_line(line, file=file, number=number)
            unfinished = number == len(content) - 1
            if entry is not None and not unfinished:
                entries.append(entry)
            elif line or not unfinished:
                torn.add((file, number))
    stored = (part for child in table.iterdir() if child.is_dir() and (part := parse_part(child.name)) is not None)
    lost = phantoms(entries, stored)
    dropped = torn | {(entry.file, entry.line) for entry in lost}
    for file in sorted({file for file, _ in dropped}):
        kept = [line for number, line in enumerate(lines[file][:-1]) if (file, number) not in dropped]
        _replace(files[file], "".join(f"{line}\n" for line in kept))
    return Repair(table, tuple(entry.block_id for entry in lost), len(torn)) if dropped else None


def repair(data: Path) -> list[Repair]:
    """Mend every table below the engine's directory; the engine must not be running on it."""
    logs = sorted(data.glob("store/*/*/deduplication_logs"))
    return [done for log in logs if (done := repair_table(log.parent)) is not None]


def _log_files(folder: Path) -> list[Path]:
    numbered = ((_LOG_NAME.fullmatch(path.name), path) for path in folder.iterdir())
    return [path for _, path in sorted((int(match[1]), path) for match, path in numbered if match is not None)]


def _replace(path: Path, content: str) -> None:
    fresh = path.with_name(path.name + ".repair")
    with fresh.open("wb") as file:
        file.write(content.encode())
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
