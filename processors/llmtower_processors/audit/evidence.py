"""A few suspect records at a time: what the tables hold of them, what their Kafka records ask for, and so what is wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtower_processors.audit.model import HOUR_S, Ledgered, Span
from llmtower_processors.audit.records import Records
from llmtower_processors.audit.tables import positions, select
from llmtower_processors.runtime.envelopes import envelope
from llmtower_processors.runtime.model import Batch, Block, Processor, Record
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.tables import TABLES

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

DAY_MS: Final = 86_400_000
KEYS_AT_ONCE: Final = 40
"""Senders looked up by one query: bound values travel in the address."""
_MILLISECONDS: Final = frozenset({"dead_letters", "dead_letter_bytes"})
_SENDERS: Final = """
SELECT producer, first_seq, incarnation, partition, offset FROM ledger
WHERE processor = {processor:String} AND topic = {topic:String} AND duplicate = 0
    AND (producer, first_seq) IN arrayZip({producers:Array(String)}, {seqs:Array(Int64)})
"""
_LEDGER_KEYS: Final = """
SELECT offset, any(producer), any(first_seq) FROM ledger
WHERE processor = {processor:String} AND incarnation = {incarnation:String} AND topic = {topic:String} AND partition = {partition:Int32}
    AND has({offsets:Array(Int64)}, offset) GROUP BY offset
"""

Position = tuple[int, int]
"""Offset and event index."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What an audit of one processor works with."""

    client: "Client"
    records: Records
    ledgered: Ledgered
    processor: Processor
    incarnation: str
    """The topic's present one: only its records can be read again."""
    retention: RetentionSettings
    now_ms: int
    fallback_hour: int
    """Where findings without a time of their own are shown."""

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables whose rows carry the processor's events."""
        return (*self.ledgered.homes, *self.ledgered.sides)

    @property
    def texts_since(self) -> int:
        """Texts of events from this second on must be there; retention, less a day for clocks and for the time a removal takes."""
        days = self.retention.contents_days
        return (self.now_ms - (days - 1) * DAY_MS) // 1_000 if days else 0


@dataclass(frozen=True, slots=True)
class Case:
    """A suspect record, if Kafka has it still; `doubled` of its events are in an earlier record too, of `lost_texts` the texts are gone."""

    offset: int
    hour: int
    expected: int = 0
    doubled: int = 0
    lost_texts: int = 0
    record: Record | None = None


class Stored(NamedTuple):
    """A row of a table: its event, the hour its call started (of `calls`), and where it lies."""

    table: str
    position: Position
    hour: int
    part: str
    part_offset: int


@dataclass(slots=True)
class Evidence:
    """Cases with all that is known of them, and what follows: which rows are missing, and which are too many."""

    cases: Sequence[Case]
    homes: tuple[str, ...]
    stored: list[Stored]
    ledger: dict[int, list[Stored]]
    """Ledger rows by offset; `hour` is 1 for a duplicate."""
    duplicate: set[int]
    """Offsets of records that another one came before."""
    blocks: list[Block] = field(default_factory=list)
    failed: set[int] = field(default_factory=set)
    """Offsets on which the processor raised."""
    missing: dict[str, set[Position]] = field(default_factory=dict)
    surplus: list[Stored] = field(default_factory=list)

    anonymous: set[int] = field(default_factory=set)
    """Offsets of records whose sender is unknown, so that nobody can say what they are duplicates of."""

    def only_marked(self, offset: int) -> bool:
        """Whether the ledger says of this record that it was dropped, and nothing else."""
        rows = self.ledger.get(offset, [])
        return bool(rows) and all(row.hour for row in rows)

    @property
    def mendable(self) -> bool:
        """Whether there is something to delete, or a record to take what is missing from."""
        return bool(self.surplus) or any(case.record for case in self.cases) or any(len(rows) > 1 for rows in self.ledger.values())

    def dropped(self, offset: int) -> bool:
        """Whether a record should have no rows, as another one has its events."""
        return offset in self.duplicate or (offset in self.anonymous and self.only_marked(offset))


