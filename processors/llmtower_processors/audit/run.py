"""One audit: every check over its hours and offsets, repair if asked for, and what it leaves in `audits`."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from clickhouse_connect.driver.exceptions import OperationalError

from llmtower_processors.audit.books import audit_books
from llmtower_processors.audit.evidence import Scene, hour_of
from llmtower_processors.audit.model import AUDITED, AUDITED_TO, CHECKS, HOUR_S, Finding, Ledgered, Report, Span
from llmtower_processors.audit.records import Records
from llmtower_processors.audit.rollups import ROLLUPS, audit_rollup, occupied, repair_rollup
from llmtower_processors.audit.scope import Window, closed_until, oldest_hour, open_hours, spans, window
from llmtower_processors.audit.slices import Repair, audit_slice
from llmtower_processors.audit.tables import FEEDING, insert, touched_hours
from llmtower_processors.errors import Unreachable
from llmtower_processors.runtime.model import Block, Processor
from llmtower_schemas.settings import RetentionSettings

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client


@dataclass(frozen=True, slots=True)
class Auditor:
    """What an audit works with: ClickHouse (writer), Kafka's records, the processors whose promise is read back, and retention."""

    client: "Client"
    records: Records
    processors: Mapping[str, Processor]
    retention: RetentionSettings
    audited: Sequence[Ledgered] = AUDITED

    def run(
        self, now_ms: int, *, start: int | None = None, end: int | None = None, repair: Callable[[], None] | None = None, token: str = ""
    ) -> Report:
        """Audit closed hours between `start` and `end` (seconds since the epoch), or those since the last audit; write the result.

        `repair`: mend what is found; it is called before each step and raises when another repairs (`exclusive`).
        `token` is the insert token of the result; `<timer>:<group>:<window end>` for a timer. Raises Unreachable when Kafka or
        ClickHouse does not answer; run again, what was mended until then stays mended.
        """
        try:
            hours = window(self.client, self.audited, self.retention, now_ms // 1_000, start=start, end=end)
            report = Report(hours.start, hours.end, hours.hours, hours.goes_on)
            run = _Run(self, now_ms, hours, report, repair)
            if hours.hours:
                run.go()
                write(self.client, report, run.rollup_hours, now_ms, token or f"audit:{now_ms}")
        except OperationalError as error:
            raise Unreachable("ClickHouse did not answer during the audit; what was mended stays mended. Run it again.") from error
        return report


class _Run:
    def __init__(self, auditor: Auditor, now_ms: int, hours: Window, report: Report, alone: Callable[[], None] | None) -> None:
        self._auditor = auditor
        self._client = auditor.client
        self._now_ms = now_ms
        self._hours = hours
        self._report = report
        self._repair = Repair(f"repair:{now_ms}", self._announce, alone) if alone else None
        self.rollup_hours: set[int] = set(hours.hours)

    def go(self) -> None:
        """Records first, since mending them changes rollups; then rollups; then the producers' books."""
        for ledgered in self._auditor.audited:
            self._audit_records(ledgered)
        self._audit_rollups()
        if not any(finding.check == "unprocessed_records" for finding in self._report.findings):
            self._report.findings += audit_books(self._client, self._hours.hours, self._now_ms // 1_000)

    def _audit_records(self, ledgered: Ledgered) -> None:
        records, processor = self._auditor.records, self._auditor.processors[ledgered.processor]
        current = records.incarnation(ledgered.topic)
        scene = Scene(
            *(self._client, records, ledgered, processor, current),
            *(self._auditor.retention, self._now_ms, self._hours.hours[-1]),
        )
        found = spans(self._client, records, ledgered, self._hours)
        for span in found:
            for part in span.slices():
                findings, hours = audit_slice(scene, part, self._repair)
                self._report.findings += findings
                self.rollup_hours |= hours
            self._report.records += span.last - span.first + 1
            for table in FEEDING:
                self.rollup_hours |= touched_hours(self._client, table, span) if table in ledgered.homes else set()
        self._report.audited_to += found
        self._report.findings += self._unprocessed(ledgered, current)

    def _unprocessed(self, ledgered: Ledgered, current: str) -> Iterator[Finding]:
        """Name partitions whose old records the ledger has not reached; a marker at the log's end is none."""
        records = self._auditor.records
        floors = _floors(self._client, ledgered, current)
        ends = records.ends(ledgered.topic)
        for partition, end in records.since(ledgered.topic, (self._hours.hours[-1] + HOUR_S) * 1_000).items():
            first = max(floors.get(partition, -1) + 1, ends[partition].start)
            waiting = next(records.read(ledgered.topic, partition, first, end - 1), None) if first < end else None
            if waiting is not None:
                detail = f"{ledgered.topic}[{partition}] offsets {first}-{end - 1}: is the worker running, or has it paused this partition?"
                yield Finding("unprocessed_records", hour_of(waiting.timestamp_ms), ledgered.processor, end - first, detail)

    def _audit_rollups(self) -> None:
        now_s = self._now_ms // 1_000
        oldest = oldest_hour(("calls", "rollup_1m"), self._auditor.retention, now_s)
        self.rollup_hours |= {hour for check, hour in open_hours(self._client) if check.startswith("rollup") and self._hours.goes_on}
        self.rollup_hours = {hour for hour in self.rollup_hours if oldest <= hour < closed_until(now_s)}
        current = [self._auditor.records.incarnation(ledgered.topic) for ledgered in self._auditor.audited]
        hours = occupied(self._client, sorted(self.rollup_hours))
        for rollup in ROLLUPS:
            for finding in audit_rollup(self._client, rollup, hours):
                if self._repair:
                    self._repair.alone()
                    finding = repair_rollup(self._client, finding, current=current, token=self._repair.token)
                self._report.findings.append(finding)

    def _announce(self, hours: set[int]) -> None:
        """Leave word that rollups of these hours must be compared: the audit may be killed between deleting calls and comparing."""
        words = [Finding(rollup.table, hour, "calls", 1, "calls are being deleted") for hour in sorted(hours) for rollup in ROLLUPS]
        token = f"{self._repair.token if self._repair else ''}:announce:{'-'.join(map(str, sorted(hours)))}"
        insert(self._client, _block(words, self._now_ms), token)
        self.rollup_hours |= hours


def write(client: "Client", report: Report, rollup_hours: set[int], now_ms: int, token: str) -> None:
    """Write the result: what was found, a zero for each check and hour where nothing was, and how far this audit came."""
    found = {(finding.check, finding.hour) for finding in report.findings}
    rollups = {rollup.table for rollup in ROLLUPS}
    zeros = [
        Finding(check, hour, "", 0, "")
        for check in CHECKS
        for hour in sorted({*report.hours, *rollup_hours} if check in rollups else report.hours)
        if (check, hour) not in found
    ]
    block = _block([*report.findings, *zeros, *_reached(report)], now_ms + 1)
    insert(client, block, token)


def _reached(report: Report) -> list[Finding]:
    """Say how far each place was audited; the first row holds the hour alone."""
    if not report.goes_on:
        return []
    hour = report.end - HOUR_S
    return [
        Finding(AUDITED_TO, hour, "", 0, "{}"),
        *(Finding(AUDITED_TO, hour, s.place.processor, 0, _where(s)) for s in report.audited_to),
    ]


def _where(span: Span) -> str:
    place = span.place
    return json.dumps({"incarnation": place.incarnation, "topic": place.topic, "partition": place.partition, "offset": span.last})


def _block(findings: Sequence[Finding], at_ms: int) -> Block:
    return Block(
        "audits",
        {
            "at": [at_ms] * len(findings),
            "check": [finding.check for finding in findings],
            "hour": [finding.hour for finding in findings],
            "processor": [finding.processor for finding in findings],
            "found": [finding.found for finding in findings],
            "repaired": [finding.repaired for finding in findings],
            "detail": [finding.detail for finding in findings],
        },
    )


def _floors(client: "Client", ledgered: Ledgered, incarnation: str) -> dict[int, int]:
    sql = (
        "SELECT partition, max(offset) FROM ledger WHERE processor = {processor:String} AND topic = {topic:String}"
        " AND incarnation = {incarnation:String} GROUP BY partition"
    )
    parameters = {"processor": ledgered.processor, "topic": ledgered.topic, "incarnation": incarnation}
    return {int(partition): int(offset) for partition, offset in client.query(sql, parameters=parameters).result_rows}
