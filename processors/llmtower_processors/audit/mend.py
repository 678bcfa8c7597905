"""Bring records into the state their Kafka record asks for. Every step may be the last: the next audit sees what is left and goes on.

Order, and what an audit finds after a kill behind each step:
1. a ledger row that says "duplicate" beside the one that says "stored"      -> doubled_ledger
2. the latter is deleted                                                      -> rows_without_ledger
3. hours whose calls are to be deleted are written to `audits`                -> the same, and these hours are compared again
4. rows that are too many are deleted                                         -> rollups differ
5. rows that are missing are inserted, sides before homes                     -> missing_events, missing_records
6. the ledger row of a record that had none, or was wrongly called duplicate  -> doubled_ledger
7. ledger rows that are one too many are deleted                              -> nothing
Rollups are compared and rebuilt after all records (`rollups`).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from itertools import compress

from llmtower_processors.audit.evidence import Evidence, Position, Scene, Stored, places
from llmtower_processors.audit.model import Span
from llmtower_processors.audit.tables import FEEDING, delete_records, delete_rows, insert
from llmtower_processors.runtime.envelopes import envelope, ledger_block, texts
from llmtower_processors.runtime.model import Block, Record
from llmtower_processors.runtime.pending import Pending

BeforeDelete = Callable[[set[int]], None]
"""Told of the hours whose calls are about to be deleted, so that their rollups are looked at whatever happens."""


def mend(scene: Scene, span: Span, evidence: Evidence, token: str, before_delete: BeforeDelete) -> set[int]:
    """Mend what the evidence shows and give the hours whose calls changed. `token` must be new in every audit."""
    _mark_duplicates(scene, span, evidence, token)
    hours = {row.hour for row in evidence.surplus if row.table in FEEDING}
    if hours:
        before_delete(hours)
    for table, rows in _by_table(evidence.surplus):
        whole = {row.position[0] for row in rows if evidence.dropped(row.position[0])}
        delete_records(scene.client, table, span, whole)
        delete_rows(scene.client, table, [(row.part, row.part_offset) for row in rows if row.position[0] not in whole])
    for table in (*scene.ledgered.sides, *scene.ledgered.homes):
        for number, block in enumerate(_lacking(evidence, table)):
            insert(scene.client, block, f"{token}:{number}")
    _write_ledger(scene, span, evidence, token)
    return hours


def _mark_duplicates(scene: Scene, span: Span, evidence: Evidence, token: str) -> None:
    """Let the ledger say "duplicate" of records that were stored though another came before them."""
    wrong = [case for case in evidence.cases if case.offset in evidence.duplicate and _rows(evidence, case.offset, duplicate=False)]
    unmarked = [case.record for case in wrong if case.record and not _rows(evidence, case.offset, duplicate=True)]
    _insert_ledger(scene, span, evidence, unmarked, f"{token}:duplicates", duplicate=True)
    marked = {record.offset for record in unmarked} | {case.offset for case in wrong if _rows(evidence, case.offset, duplicate=True)}
    delete_records(scene.client, "ledger", span, marked, " AND duplicate = 0")


def _write_ledger(scene: Scene, span: Span, evidence: Evidence, token: str) -> None:
    """Give every record that has none its ledger row, and leave one where there are more."""
    absent = [case.record for case in evidence.cases if case.record and not evidence.ledger.get(case.offset)]
    whole = [record for record in absent if record.offset not in evidence.failed]
    _insert_ledger(scene, span, evidence, [r for r in whole if r.offset in evidence.duplicate], f"{token}:resent", duplicate=True)
    _insert_ledger(scene, span, evidence, [r for r in whole if r.offset not in evidence.duplicate], f"{token}:ledger", duplicate=False)
    orphans = [
        case.record for case in evidence.cases if case.record and evidence.only_marked(case.offset) and not evidence.dropped(case.offset)
    ]
    stored = [record for record in orphans if record.offset not in evidence.failed]
    _insert_ledger(scene, span, evidence, stored, f"{token}:orphans", duplicate=False)
    delete_records(scene.client, "ledger", span, [record.offset for record in stored], " AND duplicate = 1")
    spare = [row for case in evidence.cases for row in _spare(evidence, case.offset)]
    delete_rows(scene.client, "ledger", [(row.part, row.part_offset) for row in spare])


def _spare(evidence: Evidence, offset: int) -> list[Stored]:
    """Give the ledger rows of a record that is no duplicate beyond the first; of a duplicate, the marks beyond the first."""
    marks, plain = _rows(evidence, offset, duplicate=True), _rows(evidence, offset, duplicate=False)
    if offset in evidence.duplicate or not plain:
        return marks[1:]
    return [*plain[1:], *marks]


def _rows(evidence: Evidence, offset: int, *, duplicate: bool) -> list[Stored]:
    return [row for row in evidence.ledger.get(offset, ()) if bool(row.hour) == duplicate]


def _insert_ledger(scene: Scene, span: Span, evidence: Evidence, records: list[Record], token: str, *, duplicate: bool) -> None:
    if not records:
        return
    pending = Pending(span.place.incarnation, records[0].offset, records[-1].offset, scene.now_ms)
    flags = [duplicate] * len(records)
    envelopes, made = [envelope(record) for record in records], texts(evidence.blocks)
    insert(scene.client, ledger_block(span.place.processor, pending, records, envelopes, flags, made), token)


def _lacking(evidence: Evidence, table: str) -> Iterator[Block]:
    missing = evidence.missing.get(table, set())
    for block in evidence.blocks:
        if block.table == table and missing:
            part = _only(block, missing)
            if part.rows:
                yield part


def _only(block: Block, wanted: set[Position]) -> Block:
    """Keep the rows of a block whose (offset, event index) is wanted."""
    keep = [position in wanted for position in places([block])]
    return Block(block.table, {name: list(compress(column, keep)) for name, column in block.columns.items()})


def _by_table(rows: Iterable[Stored]) -> list[tuple[str, list[Stored]]]:
    """Sort rows by table, last those that feed rollups: their hours were announced."""
    found: dict[str, list[Stored]] = defaultdict(list)
    for row in rows:
        found[row.table].append(row)
    return sorted(found.items(), key=lambda item: item[0] in FEEDING)
