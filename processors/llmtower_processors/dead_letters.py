"""What could not be stored: count it, look at it, and send it again after a fix.

A letter is sent again as a record of its own, to its topic and partition, under a producer id and number made from its position. So when
a replay is killed between sending and marking, the next one sends the same (producer, number), and the runtime drops the second copy.
"""

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from llmtower_processors.audit.tables import insert
from llmtower_processors.errors import LlmtowerError, Unreachable
from llmtower_processors.runtime.model import Block
from llmtower_schemas.codec import EnvelopeHeaders
from llmtower_schemas.kafka_trouble import trouble
from llmtower_schemas.settings import KafkaSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

AT_ONCE: Final = 500
NUMBERS: Final = 1 << 14
"""Event numbers set aside for each Kafka offset; more than a record may hold events."""
STOP_S: Final = 5.0

_POSITION: Final = "incarnation, topic, partition, offset, event_index"
_SUMMARY: Final = f"""
SELECT project, app, reason, count(), sum(bytes), min(at), max(at), countIf(({_POSITION}) IN (SELECT {_POSITION} FROM dead_letter_replays))
FROM dead_letters WHERE ({{app:String}} = '' OR app = {{app:String}})
GROUP BY project, app, reason ORDER BY count() DESC, project, app, reason
"""  # noqa: S608 - literal column names
_FIND: Final = f"""
SELECT {_POSITION}, project, app, reason, bytes, at, producer, producer_seq, processor,
    toBool(({_POSITION}) IN (SELECT {_POSITION} FROM dead_letter_replays)) AS replayed
FROM dead_letters
WHERE ({{app:String}} = '' OR app = {{app:String}}) AND ({{reason:String}} = '' OR reason = {{reason:String}})
    AND ({{letter:String}} = ''
        OR arrayStringConcat([topic, toString(partition), toString(offset), toString(event_index)], ':') = {{letter:String}})
ORDER BY at DESC, {_POSITION} LIMIT {{limit:UInt32}}
"""  # noqa: S608 - literal column names
_UNSENT: Final = f"""
SELECT {_POSITION}, project, app, reason, bytes, at, producer, producer_seq, processor, false
FROM dead_letters
WHERE ({{app:String}} = '' OR app = {{app:String}}) AND ({{reason:String}} = '' OR reason = {{reason:String}})
    AND ({_POSITION}) NOT IN (SELECT {_POSITION} FROM dead_letter_replays)
    AND ({_POSITION}) > ({{incarnation:String}}, {{topic:String}}, {{partition:Int32}}, {{offset:Int64}}, {{index:Int64}})
ORDER BY {_POSITION} LIMIT 1 BY {_POSITION} LIMIT {{limit:UInt32}}
"""  # noqa: S608 - literal column names
_BYTES: Final = f"""
SELECT {_POSITION}, any(raw) FROM dead_letter_bytes
WHERE ({_POSITION}) IN arrayZip({{incarnations:Array(String)}}, {{topics:Array(String)}}, {{partitions:Array(Int32)}},
    {{offsets:Array(Int64)}}, {{indexes:Array(UInt32)}})
GROUP BY {_POSITION}
"""  # noqa: S608 - literal column names


class NoSuchLetter(LlmtowerError):  # noqa: N818 - reads as a state
    """No dead letter has this id."""


@dataclass(frozen=True, slots=True)
class LetterSummary:
    """How many letters of an app were refused for a reason, and how many of them were sent again."""

    project: str
    app: str
    reason: str
    count: int
    size: int
    first_at: datetime
    last_at: datetime
    replayed: int


@dataclass(frozen=True, slots=True)
class Position:
    """Where a letter stands in Kafka."""

    incarnation: str
    topic: str
    partition: int
    offset: int
    event_index: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event that could not be stored; `raw` only when it was asked for, and still kept."""

    position: Position
    project: str
    app: str
    reason: str
    size: int
    at: datetime
    producer: str
    producer_seq: int
    processor: str
    replayed: bool
    raw: bytes | None = None

    @property
    def id(self) -> str:
        """`topic:partition:offset:event index`."""
        p = self.position
        return f"{p.topic}:{p.partition}:{p.offset}:{p.event_index}"


@dataclass(frozen=True, slots=True)
class Replay:
    """What a replay did: sent and marked; left alone because the bytes are gone, or because it would be refused as it was."""

    sent: int = 0
    without_bytes: int = 0
    too_many_lines: int = 0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A record to send."""

    topic: str
    partition: int
    value: bytes
    headers: EnvelopeHeaders


class Sender(Protocol):
    """Sends records to Kafka."""

    async def send(self, records: Sequence[Outgoing]) -> list[bool]:
        """Say of each record whether Kafka acknowledged it."""


class MemorySender:
    """Keeps what was sent; `fails` records are not acknowledged."""

    def __init__(self) -> None:
        self.sent: list[Outgoing] = []
        self.fails = 0

    async def send(self, records: Sequence[Outgoing]) -> list[bool]:
        """Keep the records."""
        self.sent += records
        return [number >= self.fails for number in range(len(records))]


class KafkaSender:
    """An idempotent producer; use as an asynchronous context manager."""

    def __init__(self, kafka: KafkaSettings) -> None:
        self._options: dict[str, Any] = kafka.client_options() | {
            "enable_idempotence": True,
            "acks": "all",
            "compression_type": "lz4",
            "max_request_size": 2 << 20,
        }

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(**self._options)
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise Unreachable(f"Kafka cannot be reached: {await trouble(self._options)}") from error
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await asyncio.wait_for(self._producer.stop(), STOP_S)

    async def send(self, records: Sequence[Outgoing]) -> list[bool]:
        """Send and wait for all acknowledgements."""
        results = await asyncio.gather(*(self._send(record) for record in records), return_exceptions=True)
        return [not isinstance(result, BaseException) for result in results]

    async def _send(self, record: Outgoing) -> None:
        await self._producer.send_and_wait(record.topic, record.value, partition=record.partition, headers=record.headers.encode())


