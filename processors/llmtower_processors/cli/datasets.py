"""`datasets`: make versions of training and test data out of calls, look at them, hold them against each other, write them to files."""

import getpass
from pathlib import Path
from typing import Annotated, Literal

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.cli.shelves import with_models, with_shelf
from llmtower_processors.connection import clickhouse_client, load_settings
from llmtower_processors.datasets.shelf import Shelf
from llmtower_schemas.datasets import Manifest
from llmtower_schemas.model_store import Models

Name = Annotated[str, typer.Argument(help="Name of the dataset: letters, digits, '.', '_' and '-'.")]
Reference = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", help="A dataset; without a version, its last one.")]
Where = Annotated[
    str, typer.Option("--where", help="An SQL condition over the columns of `calls`: \"duration_us > 5e6 AND tags['team'] = 'x'\".")
]
Many = list[str]
Said = Annotated[
    Literal["any", "negative", "positive", "corrected"], typer.Option(help="Only calls of which people said so, by their last words.")
]
Bad = Annotated[
    Many | None, typer.Option(help="Only calls of a bad toxicity, groundedness, relevance, pii, injection or refusal; repeatable.")
]


def datasets_build(
    name: Name,
    where: Where = "",
    last: Annotated[str, typer.Option(help="Span of time up to now: 90m, 12h, 7d, 2w.")] = "7d",
    start: Annotated[str, typer.Option("--from", help="Begin, ISO 8601, UTC; instead of --last.")] = "",
    end: Annotated[str, typer.Option("--to", help="End, not included [default: now].")] = "",
    project: Annotated[str, typer.Option(help="Project of the calls.")] = "default",
    app: Annotated[str, typer.Option(help="Only of this application.")] = "",
    environment: Annotated[str, typer.Option(help="Only of this environment.")] = "",
    model: Annotated[str, typer.Option(help="Only of this request model.")] = "",
    prompt: Annotated[str, typer.Option(help="Only of this prompt: NAME or NAME@VERSION.")] = "",
    feedback: Said = "any",
    bad: Bad = None,
    score: Annotated[Many | None, typer.Option(help="Only calls with such a score: groundedness<0.3; repeatable.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="Only calls that did not end well.")] = False,
    min_usd: Annotated[float | None, typer.Option(min=0, help="Only calls that cost so many US dollars or more.")] = None,
    drifted: Annotated[bool, typer.Option("--drifted", help="Only calls of segments while they drifted.")] = False,
    random: Annotated[bool, typer.Option("--random", help="A random part of all is what is wanted.")] = False,
    stratify: Annotated[str, typer.Option(help="Spread evenly over these, between commas: app, request_model, prompt_version …")] = "",
    size: Annotated[int, typer.Option(help="Items at most, drawn by chance where there are more.")] = 10_000,
    near: Annotated[float, typer.Option(min=0, max=1, help="Texts alike to this share count as one; 0 = only equal ones.")] = 0.85,
    seed: Annotated[int, typer.Option(min=0, help="Another seed draws other calls.")] = 0,
    note: Annotated[str, typer.Option(help="What it is for.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be found and write nothing.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Make a version of a dataset: calls chosen by filters, without doubles, secrets and personal data. It never changes afterwards.

    Reads texts of calls and writes rows: needs the writer (or a user who may read `contents` and insert into `dataset_items`).

    Example: `llmtower datasets build failures --feedback negative --app support-bot --last 7d`
    """
    from llmtower_processors.cli.dataset_builds import Asked, run_build

    asked = Asked(
        where=where, last=last, start=start, end=end, project=project, app=app, environment=environment, model=model, prompt=prompt,
        feedback="" if feedback == "any" else feedback, bad=tuple(bad or ()), score=tuple(score or ()), failed=failed, min_usd=min_usd,
        drifted=drifted, random=random, stratify=stratify, size=size, near=near, seed=seed,
    )  # fmt: skip
    run_build(load_settings(data_dir, role="writer"), name, asked, by=getpass.getuser(), note=note, dry_run=dry_run)


def datasets_list(data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show every version of every dataset.

    Example: `llmtower datasets list`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.cli.dataset_builds import day

    async def work(shelf: Shelf) -> list[tuple[object, ...]]:
        return [
            (one.reference, one.project, one.counts.kept, day(one.start_us), day(one.end_us), day(one.created_at_us), one.by, one.note)
            for one in shelf.all()
        ]

    rows = with_shelf(load_settings(data_dir), work)
    show(("dataset", "project", "items", "from", "to", "built", "by", "note"), rows, output)


def datasets_show(reference: Reference, data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show a version: the question it answers, what was left out, its hash, and which models were trained on it.

    Example: `llmtower datasets show failures@2`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.cli.dataset_builds import described

    settings = load_settings(data_dir)

    async def found(shelf: Shelf) -> Manifest:
        return shelf.get(reference)

    manifest = with_shelf(settings, found)

    async def trained(models: Models) -> list[str]:
        return models.trained_on(manifest.reference)

    rows = [*described(manifest), *(("trained on it", model) for model in with_models(settings, trained))]
    show(("what", "value"), rows, output)


def datasets_diff(
    a: Annotated[str, typer.Argument(metavar="A", help="A dataset: NAME or NAME@VERSION.")],
    b: Annotated[str, typer.Argument(metavar="B", help="Another one.")],
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Hold two versions against each other: what was asked differently, which rows both have, and where the rest comes from.

    Example: `llmtower datasets diff failures@1 failures@2`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.cli.dataset_builds import differences

    settings = load_settings(data_dir)

    async def work(shelf: Shelf) -> list[tuple[object, ...]]:
        return differences(clickhouse_client(settings), shelf.get(a), shelf.get(b))

    show(("what", "value", "a", "b"), with_shelf(settings, work), output)


def datasets_export(
    reference: Reference,
    out: Annotated[Path, typer.Option("--out", help="File to write.")],
    form: Annotated[
        Literal["openai-chat", "preference", "gemini", "alpaca", "cases", "csv", "parquet"],
        typer.Option("--format", help="preference: a better and a worse answer, from corrections and feedback; cases: for prompts test."),
    ] = "openai-chat",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace the file if it is there.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Write a version to a file for training or for `prompts test`.

    Each line is checked by the rules of its form; what cannot be written is counted by reason.

    The file appears when it is whole; an interrupted export goes on where it was when the command is repeated.

    Example: `llmtower datasets export failures@2 --format openai-chat --out failures.jsonl`
    """
    from llmtower_processors.cli.bars import bar
    from llmtower_processors.datasets.errors import DatasetError
    from llmtower_processors.datasets.exports.write import export

    if out.exists() and not overwrite:
        raise DatasetError(f"{out} is there already. Choose another file, or replace it with --overwrite.")
    settings = load_settings(data_dir)

    async def found(shelf: Shelf) -> Manifest:
        return shelf.get(reference)

    manifest = with_shelf(settings, found)
    with bar("rows") as told:
        done = export(clickhouse_client(settings), manifest, form, out, progress=told)
    typer.echo(f"{out}: {done.lines:,} of {manifest.counts.kept:,} rows of {manifest.reference} as {form}, {done.bytes:,} bytes.")
    for reason, count in sorted(done.skipped.items()):
        typer.echo(f"  left out {count:,}: {reason}")
