"""Whether anything arrives. Without arrivals a figure changes only because its window moves on, and rules are asked less often."""

from typing import Final

from llmtower_processors.alerts.tables import QuestionRefusedError, Tables
from llmtower_schemas.queries import Query

SOURCES: Final = ("calls", "requests", "steps", "call_scores", "scores", "feedback", "deploys", "dead_letters")
"""The tables whose growth is news; what comes by the clock (heartbeats, watermarks, drift) is not."""
PACES: Final = ((60_000_000, 0), (600_000_000, 10_000_000), (3_600_000_000, 30_000_000), (1 << 62, 60_000_000))
"""(silence up to, rest between two looks at one rule), microseconds: watermarks and second looks follow within the first minute, after
an hour most windows are empty."""
_NEVER: Final = 0
_STORED: Final = "SELECT name, total_rows FROM system.tables WHERE database = currentDatabase() AND name IN {tables:Array(String)}"


class News:
    """Compares how much is stored with what was stored before; knows nothing at first, and takes what there is for news."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._stored: dict[str, int | None] = {}
        self._at_us = _NEVER

    def listen(self, now_us: int) -> None:
        """Look once, 2 ms of the engine's time. Raises Unreachable."""
        try:
            _, rows = self._tables.ask(Query(_STORED, {"tables": list(SOURCES)}))
            stored = {str(name): rows for name, rows in rows}
        except QuestionRefusedError:
            stored = {"calls": None}
        before, self._stored = self._stored or dict.fromkeys(stored, 0), stored
        if stored != before or None in stored.values():
            self._at_us = now_us
        self._at_us = min(self._at_us, now_us)

    def since(self, at_us: int) -> bool:
        """Whether anything has been seen to arrive after a time."""
        return self._at_us >= at_us

    def rest_us(self, now_us: int) -> int:
        """Give how long a rule may rest that nothing keeps awake, in microseconds."""
        silence = now_us - self._at_us
        return next(rest for most, rest in PACES if silence <= most)
