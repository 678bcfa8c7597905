"""Ask ClickHouse for a panel's answer. Edge: the only place of this package that talks to it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from llmtower_dashboards.completeness import COMPLETENESS_SQL, Completeness
from llmtower_dashboards.macros import Frame, MacroError, expand, literal
from llmtower_dashboards.panel import Column, Panel, Variable

if TYPE_CHECKING:
    from clickhouse_connect.driver.asyncclient import AsyncClient

TIMEOUT_S: Final = 15.0
AT_ONCE: Final = 8
COMPLETENESS_S: Final = 2.0
"""For so long one answer about completeness serves all panels of a page."""
_KEPT: Final = 64


class AskError(Exception):
    """A panel has no answer; the message says what failed and what to do, without any value of the query."""

    def __init__(self, message: str, *, retriable: bool) -> None:
        super().__init__(message)
        self.retriable = retriable


@dataclass(frozen=True, slots=True)
class Answer:
    """What a panel shows: its columns, and rows in their order (times aware, UTC). How complete they are: `Asker.completeness`."""

    columns: tuple[Column, ...]
    rows: Sequence[Sequence[Any]]
    elapsed_ms: float
    sql: str
    """As people may run it by hand."""


class Asker:
    """Asks in parallel over one connection pool; an async context manager.

    `options` are those of `clickhouse_connect.get_async_client` (`ClickHouseSettings.client_options()`), of a reading role.
    """

    def __init__(self, options: Mapping[str, Any], *, timeout_s: float = TIMEOUT_S, at_once: int = AT_ONCE) -> None:
        self._options = dict(options)
        self._timeout_s = timeout_s
        self._places = asyncio.Semaphore(at_once)
        self._client: AsyncClient | None = None
        self._opening = asyncio.Lock()
        self._completeness: OrderedDict[tuple[Any, ...], tuple[float, asyncio.Task[Completeness | None]]] = OrderedDict()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Give the connections back."""
        tasks = [task for _, task in self._completeness.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._completeness.clear()
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    async def ask(self, panel: Panel, frame: Frame) -> Answer:
        """Give a panel's answer for a frame. Raises AskError."""
        names, rows, elapsed_ms = await self._run(panel.sql, frame, f"Panel {panel.title!r}")
        if (names or rows) and names != tuple(column.name for column in panel.columns):  # an answer without a row may come without names
            raise AskError(f"Panel {panel.title!r} answers with other columns than it declares: a bug, please report it.", retriable=False)
        return Answer(panel.columns, rows, elapsed_ms, literal(panel.sql, frame))

    async def values(self, variable: Variable, frame: Frame) -> list[str]:
        """List the values of a variable in a frame, under the choices already made. Raises AskError."""
        if not variable.sql:
            return []
        _, rows, _ = await self._run(variable.sql, frame, f"The list of {variable.title.lower()}s")
        return [str(row[0]) for row in rows]

    async def completeness(self, frame: Frame) -> Completeness | None:
        """Say how complete a frame is; None when that cannot be told."""
        return await asyncio.shield(self._complete(frame))

    def _complete(self, frame: Frame) -> asyncio.Task[Completeness | None]:
        chosen = tuple((name, tuple(frame.variables.get(name, ()))) for name in ("project", "environment", "app"))
        key = (frame.start, frame.end, chosen)
        now = time.monotonic()
        known = self._completeness.get(key)
        if known is not None and now - known[0] < COMPLETENESS_S:
            return known[1]
        task = asyncio.ensure_future(self._ask_completeness(frame))
        self._completeness[key] = (now, task)
        if len(self._completeness) > _KEPT and next(iter(self._completeness.values()))[1].done():
            self._completeness.popitem(last=False)
        return task

    async def _ask_completeness(self, frame: Frame) -> Completeness | None:
        """A figure is worth more than the remark beside it: without an answer there is no remark."""
        try:
            _, rows, _ = await self._run(COMPLETENESS_SQL, frame, "Completeness")
        except AskError:
            return None
        emitted, dropped, spooled, waiting, watermark, behind_s, silent, lag = rows[0]
        return Completeness(
            int(emitted or 0), int(dropped or 0), int(spooled or 0), int(waiting or 0), watermark, behind_s, int(silent or 0), int(lag or 0)
        )

    async def _run(self, sql: str, frame: Frame, what: str) -> tuple[tuple[str, ...], Sequence[Sequence[Any]], float]:
        """Give the names of the columns, the rows, and the milliseconds of the query alone."""
        from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

        try:
            query = expand(sql, frame)
            async with self._place(what), asyncio.timeout(self._timeout_s):
                client = await self._connected()
                settings = {"max_execution_time": int(self._timeout_s) + 1}
                begun = time.perf_counter()
                result = await client.query(query.sql, parameters=dict(query.parameters), settings=settings)
        except MacroError as error:
            raise AskError(f"{what} cannot be asked: {error}", retriable=False) from error
        except TimeoutError as error:
            raise AskError(f"{what} took longer than {self._timeout_s:g} s. Choose a shorter range or a filter.", retriable=True) from error
        except OperationalError as error:
            raise AskError(
                f"{what} cannot be asked: ClickHouse at {self._where()} does not answer. Is it running?", retriable=True
            ) from error
        except ClickHouseError as error:
            raise AskError(f"{what} failed: {_reason(error)}", retriable=_retriable(error)) from error
        return tuple(result.column_names), result.result_rows, (time.perf_counter() - begun) * 1e3

    @asynccontextmanager
    async def _place(self, what: str) -> AsyncIterator[None]:
        """One of the places at the engine; waiting for it is not the question's fault."""
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._places.acquire()
        except TimeoutError as error:
            said = (
                f"{what} waited {self._timeout_s:g} s for its turn: ClickHouse is busy with other questions. Wait, or look at fewer panels."
            )
            raise AskError(said, retriable=True) from error
        try:
            yield
        finally:
            self._places.release()

    async def _connected(self) -> "AsyncClient":
        async with self._opening:
            if self._client is None:
                import clickhouse_connect

                options = {"autogenerate_session_id": False, "query_retries": 0, "tz_mode": "aware", **self._options}
                self._client = await clickhouse_connect.get_async_client(**options)
            return self._client

    def _where(self) -> str:
        return f"{self._options.get('host')}:{self._options.get('port')}"


_SENTENCES: Final = {
    60: "a table is missing. Run `llmtower migrate`.",
    81: "the database is missing. Run `llmtower migrate`.",
    47: "a column is missing. Run `llmtower migrate`; the tables are of another version.",
    159: "it took too long. Choose a shorter range or a filter.",
    160: "it took too long. Choose a shorter range or a filter.",
    241: "it needs more memory than a reader may have. Choose a shorter range or a filter.",
    252: "the server is busy. It is asked again.",
    202: "the server is busy. It is asked again.",
    497: "this reader may not see that. Ask whoever runs Llmtower for the `content` scope.",
    516: "ClickHouse refused the password. Check LLMTOWER_CLICKHOUSE__USER and LLMTOWER_CLICKHOUSE__PASSWORD.",
}
"""ClickHouse's error codes, as what to do."""
_RETRIABLE: Final = frozenset({159, 160, 202, 241, 252})


def _code(error: Exception) -> int:
    code = getattr(error, "code", None)
    return code if isinstance(code, int) else 0


def _retriable(error: Exception) -> bool:
    return _code(error) in _RETRIABLE


def _reason(error: Exception) -> str:
    code = _code(error)
    return _SENTENCES.get(code, f"ClickHouse answered with error {code or 'unknown'}. `llmtower doctor` may know more.")
