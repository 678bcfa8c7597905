"""How complete a range is: what producers say they emitted in it, and what of that has arrived. Shown beside every figure."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from llmtower_dashboards.panels.sql import END, OF_SCOPE, START, aliased, filters

BEFORE_S: Final = 30
"""A run that was alive before the range has been heard within so many seconds before it (heartbeats come every five)."""

RUNS_SQL: Final = f"""
    runs AS
    (
        SELECT project, producer, any(heartbeats.app) AS of_app,
            max(emitted) - maxIf(emitted, at < {START}) AS emitted_here,
            max(dropped) - maxIf(dropped, at < {START}) AS dropped_here,
            greatest(0, toInt64(argMax(spooled, (at, emitted))) - toInt64(argMaxIf(spooled, (at, emitted), at < {START}))) AS spooled_here,
            max(delivered) AS delivered_ever
        FROM heartbeats
        WHERE at >= {START} - toIntervalSecond({BEFORE_S}) AND at < {END} AND {filters(OF_SCOPE)}
        GROUP BY project, producer
        HAVING max(at) >= {START}
    ),
    books AS
    (
        SELECT producer, sum(events) AS stored_ever FROM
        (
            SELECT producer, toInt64(sum(count)) AS events FROM ledger
            WHERE processor IN ('calls', 'signals') AND duplicate = 0 AND producer IN (SELECT producer FROM runs)
            GROUP BY producer
            UNION ALL
            SELECT producer, -toInt64(count()) AS events FROM heartbeats WHERE producer IN (SELECT producer FROM runs) GROUP BY producer
        )
        GROUP BY producer
    )"""  # noqa: S608 - literals
"""The runs of producers that were alive in the range, and what is stored of each. The books of a run are cumulative, so the range's part is
a difference; what Kafka has acknowledged and the ledger does not have yet is waiting. Heartbeats are events too, but not in the books."""

EVENTS: Final = {
    "emitted": "sum(emitted_here)",
    "dropped": "sum(dropped_here)",
    "spooled": "sum(spooled_here)",
    "waiting": "sum(least(emitted_here, greatest(0, toInt64(delivered_ever) - stored_ever)))",
}
"""Over `runs LEFT JOIN books USING (producer)`: two short lists."""

COMPLETENESS_SQL: Final = f"""
WITH{RUNS_SQL},
    marks AS
    (
        SELECT project, argMax(watermark, at) AS watermark, argMax(silent_producers, at) AS silent, argMax(lag_records, at) AS lag
        FROM watermarks
        WHERE at >= {START} - toIntervalSecond(600) AND at < {END} + toIntervalSecond(3600)
            AND {filters(("project",))}
        GROUP BY project
    )
SELECT
    {aliased(EVENTS)},
    (SELECT if(count() = 0, NULL, min(watermark)) FROM marks) AS watermark,
    (
        SELECT if(count() = 0, NULL, greatest(0, dateDiff('millisecond', min(watermark), least(toDateTime64({END}, 3), now64(3))) / 1000))
        FROM marks
    ) AS behind_s,
    (SELECT sum(silent) FROM marks) AS silent_producers,
    (SELECT max(lag) FROM marks) AS lag_records
FROM runs LEFT JOIN books USING (producer)
"""  # noqa: S608 - literals
"""One row: the aggregates make one even without any run."""


@dataclass(frozen=True, slots=True)
class Completeness:
    """Events of the range, by what has become of them."""

    emitted: int
    dropped: int
    spooled: int
    """On a producer's disk; they may come yet."""
    waiting: int
    """In Kafka, not stored yet."""
    watermark: datetime | None
    """Everything that happened before is stored, as far as can be known."""
    behind_s: float | None
    """Seconds from the watermark to the end of the range (or now)."""
    silent_producers: int
    lag_records: int

    @property
    def share(self) -> float | None:
        """The share that has arrived, 0 to 1; None when no producer keeps books (OpenTelemetry exporters, replays)."""
        missing = self.dropped + self.spooled + self.waiting
        return None if self.emitted <= 0 else max(0.0, 1 - missing / self.emitted)

    def sentence(self) -> str:
        """Say it in words: "99.98 % complete · 1.2 s behind"."""
        parts = []
        if self.share is not None:
            percent = int(self.share * 10_000) / 100
            parts.append("complete" if self.share == 1 else f"{percent:g} % complete")
        if self.behind_s is not None:
            seconds = f"{self.behind_s:.1f}" if self.behind_s < 10 else f"{self.behind_s:.0f}"
            parts.append(f"{seconds} s behind" if self.behind_s < 100 else f"{self.behind_s / 60:.0f} min behind")
        if self.silent_producers:
            parts.append(f"{self.silent_producers} silent producer{'s' if self.silent_producers > 1 else ''}")
        return " · ".join(parts) or "completeness unknown"
