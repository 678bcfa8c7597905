"""A small Llmtower without its runtime: events go through the real processors into a real engine, and faults are planted by hand."""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from clickhouse_connect.driver.client import Client

from llmtower_processors.audit import Auditor, MemoryRecords, Report
from llmtower_processors.audit.tables import insert
from llmtower_processors.runtime.envelopes import envelope, keys, ledger_block, texts
from llmtower_processors.runtime.model import Batch, Block, Processor, Record
from llmtower_processors.runtime.pending import Pending
from llmtower_processors.runtime.work import blocks as make_blocks
from llmtower_schemas import codec
from llmtower_schemas.events import Event, HeartbeatEvent, RequestEvent, ResponseEvent, StepEvent, Usage
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.tables import TABLES
from llmtower_schemas.topics import CALLS, SIGNALS

HOUR = 3_600
NOW = 1_795_000_000 // HOUR * HOUR + 1_800
"""Half past an hour in November 2026; the last closed hour ends at `CLOSED`."""
CLOSED = NOW // HOUR * HOUR
FIRST = CLOSED - 3 * HOUR
"""Where the events of a test begin."""
INCARNATION = {CALLS: "cluster.calls", SIGNALS: "cluster.signals"}


def uuid7(number: int) -> str:
    """Give an id that depends on the number alone."""
    return str(uuid.UUID(int=(7 << 76) | (2 << 62) | number))


def response(number: int, at: float, **fields: Any) -> ResponseEvent:
    """Make an ended call; every figure depends on its number, so that sums differ when one is lost."""
    usage = Usage(input_tokens=100 + number, output_tokens=10 + number)
    given = {
        "app": f"app{number % 2}",
        "user_id": f"user{number % 3}",
        "provider": "openai",
        "request_model": "gpt-4o",
        "input": f"question {number}",
    }
    times = {"started_at_ns": int(at * 1_000_000_000), "duration_us": 1_000 + number, "ttft_us": 100 + number, "stream": True}
    return ResponseEvent(call_id=uuid7(number), usage=usage, usage_source="provider", **(given | times | fields))


def request(number: int, at: float) -> RequestEvent:
    """Make a started call."""
    return RequestEvent(call_id=uuid7(number), app="app0", started_at_ns=int(at * 1_000_000_000))


def step(number: int, at: float) -> StepEvent:
    """Make a step."""
    return StepEvent(step_id=uuid7(number), app="app0", name="search", kind="tool", started_at_ns=int(at * 1_000_000_000), duration_us=5)


def heartbeat(producer: str, at: float, **books: Any) -> HeartbeatEvent:
    """Make a heartbeat."""
    counts = {"emitted": 0, "delivered": 0, "spooled": 0, "dropped": 0}
    return HeartbeatEvent(app="app0", producer=producer, at_ns=int(at * 1_000_000_000), **(counts | books))


def alone() -> None:
    """Nobody else repairs here."""


