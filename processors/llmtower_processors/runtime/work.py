"""From the records of one range to the blocks to insert: duplicates out, the pure function, the ledger last."""

from collections.abc import Sequence, Set
from typing import Any, Final

import numpy as np

from llmtower_processors.runtime.edges import Store, TopicPartition
from llmtower_processors.runtime.envelopes import LEDGER, Envelope, duplicates, envelope, keys, ledger_block, texts
from llmtower_processors.runtime.model import POSITION, Batch, Block, Processor, Record
from llmtower_processors.runtime.pending import Pending

IDENTITY: Final = ("event_index", "processor", "kind", "name", "scorer")
"""Columns that, with the offset, tell the rows of a table apart, as far as the table has them."""


Known = Set[tuple[str, int]]
"""(producer, seq) of envelopes that were stored before."""


class BlockError(Exception):
    """A processor returned what cannot be inserted exactly once; the fault is in our own code."""


def blocks(processor: Processor, pending: Pending, records: Sequence[Record], envelopes: Sequence[Envelope], known: Known) -> list[Block]:
    """Run the function over what is not a duplicate; the ledger's block is the last. Raises BlockError and whatever it raises."""
    if not records:
        return []
    duplicate = duplicates(envelopes, known)
    fresh, senders = records, envelopes
    if True in duplicate:
        fresh = [r for r, d in zip(records, duplicate, strict=True) if not d]
        senders = [e for e, d in zip(envelopes, duplicate, strict=True) if not d]
    made: Sequence[Block] = ()
    if fresh:
        first = records[0]
        made = processor.function(
            Batch(
                processor.name,
                pending.incarnation,
                first.topic,
                first.partition,
                pending.first,
                pending.last,
                max(pending.time_ms, max(record.timestamp_ms for record in records)),
                fresh,
                senders,
                pending.parameter,
            )
        )
    checked = [block for block in made if _checked(processor, block).rows]
    if len({block.table for block in checked}) < len(checked):
        raise BlockError(f"processor {processor.name} returned two blocks for one table: one range makes one block per table")
    return [*checked, ledger_block(processor.name, pending, records, envelopes, duplicate, texts(checked))]


def look_up(processor: Processor, store: Store, pending: Pending, records: Sequence[Record], envelopes: Sequence[Envelope]) -> Known:
    """Which of a range's envelopes were stored before it. Raises what the store raises."""
    sought = keys(envelopes)
    if not sought:
        return frozenset()
    partition = TopicPartition(records[0].topic, records[0].partition)
    return store.known(processor.name, pending.incarnation, partition, pending.first, sought)


def missing(store: Store, pending: Pending, made: Sequence[Block], partition: TopicPartition) -> list[Block]:
    """What is left to insert of a range that is completed by rows. Raises what the store raises."""
    left = (without(block, _present(store, block, pending, partition)) for block in made)
    return [block for block in left if block.rows]


def prepare(
    processor: Processor, store: Store, pending: Pending, records: Sequence[Record], envelopes: Sequence[Envelope] | None = None
) -> list[Block]:
    """The blocks of a range as they are to be inserted, none of them empty: look up, run the function, leave out what is there."""
    if not records:
        return []
    if envelopes is None:
        envelopes = [envelope(record) for record in records]
    made = blocks(processor, pending, records, envelopes, look_up(processor, store, pending, records, envelopes))
    return missing(store, pending, made, TopicPartition(records[0].topic, records[0].partition)) if pending.by_rows else made


def _present(store: Store, block: Block, pending: Pending, partition: TopicPartition) -> Set[tuple[Any, ...]]:
    return store.present(block.table, key_columns(block), pending.incarnation, partition, (pending.first, pending.last))


def key_columns(block: Block) -> tuple[str, ...]:
    """The offset's column and those of IDENTITY that the block has."""
    return ("kafka_offset" if "kafka_offset" in block.columns else "offset", *(name for name in IDENTITY if name in block.columns))


def _checked(processor: Processor, block: Block) -> Block:
    where = f"processor {processor.name}, table {block.table}"
    if block.table not in processor.tables or block.table == LEDGER:
        raise BlockError(f"{where}: not one of the tables the processor is registered with")
    if not any(all(prefix + name in block.columns for name in ("topic", "partition", "offset")) for prefix in ("kafka_", "")):
        raise BlockError(f"{where}: position columns missing; every block carries {', '.join(POSITION)}")
    lengths = {len(column) for column in block.columns.values()}
    if len(lengths) > 1:
        raise BlockError(f"{where}: columns of different lengths {sorted(lengths)}")
    return block


def without(block: Block, present: Set[tuple[Any, ...]]) -> Block:
    """The rows of `block` whose key (see `key_columns`) is not in `present`."""
    if not present:
        return block
    keys = zip(*(_values(block.columns[name]) for name in key_columns(block)), strict=True)
    keep = [key not in present for key in keys]
    return Block(block.table, {name: _kept(column, keep) for name, column in block.columns.items()})


def _values(column: Sequence[Any]) -> Sequence[Any]:
    values: Sequence[Any] = column.tolist() if isinstance(column, np.ndarray) else column
    return values


def _kept(column: Sequence[Any], keep: list[bool]) -> Sequence[Any]:
    if isinstance(column, np.ndarray):
        kept: Sequence[Any] = column[np.array(keep, dtype=bool)]
        return kept
    return [value for value, k in zip(column, keep, strict=True) if k]