def summarize(client: "Client", app: str = "") -> list[LetterSummary]:
    """Count the dead letters (of one app) by project, app and reason, most frequent first."""
    return [LetterSummary(*row) for row in client.query(_SUMMARY, parameters={"app": app}).result_rows]


def find(client: "Client", *, app: str = "", reason: str = "", limit: int = 20, raw: bool = False) -> list[DeadLetter]:
    """Give dead letters, newest first; `raw` needs a client that may read `dead_letter_bytes` (the content role)."""
    letters = _find(client, app=app, reason=reason, letter="", limit=limit)
    return list(_with_bytes(client, letters)) if raw else letters


def show(client: "Client", letter_id: str, *, raw: bool = False) -> DeadLetter:
    """Give one dead letter by its id. Raises NoSuchLetter."""
    letters = _find(client, app="", reason="", letter=letter_id, limit=1)
    if not letters:
        raise NoSuchLetter(
            f"No dead letter {letter_id!r}; ids look like topic:partition:offset:event index. See: llmtower dead-letters show"
        )
    return next(_with_bytes(client, letters)) if raw else letters[0]


async def replay(client: "Client", sender: Sender, now_ms: int, *, app: str = "", reason: str = "") -> Replay:
    """Send again, and mark, every dead letter that is not marked yet. Raises Unreachable when Kafka refused some: run it again."""
    done, after = Replay(), Position("", "", 0, 0, -1)
    while True:
        letters = await asyncio.to_thread(_unsent, client, app, reason, after)
        if not letters:
            return done
        after = letters[-1].position
        kept = [
            letter for letter in await asyncio.to_thread(lambda found: list(_with_bytes(client, found)), letters) if letter.raw is not None
        ]
        fit = [letter for letter in kept if (letter.raw or b"").count(b"\n") < NUMBERS]
        acknowledged = await sender.send([outgoing(letter) for letter in fit])
        sent = [letter for letter, ok in zip(fit, acknowledged, strict=True) if ok]
        await asyncio.to_thread(_mark, client, sent, now_ms)
        done = Replay(done.sent + len(sent), done.without_bytes + len(letters) - len(kept), done.too_many_lines + len(kept) - len(fit))
        if len(sent) < len(fit):
            raise Unreachable(
                f"Kafka did not take {len(fit) - len(sent)} dead letter(s); {done.sent} were sent and marked. Run the replay again."
            )


def outgoing(letter: DeadLetter) -> Outgoing:
    """Make the record that sends a letter again; the same letter always makes the same producer and number."""
    position, raw = letter.position, letter.raw or b""
    number = position.offset * NUMBERS + position.event_index
    headers = EnvelopeHeaders(replay_producer(position), number, raw.count(b"\n") + 1, letter.project, letter.app)
    return Outgoing(position.topic, position.partition, raw, headers)


def replay_producer(position: Position) -> str:
    """Give the producer id under which letters of a partition are sent again."""
    return f"replay:{position.incarnation}:{position.topic}:{position.partition}"


def _find(client: "Client", *, app: str, reason: str, letter: str, limit: int) -> list[DeadLetter]:
    rows = client.query(_FIND, parameters={"app": app, "reason": reason, "letter": letter, "limit": limit}).result_rows
    return [_letter(row) for row in rows]


def _letter(row: Sequence[Any]) -> DeadLetter:
    return DeadLetter(Position(*row[:5]), *row[5:14])


def _unsent(client: "Client", app: str, reason: str, after: Position) -> list[DeadLetter]:
    place = {
        "incarnation": after.incarnation,
        "topic": after.topic,
        "partition": after.partition,
        "offset": after.offset,
        "index": after.event_index,
    }
    rows = client.query(_UNSENT, parameters={"app": app, "reason": reason, "limit": AT_ONCE, **place}).result_rows
    return [_letter(row) for row in rows]


def _with_bytes(client: "Client", letters: Sequence[DeadLetter]) -> Iterator[DeadLetter]:
    places = [letter.position for letter in letters]
    columns = {
        "incarnations": [place.incarnation for place in places],
        "topics": [place.topic for place in places],
        "partitions": [place.partition for place in places],
        "offsets": [place.offset for place in places],
        "indexes": [place.event_index for place in places],
    }
    rows = client.query(_BYTES, parameters=columns, query_formats={"String": "bytes"}).result_rows if places else []
    found = {Position(_text(row[0]), _text(row[1]), *row[2:5]): bytes(row[5]) for row in rows}
    for letter in letters:
        yield replace(letter, raw=found.get(letter.position))


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _mark(client: "Client", letters: Sequence[DeadLetter], now_ms: int) -> None:
    """Mark under a token made of the positions: the same letters are marked once."""
    if not letters:
        return
    places = [letter.position for letter in letters]
    columns: dict[str, list[Any]] = {
        "incarnation": [place.incarnation for place in places],
        "topic": [place.topic for place in places],
        "partition": [place.partition for place in places],
        "offset": [place.offset for place in places],
        "event_index": [place.event_index for place in places],
        "replayed_at": [now_ms] * len(places),
        "replay_producer": [replay_producer(place) for place in places],
    }
    digest = hashlib.sha256("\n".join(map(repr, places)).encode()).hexdigest()
    insert(client, Block("dead_letter_replays", columns), f"replay:{digest}")
