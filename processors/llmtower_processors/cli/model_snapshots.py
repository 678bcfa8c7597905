"""`models snapshots`: what answered under a model's name, and whether the newest is better or worse than the one before."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from llmtower_processors.cli.models import Id, Last, Project
from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.connection import clickhouse_client, load_settings
from llmtower_schemas.model_store import ModelError

_COLUMNS = ("snapshot", "first_seen", "last_seen", "calls", "error_rate", "mean_s", "usd_per_1000")


def models_snapshots(
    model: Id,
    a: Annotated[str, typer.Argument(metavar="[A]", help="A snapshot [default: the last but one].")] = "",
    b: Annotated[str, typer.Argument(metavar="[B]", help="Another one [default: the last].")] = "",
    last: Last = "30d",
    project: Project = "default",
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Show the snapshots that answered for a model, and hold two against each other: errors, cost, speed, scores, feedback, with intervals.

    Example: `llmtower models snapshots gpt-4o --last 14d`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.cli.prompt_checks import INTERVALS, lines
    from llmtower_processors.drift.slices import span
    from llmtower_processors.models.figures import snapshots
    from llmtower_processors.prompts.traffic import SNAPSHOTS, Slice, beside

    client, end = clickhouse_client(load_settings(data_dir)), datetime.now(UTC)
    known = snapshots(client, project, model)
    show(_COLUMNS, [_row(one) for one in known], output)
    pair = chosen(model, [str(one[0]) for one in known], a, b)
    if pair is None:
        return
    found = beside(client, model, pair, Slice(start=end - span(last), end=end, project=project), SNAPSHOTS)
    if found:
        show(("figure", f"A: {pair[0]}", f"B: {pair[1]}", "B - A", "p", "verdict"), lines(found), output)
        typer.echo(INTERVALS, err=True)
    else:
        typer.echo(f"Neither {pair[0]} nor {pair[1]} answered in the last {last}: look further back with --last.", err=True)


def chosen(model: str, known: Sequence[str], a: str, b: str) -> tuple[str, str] | None:
    """Give the two to hold against each other: those named, else the last two that appeared; None where only one did. Raises ModelError."""
    there = f" There are: {', '.join(known)}." if known else ""
    if not known:
        raise ModelError(f"No answer for {model} named a snapshot (`response_model`), or nobody called it in this project.")
    if strange := [one for one in (a, b) if one and one not in known]:
        raise ModelError(f"{', '.join(strange)} never answered for {model}.{there}")
    if bool(a) != bool(b) or (a and a == b):
        raise ModelError(f"Name two snapshots, or none for the last two.{there}")
    if a:
        return a, b
    return (known[-2], known[-1]) if len(known) > 1 else None


def _row(one: tuple[Any, ...]) -> tuple[object, ...]:
    name, first, last, calls, errors, mean, usd = one
    return name, f"{first:%Y-%m-%d %H:%M}", f"{last:%Y-%m-%d %H:%M}", calls, f"{errors:.2%}", round(mean, 3), _usd(usd)


def _usd(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
