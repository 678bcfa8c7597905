"""The end of a process that emits: flush, read the SDK's own books, close."""

from dataclasses import asdict
from typing import Any

import llmtower

from .said import Said

FLUSH_S = 25.0


def close_books(*, app: str, kind: str, calls: int, others: int, unanswered: int = 0) -> dict[str, Any]:
    """Flush and close the SDK and give what this process said: its own counts beside the SDK's."""
    llmtower.flush(FLUSH_S)
    llmtower.close()
    stats = llmtower.stats()
    said = Said(
        app=app,
        producer=stats.producer,
        kind=kind,
        calls=calls,
        others=others,
        unanswered=unanswered,
        events=stats.emitted,
        spooled=stats.spooled + stats.queued,
        dropped=stats.dropped,
    )
    return asdict(said)
