"""The evaluator's face to ClickHouse: questions that can only read, rows under tokens."""

import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol

import clickhouse_connect
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError

from llmtower_processors.errors import LlmtowerError, Unreachable, root
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.edges import EdgeError
from llmtower_processors.runtime.model import Block
from llmtower_schemas.queries import Query

TIMEOUT_S: Final = 10
PATIENT_S: Final = 300
"""For questions about the past."""
_READ: Final[Mapping[str, Any]] = {"readonly": 2, "max_threads": 2}

Rows = Sequence[Sequence[Any]]


class QuestionRefusedError(LlmtowerError):
    """ClickHouse answers, but not this question."""

    def __init__(self, message: str, *, word: str = "", position: int | None = None) -> None:
        """`word` of the question is not known there; at `position` (from 0) it cannot be read."""
        super().__init__(message)
        self.word = word
        self.position = position


_UNKNOWN_NAME: Final = (16, 46, 47, 60)
"""Codes of a column, a function, an identifier or a table that is not there."""
_NAMED: Final = re.compile(r"DB::Exception: [^.]*?[`']([^`']+)[`']")
_PLACED: Final = re.compile(r"DB::Exception: Syntax error[^:]*: failed at position (\d+)")


def refusal(code: int, name: str, said: str, sql: str) -> QuestionRefusedError:
    """Say of an answer what it is about. Of its text only a word that the question holds itself: all else may be data."""
    sentence = f"ClickHouse refuses the question: error {code} {name}".rstrip()
    named, placed = _NAMED.search(said), _PLACED.search(said)
    if code in _UNKNOWN_NAME and named and named[1] in sql:
        return QuestionRefusedError(f"{sentence} ({named[1]})", word=named[1])
    if placed:
        position = len(sql.encode()[: int(placed[1]) - 1].decode(errors="ignore"))  # it counts bytes
        near = re.match(r"\w+|\S", sql[position:])
        return QuestionRefusedError(f"{sentence} (at {near[0]!r})" if near else f"{sentence} (at its end)", position=position)
    return QuestionRefusedError(sentence)


class Tables(Protocol):
    """The tables. Methods block and may be called from several threads."""

    def ask(self, query: Query) -> tuple[Sequence[str], Rows]:
        """Give names of columns and rows. Raises Unreachable, QuestionRefusedError."""

    def insert(self, block: Block, token: str) -> None:
        """Insert once per token. Raises Unreachable."""


class MemoryTables:
    """Tables in memory: tokens count as they do in ClickHouse; questions about figures are answered by `answer`."""

    def __init__(self, answer: Callable[[Query], tuple[Sequence[str], Rows]]) -> None:
        self._answer = answer
        self._tokens: set[tuple[str, str]] = set()
        self.rows: dict[str, list[dict[str, Any]]] = {}
        self.away = False
        """True: as if ClickHouse were down."""

    def ask(self, query: Query) -> tuple[Sequence[str], Rows]:
        """Answer; of its own rows it knows the highest offset."""
        self._here()
        floor = re.match(r"SELECT incarnation, max\(kafka_offset\) FROM (\w+)", query.sql)
        if floor is None:
            return self._answer(query)
        tops: dict[str, int] = {}
        for row in self.rows.get(floor[1], ()):
            tops[row["incarnation"]] = max(row["kafka_offset"], tops.get(row["incarnation"], -1))
        return ["incarnation", "top"], list(tops.items())

    def insert(self, block: Block, token: str) -> None:
        """Keep the rows, once per token."""
        self._here()
        if (block.table, token) not in self._tokens:
            self._tokens.add((block.table, token))
            names = list(block.columns)
            self.rows.setdefault(block.table, []).extend(
                dict(zip(names, row, strict=True)) for row in zip(*block.columns.values(), strict=True)
            )

    def _here(self) -> None:
        if self.away:
            raise Unreachable("ClickHouse does not answer (it is told not to).")


class ClickHouseTables:
    """The tables in ClickHouse: one client per thread. `options` are those of `clickhouse_connect.get_client`."""

    def __init__(self, options: Mapping[str, Any], *, timeout_s: int = TIMEOUT_S) -> None:
        """`timeout_s`: of one question; the evaluator has rounds to keep, who asks about a month has not."""
        self._settings = {**_READ, "max_execution_time": timeout_s}
        self._options = {**options, "query_retries": 0, "connect_timeout": 5, "send_receive_timeout": timeout_s + 5}
        self._options["autogenerate_session_id"] = False
        self._store = ClickHouseStore(options)
        self._local = threading.local()

    def ask(self, query: Query) -> tuple[Sequence[str], Rows]:
        """Run one query read-only."""
        try:
            answer = self._client().query(query.sql, parameters=dict(query.parameters), settings=self._settings)
        except ClickHouseError as error:
            code = getattr(error, "code", None)
            if not code:
                raise Unreachable(f"ClickHouse does not answer ({root(error)}).") from error
            raise refusal(code, getattr(error, "name", "") or "", str(error), query.sql) from error
        except OSError as error:
            raise Unreachable(f"ClickHouse does not answer ({root(error)}).") from error
        return list(answer.column_names), answer.result_rows

    def insert(self, block: Block, token: str) -> None:
        """Insert through the runtime's own store."""
        try:
            self._store.insert(block, token)
        except EdgeError as error:
            raise Unreachable(f"ClickHouse did not take rows of alerts: {error}") from error

    def _client(self) -> Client:
        client: Client | None = getattr(self._local, "client", None)
        if client is None:
            client = self._local.client = clickhouse_connect.get_client(**self._options)
        return client
