"""`llmtower audit`: connect what an audit works with, run it, print what it found."""

import time
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from functools import partial

import typer

from llmtower_processors.audit import Auditor, Finding, KafkaRecords, Report
from llmtower_processors.audit.exclusive import Turn, exclusive
from llmtower_processors.cli.data import show
from llmtower_processors.connection import clickhouse_client, kafka_settings
from llmtower_processors.pricing import load_price_book
from llmtower_processors.registry import build_processors
from llmtower_schemas.settings import Settings

_COLUMNS = ("check", "hour", "processor", "found", "repaired", "detail")


def run_audit(settings: Settings, *, repair: bool, start: datetime | None, end: datetime | None, output: str) -> int:
    """Audit, print the findings and give the exit code: 1 when something is still not as promised. Raises LlmtowerError."""
    with _turn(settings, repair) as turn, KafkaRecords(kafka_settings(settings)) as records:
        auditor = Auditor(clickhouse_client(settings), records, build_processors(load_price_book(settings.prices_file)), settings.retention)
        report = auditor.run(time.time_ns() // 1_000_000, start=_seconds(start), end=_seconds(end), repair=turn.check if turn else None)
    _print(report, output)
    return 0 if report.clean else 1


def _turn(settings: Settings, repair: bool) -> AbstractContextManager[Turn | None]:
    return exclusive(partial(clickhouse_client, settings)) if repair else nullcontext()


def _print(report: Report, output: str) -> None:
    rows = [_row(finding) for finding in report.findings]
    if rows or output != "table":
        show(_COLUMNS, rows, output)
    if output != "table":
        return
    if not report.hours:
        typer.echo("No hour has closed since the last audit. `--from` names an earlier start.")
        return
    still = sum(finding.open for finding in report.findings)
    span = f"{_hour(report.start)} to {_hour(report.end)}"
    verdict = "every event is stored exactly once, every rollup equals its source" if report.clean else f"{still:,} still not as promised"
    typer.echo(f"Audited {report.records:,} records of {len(report.hours)} hour(s), {span} UTC: {verdict}.")
    if not report.clean:
        typer.echo("Mend it with: llmtower audit --repair")


def _row(finding: Finding) -> tuple[object, ...]:
    return finding.check, _hour(finding.hour), finding.processor, finding.found, finding.repaired, finding.detail


def _hour(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")


def _seconds(moment: datetime | None) -> int | None:
    return int(moment.timestamp()) if moment else None
