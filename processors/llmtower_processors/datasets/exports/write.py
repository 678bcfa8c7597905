"""Edge: write an export, page by page, beside its file; when it is whole and right it takes the file's place.

`FILE.part` grows, `FILE.part.json` says how far it is (written after the page is on disk); an export that was interrupted goes on there.
"""

import csv
import io
import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.exports import arrow
from llmtower_processors.datasets.exports.examples import Item, Unusable
from llmtower_processors.datasets.exports.formats import FORMS, line
from llmtower_schemas.datasets import Manifest

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

PAGE: Final = 5_000
FORMATS: Final = (*FORMS, "csv", "parquet")
_FLAT: Final = ("position", "call_id", "app", "request_model", "prompt_name", "prompt_version", "started_at", "feedback")
_TEXTS: Final = ("input", "output", "correction")
_PAGE: Final = """
SELECT {columns}, {rejected} AS rejected
FROM dataset_items AS items {pairs}
WHERE dataset = {{name:String}} AND build_id = {{build:UUID}} AND position >= {{first:UInt32}}
ORDER BY position LIMIT {{page:UInt32}}
"""
_PAIRS: Final = """
LEFT JOIN
(
    SELECT cityHash64(input) AS asked, argMin(output, (feedback, position)) AS rejected FROM dataset_items
    WHERE dataset = {name:String} AND build_id = {build:UUID} AND feedback < 0 AND cityHash64(input) IN
    (
        SELECT cityHash64(input) FROM dataset_items WHERE dataset = {name:String} AND build_id = {build:UUID} AND feedback > 0
            AND position >= {first:UInt32} ORDER BY position LIMIT {page:UInt32}
    )
    GROUP BY asked
) AS bad ON bad.asked = cityHash64(items.input)
"""
_ERASED: Final = """
SELECT countIf(item_hash = toFixedString('', 16)) FROM dataset_items WHERE dataset = {name:String} AND build_id = {build:UUID}
"""
Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class State:
    """How far an export is; `sha256`, `format` and how many rows are `erased` say of what."""

    sha256: str
    format: str
    erased: int = 0
    position: int = 0
    bytes: int = 0
    lines: int = 0
    skipped: dict[str, int] = field(default_factory=dict)


def export(client: "Client", manifest: Manifest, form: str, out: Path, *, progress: Progress = lambda *_: None, page: int = PAGE) -> State:
    """Write a version to a file and give what became of it. Raises DatasetError; then a file that was there is as it was."""
    if form not in FORMATS:
        raise DatasetError(f"{form!r} is no format; there are {', '.join(FORMATS)}.")
    if not out.parent.is_dir():
        raise DatasetError(f"There is no folder {out.parent}.")
    try:
        state = _Pages(client, manifest, out, page).write(form, progress)
    except OSError as error:
        raise DatasetError(f"Cannot write {out}: {error.strerror}. What is there goes on when you repeat the command.") from error
    return state


@dataclass(frozen=True, slots=True)
class _Pages:
    client: "Client"
    manifest: Manifest
    out: Path
    page: int

    def write(self, form: str, progress: Progress) -> State:
        part, book = self.out.with_name(f"{self.out.name}.part"), self.out.with_name(f"{self.out.name}.part.json")
        state = _resumed(book, part, State(self.manifest.sha256, form, self._erased()))
        with part.open("r+b" if state.bytes else "wb") as file:
            file.truncate(state.bytes)
            file.seek(state.bytes)
            if not state.bytes:
                file.write(_head(form))
            for items in items_of(self.client, self.manifest, state.position, self.page):
                state = _written(file, items, state)
                file.flush()
                os.fsync(file.fileno())
                state = replace(state, bytes=file.tell(), position=items[-1].position + 1)
                _keep(book, state)
                progress(state.position, self.manifest.counts.kept)
        _check(self.manifest, form, state)
        whole = part
        if form == "parquet":
            whole = part.with_name(f"{part.name}.parquet")
            arrow.to_parquet(part, whole)
        whole.replace(self.out)
        book.unlink(missing_ok=True)
        part.unlink(missing_ok=True)
        return replace(state, bytes=self.out.stat().st_size)

    def _erased(self) -> int:
        values = {"name": self.manifest.name, "build": self.manifest.build_id}
        return int(self.client.query(_ERASED, parameters=values).result_rows[0][0])


def items_of(client: "Client", manifest: Manifest, first: int = 0, page: int = PAGE) -> Iterator[list[Item]]:
    """Give the rows of a version from a position on, in their order, a page at a time."""
    columns = ", ".join(f"items.{name} AS {name}" for name in (*_FLAT, *_TEXTS))
    rejected = "if(items.feedback > 0 AND items.correction = '', bad.rejected, '')"
    sql = _PAGE.format(columns=columns, rejected=rejected, pairs=_PAIRS)
    values: dict[str, Any] = {"name": manifest.name, "build": manifest.build_id, "page": page}
    while rows := client.query(sql, parameters=values | {"first": first}).result_rows:
        items = [Item(row[0], str(row[1]), *row[2:]) for row in rows]
        first = items[-1].position + 1
        yield items


def _head(form: str) -> bytes:
    if form == "csv":
        return _csv([(*_FLAT, *_TEXTS)])
    return arrow.head() if form == "parquet" else b""


def _written(file: Any, items: list[Item], state: State) -> State:
    if state.format == "parquet":
        file.write(arrow.batch(items))
        return replace(state, lines=state.lines + len(items))
    if state.format == "csv":
        file.write(_csv([tuple(getattr(item, name) for name in (*_FLAT, *_TEXTS)) for item in items]))
        return replace(state, lines=state.lines + len(items))
    skipped, lines = Counter(state.skipped), []
    for item in items:
        try:
            lines.append(orjson.dumps(line(FORMS[state.format], item)))
        except Unusable as reason:
            skipped[str(reason)] += 1
    file.writelines(one + b"\n" for one in lines)
    return replace(state, lines=state.lines + len(lines), skipped=dict(skipped))


def _check(manifest: Manifest, form: str, state: State) -> None:
    if state.position < manifest.counts.kept:
        there = f"{manifest.reference} should have {manifest.counts.kept:,} rows, ClickHouse gave {state.position:,}"
        raise DatasetError(f"{there}: is this the ClickHouse where it was built?")
    least = FORMS[form].least if form in FORMS else 0
    if state.lines < least:
        why = "; ".join(f"{count:,} x {reason}" for reason, count in sorted(state.skipped.items()))
        raise DatasetError(f"{state.lines} of {manifest.counts.kept:,} rows can be written as {form}, it needs {least} at least. {why}")


def _csv(rows: list[tuple[Any, ...]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def _resumed(book: Path, part: Path, fresh: State) -> State:
    """Give how far an earlier try of the same export came, or the beginning where that cannot be told."""
    try:
        found = State(**orjson.loads(book.read_bytes()))
        there = part.stat().st_size
    except (OSError, TypeError, orjson.JSONDecodeError):
        return fresh
    same = (found.sha256, found.format, found.erased) == (fresh.sha256, fresh.format, fresh.erased)
    return found if same and there >= found.bytes else fresh


def _keep(book: Path, state: State) -> None:
    beside = book.with_name(f"{book.name}.new")
    beside.write_bytes(orjson.dumps(asdict(state)))
    beside.replace(book)
