"""The values everything between Kafka and ClickHouse is made of: records in, blocks of columns out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from llmtower_processors.runtime.envelopes import Envelope


class Record(NamedTuple):
    """One Kafka record as it was read; a tuple, which is made three times faster than a dataclass."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Batch:
    """One offset range of one partition, handed to a pure function; `time_ms` is stable over replays and its only clock.

    It is when the range was taken, but never before its newest record was sent: a worker whose clock is hours behind must not take every
    event for one of the future.
    """

    processor: str
    incarnation: str
    topic: str
    partition: int
    first: int
    last: int
    time_ms: int
    records: Sequence[Record]
    senders: Sequence["Envelope"] = ()
    """What the headers of each record say, where that was read already."""
    parameter: str = ""
    """What the processor's `parameter` gave when the range was taken, also when it is replayed."""


@dataclass(frozen=True, slots=True)
class Block:
    """Rows for one table as columns of equal length (numpy arrays or lists), named as in the DDL; the rest takes its default."""

    table: str
    columns: Mapping[str, Sequence[Any]]

    @property
    def rows(self) -> int:
        """Number of rows; 0 for a block without columns."""
        return len(next(iter(self.columns.values()), ()))


@dataclass(frozen=True, slots=True)
class Situation:
    """How things stand when a range is taken: the age of its oldest record, and the events of its partition that are not stored."""

    behind_ms: int
    lag_events: int


@dataclass(frozen=True, slots=True)
class Processor:
    """A name, the topics it reads, the tables it writes, and a pure, deterministic function from batch to blocks.

    What the function needs to know of the situation (a share to sample, say) is not its to look up: a replay would see another one. So
    `parameter` is asked once per range, when the range is taken; its answer is stored with the pending commit and handed to the function,
    in a replay as well. `range_s` bounds how long (seconds) the function may take for a range: ranges are cut to that by what the last
    ones took.
    """

    name: str
    topics: tuple[str, ...]
    tables: tuple[str, ...]
    function: Callable[[Batch], Sequence[Block]]
    parameter: Callable[[Situation], str] | None = None
    """At most 256 printable characters."""
    range_s: float | None = None


POSITION = ("incarnation", "kafka_topic", "kafka_partition", "kafka_offset", "event_index")
"""Columns every block carries: where in Kafka each row came from."""
