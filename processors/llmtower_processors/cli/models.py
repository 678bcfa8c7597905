"""`models`: what is known of models and fine-tunes, what nobody registered, and how their traffic compares."""

import getpass
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.cli.shelves import with_models, with_shelf
from llmtower_processors.connection import clickhouse_client, load_settings
from llmtower_processors.datasets.shelf import Shelf
from llmtower_schemas.model_store import Models
from llmtower_schemas.models import Model

Id = Annotated[str, typer.Argument(metavar="MODEL", help="The id by which it is called: ft:…, an ARN, a tag, or a plain name.")]
Project = Annotated[str, typer.Option(help="Project of the traffic.")]
Last = Annotated[str, typer.Option(help="Span of time up to now: 90m, 12h, 7d, 2w.")]


def models_register(
    model: Id,
    provider: Annotated[str, typer.Option(help="Who runs it, as in traffic: openai, aws.bedrock, ollama …")] = "",
    base: Annotated[str, typer.Option(help="The model it was trained from [default: what its id says].")] = "",
    dataset: Annotated[str, typer.Option(help="What it was trained on: NAME or NAME@VERSION of `llmtower datasets`.")] = "",
    parameter: Annotated[list[str] | None, typer.Option(help="How it was trained: epochs=3; repeatable.")] = None,
    job: Annotated[str, typer.Option(help="The training job's id or address.")] = "",
    owner: Annotated[str, typer.Option(help="Who answers for it.")] = "",
    input_usd: Annotated[float | None, typer.Option(min=0, help="US dollars per million input tokens: a note.")] = None,
    output_usd: Annotated[float | None, typer.Option(min=0, help="US dollars per million output tokens: a note.")] = None,
    licence: Annotated[str, typer.Option(help="A note on its licence.")] = "",
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Write down what a model is. Registering it again replaces what was said; its stage stays, a new one is a candidate.

    Prices are notes: calls are priced by the price book and by LLMTOWER_PRICES_FILE, for which the entry is printed.

    Example: `llmtower models register ft:gpt-4o-mini:acme:support:x1 --provider openai --dataset failures@2 --owner ada`
    """
    from llmtower_processors.cli.model_views import made

    settings = load_settings(data_dir)

    async def manifest(shelf: Shelf) -> tuple[str, str]:
        found = shelf.get(dataset)
        return found.reference, found.sha256

    trained = with_shelf(settings, manifest) if dataset else ("", "")
    wanted = made(
        model, provider=provider, base=base, trained=trained, parameters=parameter or [], job=job, owner=owner,
        input_usd=input_usd, output_usd=output_usd, licence=licence, note=note, by=getpass.getuser(),
    )  # fmt: skip

    async def register(models: Models) -> str:
        return (await models.register(wanted)).stage

    _tell(wanted, with_models(settings, register))


def _tell(model: Model, stage: str) -> None:
    from llmtower_processors.cli.model_views import price_entry

    typer.echo(f"{model.model} is registered, stage {stage}." + (f" Trained on {model.dataset}." if model.dataset else ""))
    if entry := price_entry(model, datetime.now(UTC).date()):
        typer.echo(
            f"This price is a note. For calls to be priced by it, from today on, put into the file of LLMTOWER_PRICES_FILE:\n{entry}"
        )


def models_stage(
    model: Id,
    stage: Annotated[str, typer.Argument(metavar="STAGE", help="candidate, production or retired.")],
    note: Annotated[str, typer.Option(help="Why.")] = "",
    key: Annotated[
        str, typer.Option(help="Key of the scope promote, where production is protected [default: LLMTOWER_PROMPTS__KEY].")
    ] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Move a model to another stage; the move is a row of the audit trail and a mark on charts.

    To and from a stage of LLMTOWER_PROMPTS__PROTECTED (production) it needs a key, as soon as one of the scope promote exists.

    Example: `llmtower models stage ft:gpt-4o-mini:acme:support:x1 production --note "passed the gate"`
    """

    settings = load_settings(data_dir)
    shown = key or (settings.prompts.key.get_secret_value() if settings.prompts.key else "")

    async def move(models: Models) -> str:
        before, _ = await models.stage(model, stage, by=getpass.getuser(), note=note, protected=settings.prompts.protected, shown=shown)
        return before

    typer.echo(f"{model}: {with_models(settings, move)} → {stage}.")


def models_list(
    last: Last = "30d",
    project: Project = "default",
    unregistered: Annotated[bool, typer.Option("--unregistered", help="Only what is called in production and nobody registered.")] = False,
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Show models: registered ones, and ids in traffic that nobody registered, with when they were first seen and how much they are used.

    Example: `llmtower models list --unregistered`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.cli.model_views import LISTED, listed
    from llmtower_processors.drift.slices import span
    from llmtower_processors.models.figures import seen

    settings = load_settings(data_dir)
    known = with_models(settings, _all)
    rows = listed(known, seen(clickhouse_client(settings), project, datetime.now(UTC) - span(last)))
    show(LISTED, [row for row in rows if not unregistered or (row[1] == "unregistered" and "production" in str(row[-1]))], output)


def models_show(model: Id, last: Last = "7d", project: Project = "default", data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show one model: what is registered, its history, what it was trained on, its traffic, and the snapshots that answered for it.

    Example: `llmtower models show ft:gpt-4o-mini:acme:support:x1`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.cli.model_views import shown
    from llmtower_processors.drift.slices import span

    settings = load_settings(data_dir)

    async def history(models: Models) -> tuple[list[tuple[int, Model]], list[str]]:
        return models.history(model), sorted(name for name, one in models.all().items() if one.base == model)

    entries, tuned = with_models(settings, history)
    end = datetime.now(UTC)
    show(("what", "value"), shown(clickhouse_client(settings), project, model, entries, tuned, end - span(last), end), output)


def models_compare(
    model: Id,
    other: Annotated[str, typer.Argument(metavar="[OTHER]", help="What to hold it against [default: its base].")] = "",
    last: Last = "7d",
    project: Project = "default",
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Hold two models' traffic against each other, or a fine-tune's against its base: cost, latency, errors, feedback, scores, drift.

    Shares have 95 % intervals; `differs` says so only where they do not overlap.

    Example: `llmtower models compare ft:gpt-4o-mini:acme:support:x1 gpt-4o-mini --last 7d`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.cli.model_views import COMPARED, compared, other_of
    from llmtower_processors.drift.slices import span

    settings = load_settings(data_dir)
    against = other_of(model, other, with_models(settings, _all))
    end = datetime.now(UTC)
    show(COMPARED, compared(clickhouse_client(settings), project, model, against, end - span(last), end), output)


async def _all(models: Models) -> Mapping[str, Model]:
    return models.all()