def gather(scene: Scene, span: Span, cases: Sequence[Case]) -> Evidence:
    """Look up the rows of the cases, run the processor over their records, and compare."""
    offsets = [case.offset for case in cases]
    sent = _senders(scene, span, offsets)
    cases = [case if _is_the_same(case, sent) else replace(case, record=None) for case in cases]
    stored = [Stored(table, (o, i), h, p, n) for table in scene.tables for o, i, h, p, n in positions(scene.client, table, span, offsets)]
    ledger: dict[int, list[Stored]] = defaultdict(list)
    for offset, _, duplicate, part, number in positions(scene.client, "ledger", span, offsets):
        ledger[offset].append(Stored("ledger", (offset, 0), duplicate, part, number))
    keys = sent | {case.offset: _sender(case.record) for case in cases if case.record}
    evidence = Evidence(cases, scene.ledgered.homes, stored, ledger, _duplicates(scene, span, keys, ledger))
    evidence.anonymous = {offset for offset, (producer, _) in keys.items() if not producer}
    fresh = [case.record for case in cases if case.record and not evidence.dropped(case.offset)]
    evidence.blocks = _run(scene, span, fresh, evidence.failed)
    _compare(scene, evidence)
    return evidence


def findings(evidence: Evidence) -> Counter[tuple[str, int, int]]:
    """Count what is wrong by (check, hour, offset), in events."""
    missing = _events(position for positions_ in evidence.missing.values() for position in positions_)
    surplus = _events(row.position for row in evidence.surplus)
    present = _events(row.position for row in evidence.stored)
    at_home = _events(row.position for row in evidence.stored if row.table in evidence.homes)
    found: Counter[tuple[str, int, int]] = Counter()
    for case in evidence.cases:
        offset = case.offset
        lost = len(missing[offset])
        if case.record is None or offset in evidence.failed:
            lost = max(0, (case.expected or 1) - len(at_home[offset]), case.lost_texts)
        for check, count in _verdict(evidence, case, lost, len(surplus[offset]), len(present[offset])):
            if count:
                found[check, case.hour, offset] += count
    return found


def _events(found: Iterable[Position]) -> dict[int, set[int]]:
    events: dict[int, set[int]] = defaultdict(set)
    for offset, index in found:
        events[offset].add(index)
    return events


def _verdict(evidence: Evidence, case: Case, missing: int, surplus: int, present: int) -> Iterable[tuple[str, int]]:
    rows = evidence.ledger.get(case.offset, [])
    if not rows:
        yield "rows_without_ledger", present
        if case.record is not None:
            yield "missing_records", missing or int(not present)
    elif evidence.only_marked(case.offset):
        yield "rows_without_ledger", present
        yield "missing_events", 0 if evidence.dropped(case.offset) else missing
    elif case.doubled:
        yield "doubled_envelopes", case.doubled
    else:
        yield "missing_events", missing
        yield "doubled_rows", surplus
    yield "doubled_ledger", max(0, len(rows) - 1)


def _duplicates(scene: Scene, span: Span, keys: Mapping[int, tuple[str, int]], ledger: Mapping[int, Sequence[Stored]]) -> set[int]:
    """Find the records that another one came before: the runtime's rule; for one not ledgered as stored, any other that is."""
    known = [key for key in keys.values() if key[0]]
    homes: dict[tuple[str, int], list[tuple[bool, int, int]]] = defaultdict(list)
    for begin in range(0, len(known), KEYS_AT_ONCE):
        part = known[begin : begin + KEYS_AT_ONCE]
        columns = {"producers": [producer for producer, _ in part], "seqs": [seq for _, seq in part]}
        for producer, seq, incarnation, partition, offset in select(scene.client, _SENDERS, {**span.place.parameters(), **columns}):
            homes[str(producer), int(seq)].append((incarnation == scene.incarnation, int(partition), int(offset)))
    found: set[int] = set()
    seen: set[tuple[str, int]] = set()
    for offset, key in sorted(keys.items()):
        own = (span.place.incarnation == scene.incarnation, span.place.partition, offset)
        ledgered = any(not row.hour for row in ledger.get(offset, ()))
        others = [other for other in homes[key] if other != own and (not ledgered or other < own)]
        if key[0] and (others or (not ledgered and key in seen)):
            found.add(offset)
        seen.add(key)
    return found


