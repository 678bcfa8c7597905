"""`report`: what changed, what it cost, what got worse, and what to do next."""

import asyncio
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir
from llmtower_processors.cli.shelves import with_models
from llmtower_processors.connection import clickhouse_client, load_settings
from llmtower_processors.report.model import Change, Facts
from llmtower_schemas.model_store import Models
from llmtower_schemas.settings import Settings


def report(
    last: Annotated[str, typer.Option(help="Span of time up to now, held against the one before: 12h, 7d, 4w.")] = "7d",
    form: Annotated[Literal["md", "html"], typer.Option("--format", help="Markdown, or one HTML file with its plots.")] = "md",
    out: Annotated[Path | None, typer.Option("--out", help="File to write [default: the terminal].")] = None,
    project: Annotated[str, typer.Option(help="Project to report on.")] = "default",
    send: Annotated[list[str] | None, typer.Option("--send", help="Send a summary to this route of the alerts, too; repeatable.")] = None,
    file: Annotated[Path | None, typer.Option("--file", envvar="LLMTOWER_ALERTS__FILE", help="Your rules and routes, for --send.")] = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Say what changed, what it cost, what got worse, and the three most useful next actions with their evidence; never a text of a call.

    Routes are those of alerts: without a file, `default` is LLMTOWER_ALERTS__WEBHOOK_URL.

    Example: `llmtower report --last 7d --format html --out week.html --send default`
    """
    from llmtower_processors.report.write import report as written
    from llmtower_processors.report.write import summary, title

    settings = load_settings(data_dir, role="dashboards")
    facts = _facts(settings, last, project)
    text = written(facts, form)
    if out is None:
        typer.echo(text, nl=False)
    else:
        out.write_text(text, "utf-8")
        typer.echo(f"{out}: {title(facts)}")
    if send:
        _send(settings, file, send, title(facts), summary(facts))


def _facts(settings: Settings, last: str, project: str) -> Facts:
    from llmtower_processors.drift.slices import span
    from llmtower_processors.errors import LlmtowerError
    from llmtower_processors.report.read import read, whole_hour

    end = whole_hour(datetime.now(UTC))
    start = whole_hour(end - span(last))
    if start >= end:
        raise LlmtowerError("A report is of whole hours: ask for an hour or more, --last 1h")

    async def registered(models: Models) -> set[str]:
        return set(models.all())

    known = with_models(settings, registered)
    changes = asyncio.run(_changes(settings, project, start, end))
    return read(clickhouse_client(settings), project, start, end, registered=known, changes=changes)


async def _changes(settings: Settings, project: str, start: datetime, end: datetime) -> list[Change]:
    """Ask what the page asks under "What changed"."""
    from llmtower_dashboards.ask import Asker, AskError
    from llmtower_dashboards.macros import Frame
    from llmtower_dashboards.registry import PANELS
    from llmtower_processors.errors import LlmtowerError

    try:
        async with Asker(settings.clickhouse.client_options()) as asker:
            answer = await asker.ask(PANELS["overview_changed"], Frame(start, end, variables={"project": [project]}))
    except AskError as error:
        raise LlmtowerError(str(error)) from error
    names = [column.name for column in answer.columns]
    rows = [dict(zip(names, row, strict=True)) for row in answer.rows]
    return [Change(row["time"], row["kind"], row["app"], row["what"], row["detail"]) for row in rows]


def _send(settings: Settings, file: Path | None, routes: list[str], head: str, body: str) -> None:
    from llmtower_processors.alerts.load import load_rules
    from llmtower_processors.alerts.model import SendError
    from llmtower_processors.alerts.send.build import build_senders
    from llmtower_processors.errors import LlmtowerError, NotConfigured

    senders = build_senders(load_rules(file).routes, settings.alerts, os.environ)
    for name in routes:
        if name not in senders:
            there = ", ".join(senders) or "none"
            raise NotConfigured(f"There is no route {name}; there are {there}. See `llmtower alerts test-route --help`.")
    for name in routes:
        try:
            asyncio.run(senders[name].tell(head, body))
        except SendError as error:
            raise LlmtowerError(f"The report was written, but route {name} did not take it: {error}") from error
        typer.echo(f"sent to {name}", err=True)
