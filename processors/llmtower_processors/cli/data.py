"""`query`, `audit`, `dead-letters`, `schema`: look at what is stored."""

import csv
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.connection import clickhouse_client, load_settings


def query(
    sql: Annotated[str, typer.Argument(metavar="SQL", help="One SELECT; tables are in database llmtower.")],
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Ask ClickHouse something, read-only.

    Example: `llmtower query "SELECT app, count() AS calls, sum(cost_nano_usd) / 1e9 AS usd FROM calls GROUP BY app" --format json`
    """
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from llmtower_processors.errors import LlmtowerError

    client = clickhouse_client(load_settings(data_dir))
    try:
        result = client.query(sql)
    except ClickHouseError as error:
        raise LlmtowerError(f"ClickHouse says: {str(error).splitlines()[0]}") from error
    show(result.column_names, result.result_rows, output)


def show(columns: Any, rows: Any, output: str) -> None:
    """Print rows as a table, one JSON object a line, or CSV."""
    if output == "json":
        for row in rows:
            sys.stdout.buffer.write(orjson.dumps(dict(zip(columns, row, strict=True)), default=str) + b"\n")
        sys.stdout.flush()
    elif output == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)
    else:
        _table(columns, rows)


def _table(columns: Any, rows: Any) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    numeric = [bool(rows) and isinstance(rows[0][index], int | float) for index in range(len(columns))]
    for name, right in zip(columns, numeric, strict=True):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text("unknown" if value is None else str(value)) for value in row))
    console = Console()
    if not console.is_terminal:
        console.width = 10_000
    console.print(table)


def _moment(text: str | None) -> datetime | None:
    """Read an ISO 8601 time; without a zone it is UTC."""
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time; write it like 2026-11-23T14:00") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def audit(
    data_dir: DataDir = DATA_DIR,
    repair: Annotated[
        bool, typer.Option("--repair", help="Re-read what is missing, delete what is doubled, rebuild rollup hours that differ.")
    ] = False,
    start: Annotated[str | None, typer.Option("--from", help="First hour, ISO 8601, UTC [default: where the last audit ended].")] = None,
    end: Annotated[str | None, typer.Option("--to", help="End, not included [default: the last closed hour].")] = None,
    output: Format = "table",
) -> None:
    """Read the promise back: every event stored exactly once, every rollup equal to its source. Exit code 1 when something is wrong.

    Example: `llmtower audit --from 2026-11-01 --repair`
    """
    from llmtower_processors.cli.audits import run_audit

    settings = load_settings(data_dir, role="writer")
    raise typer.Exit(run_audit(settings, repair=repair, start=_moment(start), end=_moment(end), output=output))


def dead_letters_list(data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show how many events could not be stored, by app and reason.

    Example: `llmtower dead-letters list`
    """
    from llmtower_processors.cli.letters import list_letters

    list_letters(load_settings(data_dir), output)


def dead_letters_show(
    letter: Annotated[str, typer.Argument(metavar="[ID]", help="Only this one: topic:partition:offset:event index.")] = "",
    app: Annotated[str, typer.Option(help="Only of this application.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, newest first.")] = 20,
    raw: Annotated[bool, typer.Option("--raw", help="Print their bytes too: they may hold prompts.")] = False,
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Show single dead letters: where each stands in Kafka and why it was refused.

    Example: `llmtower dead-letters show --app support-bot --limit 5`
    """
    from llmtower_processors.cli.letters import show_letters

    show_letters(load_settings(data_dir), letter=letter, app=app, limit=limit, raw=raw, output=output)


def dead_letters_replay(
    app: Annotated[str, typer.Option(help="Only of this application.")] = "",
    reason: Annotated[str, typer.Option(help="Only with this reason.")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Send dead letters again, after what refused them was mended; each is sent once and marked.

    Example: `llmtower dead-letters replay --app support-bot`
    """
    from llmtower_processors.cli.letters import replay_letters

    replay_letters(load_settings(data_dir, role="writer"), app=app, reason=reason)


def schema_export(
    directory: Annotated[Path, typer.Argument(help="Folder to write to.")] = Path("schemas/exported"),
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit code 1 when the files there are not current.")] = False,
) -> None:
    """Write the event contract as JSON Schema and AsyncAPI 3.1, and the JSON Schemas of alert rules and rubrics for editors.

    Example: `llmtower schema export ./contract`
    """
    from llmtower_processors.alerts.load import schema_text
    from llmtower_processors.judge.rubric import rubric_schema
    from llmtower_schemas.export import documents

    wanted = documents() | {"alerts.schema.json": schema_text(), "rubric.schema.json": rubric_schema()}
    stale = [name for name, text in wanted.items() if not _is_current(directory / name, text)]
    if check:
        typer.echo(f"not current: {', '.join(stale)}" if stale else "current")
        raise typer.Exit(1 if stale else 0)
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (directory / name).write_text(text, "utf-8")
        typer.echo(str(directory / name))


def _is_current(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text("utf-8") == text