def _senders(scene: Scene, span: Span, offsets: Sequence[int]) -> dict[int, tuple[str, int]]:
    """Give (producer, first number) of records, as the ledger has them."""
    rows = select(scene.client, _LEDGER_KEYS, {**span.place.parameters(), "offsets": list(offsets)})
    return {int(offset): (str(producer), int(seq)) for offset, producer, seq in rows}


def _sender(record: Record) -> tuple[str, int]:
    sender = envelope(record)
    return sender.producer, sender.seq


def _is_the_same(case: Case, sent: Mapping[int, tuple[str, int]]) -> bool:
    """Say whether the record read again is the one that was stored: rows are never judged by another one."""
    return case.record is None or case.offset not in sent or _sender(case.record) == sent[case.offset]


def _run(scene: Scene, span: Span, records: Sequence[Record], failed: set[int]) -> list[Block]:
    """Run the processor; when it raises, record by record, so that one cannot hide the others."""
    if not records:
        return []
    place = span.place
    try:
        batch = Batch(
            *(place.processor, place.incarnation, place.topic, place.partition),
            *(records[0].offset, records[-1].offset, scene.now_ms, records),
        )
        return [block for block in scene.processor.function(batch) if block.rows]
    except Exception:
        if len(records) == 1:
            failed.add(records[0].offset)
            return []
    return [block for record in records for block in _run(scene, span, [record], failed)]


def _compare(scene: Scene, evidence: Evidence) -> None:
    """Fill in `missing` and `surplus`. A row that retention would remove at once is not missing."""
    wanted = {table: set(places(blocks)) for table, blocks in _by_table(evidence.blocks).items()}
    home_of = {position: table for table in scene.ledgered.homes for position in wanted.get(table, ())}
    readable = {case.offset for case in evidence.cases if case.record} - evidence.failed
    kept: dict[tuple[str, Position], Stored] = {}
    for row in sorted(evidence.stored, key=lambda row: (home_of.get(row.position) != row.table, row.part, row.part_offset)):
        side = row.table if row.table in scene.ledgered.sides else ""
        known = side or row.position[0] not in readable or row.position in home_of
        if evidence.dropped(row.position[0]) or (side, row.position) in kept or not known:
            evidence.surplus.append(row)
        else:
            kept[side, row.position] = row
    expired = {key for block in evidence.blocks for key in _expired(scene, block)}
    for table, asked in wanted.items():
        side = table if table in scene.ledgered.sides else ""
        lacking = {p for p in asked if (side, p) not in kept and (table, p) not in expired}
        evidence.missing[table] = {p for p in lacking if ("", p) not in kept or kept["", p].table == home_of.get(p)}


def _by_table(blocks: Iterable[Block]) -> dict[str, list[Block]]:
    found: dict[str, list[Block]] = defaultdict(list)
    for block in blocks:
        found[block.table].append(block)
    return found


def places(blocks: Iterable[Block]) -> Iterable[Position]:
    """Give the positions of the rows of blocks."""
    for block in blocks:
        offsets = block.columns["kafka_offset" if "kafka_offset" in block.columns else "offset"]
        for offset, index in zip(offsets, block.columns["event_index"], strict=True):
            yield int(offset), int(index)


def _expired(scene: Scene, block: Block) -> Iterable[tuple[str, Position]]:
    spec = TABLES[block.table]
    days = getattr(scene.retention, spec.retention) if spec.retention else 0
    if not days:
        return
    oldest = scene.now_ms - (days - 1) * DAY_MS
    for position, time in zip(places([block]), block.columns[spec.time_column], strict=True):
        if _milliseconds(block.table, time) < oldest:
            yield block.table, position


def _milliseconds(table: str, ticks: Any) -> int:
    return int(ticks) if table in _MILLISECONDS else int(ticks) // 1_000


def hour_of(time_ms: int) -> int:
    """Give the hour a time in milliseconds lies in; what the ledger cannot hold is clamped as there."""
    return min(max(time_ms // 1_000, 0), (1 << 32) - 1) // HOUR_S * HOUR_S
