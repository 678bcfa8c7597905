"""Edge: build a version. Rows are written under a build's id; they are a dataset only once a manifest names it."""

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.datasets.clean import Redact, cleaned, is_text, marks, spoken
from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.near import Seen, text_hash
from llmtower_processors.datasets.question import Question
from llmtower_processors.datasets.reading import PAGE, Found, count, pages
from llmtower_schemas.datasets import Counts

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

BLOCK: Final = 2_000
"""Rows of an insert."""
MOST: Final = 10_000_000
MOST_NEAR: Final = 200_000
"""Items of a dataset that is searched for similar texts: 2 kB of memory each."""
Progress = Callable[[int, int], None]
"""Told how many of how many rows are there."""


@dataclass(frozen=True, slots=True)
class Target:
    """Whose rows they are."""

    project: str
    name: str
    build_id: str


@dataclass(slots=True)
class Built:
    """What a build came to."""

    counts: Counts
    redactions: Counter[str] = field(default_factory=Counter)
    sha256: str = ""


class _Build:
    """One build under way: rows waiting for their insert, and counts so far."""

    def __init__(self, client: "Client", question: Question, target: Target, redact: Redact) -> None:
        self._client, self._question, self._target, self._redact = client, question, target, redact
        self._seen = Seen(question.near)
        self._rows: list[dict[str, Any]] = []
        self._hash = hashlib.sha256()
        self.read = self.without_text = self.equal = self.similar = self.kept = 0
        self.redactions: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        return self.kept >= self._question.size

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def add(self, found: Found) -> None:
        """Keep a call, unless its text is missing or was there before."""
        self.read += 1
        if not is_text(found.input) or not (is_text(found.output) or found.correction):
            self.without_text += 1
            return
        texts = [cleaned(text, self._redact) for text in (found.input, found.output, found.correction, found.parameters)]
        given, answer, correction, parameters = texts
        if self._seen.equal(text_hash(given, answer, correction)):
            self.equal += 1
        elif self._seen.similar(spoken(given, answer)):
            self.similar += 1
        else:
            self._keep(found, {"input": given, "output": answer, "correction": correction, "parameters": parameters})

    def _keep(self, found: Found, texts: dict[str, str]) -> None:
        redacted = marks(*texts.values())
        digest = hashlib.blake2b(
            "\x1f".join((texts["input"], texts["output"], texts["correction"])).encode("utf-8", "replace"), digest_size=16
        ).digest()
        self.redactions += redacted
        self._hash.update(digest)
        row = {**found.call, **texts, "item_hash": digest, "position": self.kept, "feedback": found.feedback}
        self._rows.append(row | {"redactions": min(redacted.total(), 65_535)})
        self.kept += 1
        if len(self._rows) >= BLOCK:
            self.flush()

    def flush(self) -> None:
        """Insert what waits."""
        if not self._rows:
            return
        target = self._target
        head = {"project": target.project, "dataset": target.name, "build_id": uuid.UUID(target.build_id)}
        names = list(self._rows[0])
        columns = [[value] * len(self._rows) for value in head.values()] + [[row[name] for row in self._rows] for name in names]
        token = f"dataset:{target.build_id}:{self._rows[0]['position']}"
        settings = {"insert_deduplication_token": token, "async_insert": 0}
        self._client.insert("dataset_items", columns, [*head, *names], column_oriented=True, settings=settings)
        self._rows.clear()


def check_size(question: Question) -> None:
    """Refuse what does not fit into memory. Raises DatasetError."""
    most = MOST_NEAR if question.near else MOST
    if not 1 <= question.size <= most:
        more = " With --near 0 similar texts are not searched for, and 10,000,000 are allowed." if question.near else ""
        raise DatasetError(f"--size is {question.size:,}; 1 to {most:,} are allowed.{more}")


def matching(client: "Client", question: Question) -> tuple[int, int]:
    """Count the calls of the span and those asked for. Raises DatasetError where nothing or everything is asked for."""
    check_size(question)
    whole, matched = count(client, question)
    if not whole:
        raise DatasetError(
            f"Project {question.project} has no call between {question.start:%Y-%m-%d %H:%M} and {question.end:%Y-%m-%d %H:%M} UTC."
        )
    if not matched:
        raise DatasetError(f"None of the {whole:,} calls of the span is as you ask. Ask for less, or look further back with --last.")
    if not question.chance and (not question.narrows or (matched == whole and question.condition)):
        raise DatasetError(
            f"This asks for every one of the {whole:,} calls of the span. Narrow it, or say that a random part is meant: --random"
        )
    return whole, matched


def build(client: "Client", question: Question, target: Target, *, redact: Redact, progress: Progress = lambda *_: None) -> Built:
    """Write the rows of a version; the client writes and reads texts. When it fails, what it wrote is deleted. Raises DatasetError."""
    whole, matched = matching(client, question)
    made = _Build(client, question, target, redact)
    wanted = min(question.size, matched)
    try:
        _fill(made, pages(client, question, min(PAGE, question.size + question.size // 4 + 100)), lambda: progress(made.kept, wanted))
        made.flush()
        if not made.kept:
            raise DatasetError(
                f"None of the {matched:,} calls found has a text: is content captured (LLMTOWER_CAPTURE), and not yet expired?"
            )
    except BaseException:
        forget(client, target.build_id)
        raise
    counts = Counts(
        in_span=whole, matched=matched, read=made.read, without_text=made.without_text,
        exact_duplicates=made.equal, near_duplicates=made.similar, kept=made.kept,
    )  # fmt: skip
    return Built(counts, made.redactions, made.sha256)


def _fill(made: _Build, found: Any, told: Callable[[], None]) -> None:
    for page in found:
        for one in page:
            made.add(one)
            if made.full:
                return
        told()


def forget(client: "Client", build_id: str) -> None:
    """Delete the rows of a build."""
    client.command("DELETE FROM dataset_items WHERE build_id = {build:UUID}", parameters={"build": build_id})


def left_over(client: "Client", name: str, known: Sequence[str]) -> list[str]:
    """Give the builds of a name that no manifest knows and that began more than a day ago (their ids are UUIDv7): they were interrupted."""
    rows = client.query(
        "SELECT DISTINCT toString(build_id) FROM dataset_items WHERE dataset = {name:String}"
        " AND toString(build_id) NOT IN {known:Array(String)} AND UUIDv7ToDateTime(build_id) < now() - INTERVAL 1 DAY",
        parameters={"name": name, "known": list(known)},
    ).result_rows
    return [str(build_id) for (build_id,) in rows]
