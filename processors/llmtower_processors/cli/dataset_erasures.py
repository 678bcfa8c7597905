"""`datasets erase`: somebody's texts leave every version of every dataset, and the registry says so."""

import getpass
import uuid
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, DryRun
from llmtower_processors.cli.shelves import with_models, with_shelf
from llmtower_processors.connection import clickhouse_client, load_settings
from llmtower_processors.datasets.erase import calls_of, erase, rows_of
from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.shelf import Shelf
from llmtower_schemas.datasets import Erasure
from llmtower_schemas.model_store import Models

if TYPE_CHECKING:
    from llmtower_schemas.settings import Settings


def datasets_erase(
    user: Annotated[str, typer.Option(help="user_id whose calls, and calls they gave feedback on, are forgotten.")] = "",
    call: Annotated[list[str] | None, typer.Option(help="call_id to forget; repeatable.")] = None,
    project: Annotated[str, typer.Option(help="Project of the calls.")] = "default",
    note: Annotated[str, typer.Option(help="Why, for the audit trail: a ticket, never a name.")] = "",
    dry_run: DryRun = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Empty the texts of a user's rows in all versions of all datasets; rows, counts and lineage stay. Needs the writer.

    Users are found by their calls: erase here before `calls` expire. Files that were exported are yours to erase; trained models are named.

    Example: `llmtower datasets erase --user u-4711 --note "ticket 812"`
    """
    if bool(user) == bool(call):
        raise DatasetError("Name whom to forget: --user USER_ID, or --call CALL_ID (repeatable).")
    settings = load_settings(data_dir, role="writer")
    client = clickhouse_client(settings)
    calls = calls_of(client, project, user) if user else list(map(_call_id, call or ()))
    found = rows_of(client, project, calls)

    async def rows(shelf: Shelf) -> dict[str, int]:
        """The trail is written first: an erasure that is told of twice is no loss, one that is not told of is."""
        titles = {one.build_id: one.reference for one in shelf.all()}
        by_version = {titles.get(build, f"(build {build})"): count for build, count in sorted(found.items())}
        for name in sorted({title.partition("@")[0] for title in by_version}) if not dry_run else ():
            count = sum(rows for title, rows in by_version.items() if title.partition("@")[0] == name)
            await shelf.record_erasure(Erasure(dataset=name, rows=count, by=getpass.getuser(), note=note))
        return by_version

    told = with_shelf(settings, rows)
    if not dry_run:
        erase(client, project, calls)
    typer.echo(f"{len(calls):,} calls, {found.total():,} rows {'would be emptied' if dry_run else 'emptied'}.")
    _tell(settings, told)


def _tell(settings: "Settings", told: Mapping[str, int]) -> None:
    """Name what holds the rows, and the models that have learnt from them."""

    async def trained(models: Models) -> dict[str, list[str]]:
        return {title: models.trained_on(title) for title in told}

    for title, models in with_models(settings, trained).items() if told else ():
        typer.echo(f"  {title}: {told[title]:,} rows" + (f"; trained on it: {', '.join(models)}" if models else ""))


def _call_id(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise DatasetError(f"{text!r} is no call_id: it is a UUID, the `call_id` of its row in `calls`.") from error