@dataclass
class World:
    """Kafka's records in memory, tables in a real engine, and an auditor over both."""

    client: Client
    processors: dict[str, Processor]
    records: MemoryRecords = field(default_factory=lambda: MemoryRecords(dict(INCARNATION), {}))
    salt: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    seqs: dict[tuple[str, str], int] = field(default_factory=dict)
    tokens: int = 0

    def reset(self) -> None:
        """Empty all tables and Kafka."""
        for table in TABLES:
            if table != "migrations":
                self.client.command(f"TRUNCATE TABLE {table}")
        self.records = MemoryRecords(dict(INCARNATION), {})
        self.seqs = {}

    def send(
        self,
        events: Sequence[Event],
        *,
        at: float = FIRST,
        topic: str = CALLS,
        partition: int = 0,
        producer: str = "p",
        seq: int | None = None,
    ) -> Record:
        """Append one envelope to Kafka."""
        log = self.records.logs.setdefault((topic, partition), [])
        number = self.seqs.get((topic, producer), 0) if seq is None else seq
        self.seqs[topic, producer] = max(number + len(events), self.seqs.get((topic, producer), 0))
        headers = codec.EnvelopeHeaders(producer, number, len(events), "default", "app0").encode()
        value = codec.encode([codec.encode_event(event) for event in events])
        record = Record(topic, partition, len(log), int(at * 1_000), None, value, tuple(headers))
        log.append(record)
        return record

    def store(self, records: Iterable[Record], *, known: Iterable[Record] = ()) -> None:
        """Store records as the runtime does: blocks, the ledger last, all under one token; `known` were stored before."""
        range_ = list(records)
        processor = self.processors["calls" if range_[0].topic == CALLS else "signals"]
        pending = Pending(INCARNATION[range_[0].topic], range_[0].offset, range_[-1].offset, NOW * 1_000)
        envelopes = [envelope(record) for record in range_]
        for block in make_blocks(processor, pending, range_, envelopes, keys(envelope(record) for record in known)):
            self.insert(block)

    def insert(self, block: Block) -> None:
        """Insert a block under a token of its own."""
        self.tokens += 1
        insert(self.client, block, f"{self.salt}:{self.tokens}")

    def rows(self, record: Record, *tables: str) -> list[Block]:
        """Give the blocks the processor makes of one record, of some tables only."""
        name = "calls" if record.topic == CALLS else "signals"
        place = (name, INCARNATION[record.topic], record.topic, record.partition, record.offset, record.offset, NOW * 1_000)
        made = self.processors[name].function(Batch(*place, [record]))
        return [block for block in made if block.table in tables or not tables]

    def ledger(self, record: Record, *, duplicate: bool = False) -> Block:
        """Give the ledger row of one record."""
        name = "calls" if record.topic == CALLS else "signals"
        pending = Pending(INCARNATION[record.topic], record.offset, record.offset, NOW * 1_000)
        return ledger_block(name, pending, [record], [envelope(record)], [duplicate], texts([] if duplicate else self.rows(record)))

    def clean(self) -> list[Record]:
        """Fill both topics: 2 partitions, 3 hours, responses, requests, steps, a dead letter, a re-sent envelope, a closing heartbeat."""
        sent = []
        for number in range(24):
            at = FIRST + number * 7 * 60
            events: list[Event] = [response(number * 2, at), response(number * 2 + 1, at + 1), request(number, at), step(number, at)]
            sent.append(self.send(events, at=at, partition=number % 2))
        broken = self.send([response(900, FIRST), response(901, FIRST - 500 * 86_400)], at=FIRST)
        again = self.send([response(0, FIRST)], at=FIRST, seq=0)
        own = [record for record in (*sent, broken) if record.partition == 0]
        self.store(own[:6])
        self.store([*own[6:], again], known=own[:6])
        self.store([record for record in sent if record.partition == 1])
        beat = self.send(
            [heartbeat("p", CLOSED - 60, emitted=98, delivered=98, closing=True)], at=CLOSED - 60, topic=SIGNALS, producer="p-books"
        )
        self.store([beat])
        return own

    def auditor(self, **changes: Any) -> Auditor:
        """Give an auditor over this world."""
        return Auditor(self.client, self.records, self.processors, RetentionSettings(**changes))

    def audit(self, *, repair: bool = False, start: int | None = FIRST, end: int | None = CLOSED, now: float = NOW) -> Report:
        """Audit the hours of the test."""
        return self.auditor().run(int(now * 1_000), start=start, end=end, repair=alone if repair else None)

    def count(self, sql: str) -> int:
        """Run a query that gives one number."""
        return int(str(self.client.command(sql)))

    def delete(self, table: str, condition: str) -> None:
        """Lose rows."""
        self.client.command(f"ALTER TABLE {table} DELETE WHERE {condition}", settings={"mutations_sync": 2})

    def truth(self) -> dict[str, list[tuple[Any, ...]]]:
        """Give what every rollup should and does hold, summed over all keys."""
        sums = "sum(calls), sum(cost_nano_usd), sum(errors)"
        wanted = "count(), sum(ifNull(cost_nano_usd, 0)), countIf(status != 'ok')"
        tables = {"calls": wanted, "rollup_1m": sums, "rollup_1h": sums, "rollup_user_1h": sums, "rollup_models_1h": sums}
        return {name: [tuple(row) for row in self.client.query(f"SELECT {what} FROM {name}").result_rows] for name, what in tables.items()}


def found(report: Report) -> dict[str, int]:
    """Give how much was found by check."""
    totals: dict[str, int] = {}
    for finding in report.findings:
        totals[finding.check] = totals.get(finding.check, 0) + finding.found
    return totals
