"""From entries of the journal and silences to rows of their tables, each record once. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from llmtower_processors.alerts.journal import Page
from llmtower_processors.runtime.model import Block
from llmtower_schemas.alerts import Sent, Transition, group_text
from llmtower_schemas.silences import Silence


@dataclass(frozen=True, slots=True)
class SilenceRecord:
    """One record of the registry that holds a silence."""

    incarnation: str
    offset: int
    at_ms: int
    silence: Silence


_EVENT: Final[dict[str, Callable[[Transition], Any]]] = {
    "at": lambda t: t.at_us,
    "rule": lambda t: t.rule,
    "group_text": lambda t: group_text(t.group),
    "group_values": lambda t: t.group,
    "transition_id": lambda t: t.transition_id,
    "dedup_key": lambda t: t.dedup_key,
    "sequence": lambda t: t.sequence,
    "title": lambda t: t.title,
    "severity": lambda t: t.severity,
    "from_state": lambda t: t.from_state,
    "to_state": lambda t: t.to_state,
    "cause": lambda t: t.cause,
    "value": lambda t: t.value,
    "threshold": lambda t: t.threshold,
    "unit": lambda t: t.unit,
    "sample": lambda t: t.sample,
    "completeness": lambda t: t.completeness,
    "window_start": lambda t: t.window_start_us,
    "window_end": lambda t: t.window_end_us,
    "since": lambda t: t.since_us,
    "reason": lambda t: t.reason,
    "corrected": lambda t: t.corrected,
    "coincident": lambda t: [(change.kind, change.at_us, change.what) for change in t.coincident],
    "panel": lambda t: t.panel,
    "runbook": lambda t: t.runbook,
    "routes": lambda t: list(t.routes),
    "notify": lambda t: t.notify,
    "silence_id": lambda t: t.silence_id,
    "shadow": lambda t: t.shadow,
}
_SENT: Final[dict[str, Callable[[Sent], Any]]] = {
    "at": lambda s: s.at_us,
    "transition_id": lambda s: s.transition_id,
    "route": lambda s: s.route,
    "outcome": lambda s: s.outcome,
    "possible_repeat": lambda s: s.possible_repeat,
    "detail": lambda s: s.detail,
}
_SILENCE: Final[dict[str, Callable[[Silence], Any]]] = {
    "silence_id": lambda s: s.silence_id,
    "kind": lambda s: s.kind,
    "rule": lambda s: s.rule,
    "group_values": lambda s: s.group,
    "starts_at": lambda s: s.starts_at_us,
    "ends_at": lambda s: s.ends_at_us,
    "by": lambda s: s.by,
    "comment": lambda s: s.comment,
    "deleted": lambda s: s.deleted,
}


def page_blocks(page: Page) -> list[Block]:
    """Give the rows of one record, at most one block per table."""
    events = [(index, entry) for index, entry in enumerate(page.entries) if isinstance(entry, Transition)]
    sends = [(index, entry) for index, entry in enumerate(page.entries) if isinstance(entry, Sent)]
    found = [("alert_events", _columns(_EVENT, events, page)), ("alert_sends", _columns(_SENT, sends, page))]
    return [block for block in (Block(table, columns) for table, columns in found) if block.rows]


def silence_block(record: SilenceRecord) -> Block:
    """Give the row of one version of a silence."""
    columns: dict[str, list[Any]] = {name: [value(record.silence)] for name, value in _SILENCE.items()}
    place: dict[str, list[Any]] = {"recorded_at": [record.at_ms], "incarnation": [record.incarnation], "kafka_offset": [record.offset]}
    return Block("silence_events", columns | place)


def page_token(place: Page | SilenceRecord, topic: str) -> str:
    """Give the insert token of a record's rows: the same whoever inserts them."""
    return f"alerts:{place.incarnation}:{topic}:{place.offset}"


def _columns(fields: dict[str, Callable[[Any], Any]], entries: Sequence[tuple[int, Any]], page: Page) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [value(entry) for _, entry in entries] for name, value in fields.items()}
    return {
        **columns,
        "incarnation": [page.incarnation] * len(entries),
        "kafka_offset": [page.offset] * len(entries),
        "entry_index": [index for index, _ in entries],
    }
