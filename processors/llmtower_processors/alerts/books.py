"""The tables follow the journal: every record's rows once, in order, whatever happens to ClickHouse in between."""

from collections import deque
from typing import Final

from llmtower_processors.alerts.journal import Page
from llmtower_processors.alerts.rows import SilenceRecord, page_blocks, page_token, silence_block
from llmtower_processors.alerts.tables import Tables
from llmtower_processors.runtime.model import Block
from llmtower_schemas import topics
from llmtower_schemas.queries import Query

_FLOOR: Final = {
    table: Query(f"SELECT incarnation, max(kafka_offset) FROM {table} GROUP BY incarnation", {})  # noqa: S608 - names from this literal
    for table in ("alert_events", "alert_sends", "silence_events")
}


class Books:
    """Rows that wait for ClickHouse. What a table has already is left out: one leader writes, so it has all up to its highest offset."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._waiting: deque[tuple[int, str, Block, str]] = deque()
        self._floors: dict[tuple[str, str], int] | None = None

    @property
    def waiting(self) -> int:
        """Rows that are not written yet."""
        return sum(block.rows for _, _, block, _ in self._waiting)

    def add(self, page: Page) -> None:
        """Take over one record of the journal."""
        token = page_token(page, topics.ALERTS)
        self._waiting.extend((page.offset, page.incarnation, block, token) for block in page_blocks(page))

    def add_silence(self, record: SilenceRecord) -> None:
        """Take over one version of a silence."""
        self._waiting.append((record.offset, record.incarnation, silence_block(record), page_token(record, topics.REGISTRY)))

    def write(self) -> None:
        """Write all that waits. Blocks. Raises Unreachable; what was written then waits no longer."""
        if not self._waiting:
            return
        if self._floors is None:
            rows = {table: self._tables.ask(query)[1] for table, query in _FLOOR.items()}
            self._floors = {(table, str(incarnation)): int(top) for table, found in rows.items() for incarnation, top in found}
        while self._waiting:
            offset, incarnation, block, token = self._waiting[0]
            if offset > self._floors.get((block.table, incarnation), -1):
                self._tables.insert(block, token)
            self._waiting.popleft()
