"""From the options of `prompts test` to an experiment that was held: versions and cases read, scorers made, results kept."""

import asyncio
import secrets
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.cli.trials import Messages, Trial
from llmtower_processors.connection import clickhouse_client, kafka_settings, load_settings
from llmtower_processors.errors import NotConfigured
from llmtower_processors.prompts.cases import Case, Row, file_rows, read_cases, read_mapping
from llmtower_processors.prompts.experiment import Cell, Outcome, cells, read_outcomes
from llmtower_processors.prompts.production import Production
from llmtower_processors.prompts.scorers import Check, find_checks
from llmtower_schemas.prompts import EXPERIMENT

if TYPE_CHECKING:
    from llmtower_processors.cli.prompt_tests import Asked
    from llmtower_processors.judge.rubric import Rubric
    from llmtower_processors.prompts.referee import Referee
    from llmtower_schemas.datasets import Manifest
    from llmtower_schemas.prompts import Version
    from llmtower_schemas.settings import Settings

FLUSH_S: Final = 10.0
_NOBODY: Final = "none"


@dataclass(frozen=True, slots=True)
class Held:
    """What came of an experiment; `missing` calls were not begun, for the reason in `stopped`."""

    arms: list[str]
    outcomes: list[Outcome]
    missing: int = 0
    stopped: str = ""


def hold(asked: "Asked") -> Held:
    """Hold an experiment, or what is left of it. Raises NotConfigured before any call for whatever does not fit."""
    settings = load_settings(asked.data_dir)
    checks, rubrics = find_checks(asked.checks), _rubrics(settings, asked.judges)
    scoring = "\n".join([*sorted(asked.checks), *(f"{one.score}/{one.version}/{settings.judge.model}" for one in rubrics)])
    todo = cells(_versions(asked), asked.models, _cases(settings, asked), scoring)
    messages = {cell.key: _messages(cell) for cell in todo}
    known = read_outcomes(asked.out)
    outcomes = [replace(known[cell.key], arm=cell.arm) for cell in todo if cell.key in known]
    arms = list(dict.fromkeys(cell.arm for cell in todo))
    left = {cell.key: (cell, messages[cell.key]) for cell in todo if cell.key not in known}
    if not left:
        return Held(arms, outcomes)
    client = _client(asked.base_url)
    trial = _trial(settings, asked, checks, client)
    trial.check_prices(sorted({cell.model for cell, _ in left.values()}))
    _recorded(settings, trial, left, client, rubrics, asked.concurrency)
    return Held(arms, outcomes + trial.done, len(left) - len(trial.done), trial.stopped)


def _versions(asked: "Asked") -> "list[Version]":
    from llmtower_processors.cli.library import find, run
    from llmtower_schemas.prompt_store import PromptStore

    async def versions_of(store: PromptStore) -> "list[Version]":
        return [await find(store, title) for title in asked.titles]

    return run(asked.data_dir, versions_of)


def _cases(settings: "Settings", asked: "Asked") -> list[Case]:
    """Read the cases of a file that is there, or of a dataset."""
    from llmtower_schemas.datasets import read_reference

    mapping, path = read_mapping(asked.mapping), Path(asked.dataset)
    rows: Iterator[Row]
    try:
        read_reference(asked.dataset)
        is_name = not path.is_file() and not path.suffix.startswith(".json")
    except ValueError:
        is_name = False
    rows = _rows(settings, asked.dataset) if is_name else file_rows(path)
    return read_cases(rows, mapping, source=asked.dataset, most=asked.most_cases)


def _rows(settings: "Settings", reference: str) -> Iterator[Row]:
    from llmtower.personal import redact_personal
    from llmtower.redaction import redact
    from llmtower_processors.cli.shelves import with_shelf
    from llmtower_processors.datasets.exports.cases import dataset_rows
    from llmtower_processors.datasets.shelf import Shelf

    async def found(shelf: Shelf) -> "Manifest":
        return shelf.get(reference)

    manifest = with_shelf(settings, found)
    return dataset_rows(clickhouse_client(settings), manifest, lambda text: redact_personal(redact(text)))


def _messages(cell: Cell) -> Messages:
    from llmtower.rendering import LoadedPrompt, PromptUnusableError

    version = cell.version
    values = cell.case.values_for(version)
    try:
        said = LoadedPrompt(version.name, str(version.number), version.prompt, source="registry").render(**values)
    except PromptUnusableError as error:
        raise NotConfigured(f"{cell.case.where} does not fit: {error} Nothing was asked.") from error
    return [{"role": "user", "content": said}] if isinstance(said, str) else said


def _client(base_url: str) -> Any:
    try:
        from openai import AsyncOpenAI, OpenAIError
    except ModuleNotFoundError as error:
        raise NotConfigured("prompts test needs openai: pip install 'llmtower[experiments]'.") from error
    import llmtower

    try:
        client = AsyncOpenAI(base_url=base_url or None)
    except OpenAIError as error:
        raise NotConfigured("Set OPENAI_API_KEY to the key of the endpoint (any text for one that wants none).") from error
    return llmtower.wrap_openai(client)


def _trial(settings: "Settings", asked: "Asked", checks: Sequence[tuple[str, Check]], client: Any) -> Trial:
    """Make what scores and prices: as the worker of these settings does."""
    import typer

    from llmtower.openai import host_of, provider_of
    from llmtower_processors.drift.embedders import load_embedder
    from llmtower_processors.pricing.book import load_price_book
    from llmtower_processors.quality import quality_scorers
    from llmtower_processors.toxic.cascade import Cascade
    from llmtower_processors.toxic.linear import load_linear
    from llmtower_processors.toxic.load import choose

    choice = choose(settings.toxicity, settings.data_dir)
    if choice.failed:
        typer.echo(f"Toxicity: {choice.sentence}.", err=True)
    production = Production(quality_scorers(load_embedder(settings.worker.embedder)), Cascade(load_linear, choice.strong))
    prices = load_price_book(settings.prices_file)
    return Trial(
        asked.name,
        provider_of(host_of(client)),
        checks,
        production,
        None,
        prices,
        asked.budget,
        asked.out,
        dataset=Path(asked.dataset).name.removesuffix(".jsonl"),
    )


def _rubrics(settings: "Settings", names: Sequence[str]) -> "tuple[Rubric, ...]":
    """Give the rubrics to judge by: those named, else those of the settings where a judge is set up. Raises NotConfigured, RubricError."""
    from llmtower_processors.cli.judge import chosen_rubrics
    from llmtower_processors.judge.rubric import PREFIX, load_rubrics

    if _NOBODY in names or not (names or settings.judge.base_url):
        return ()
    if not settings.judge.base_url:
        raise NotConfigured("No endpoint is named for --judge: set LLMTOWER_JUDGE__BASE_URL (docs/judge.md).")
    return load_rubrics([name.removeprefix(PREFIX) for name in names], settings.judge.rubrics_dir) if names else chosen_rubrics(settings)


def _recorded(
    settings: "Settings", trial: Trial, left: dict[str, tuple[Cell, Messages]], client: Any, rubrics: "tuple[Rubric, ...]", concurrency: int
) -> None:
    import llmtower
    from llmtower_processors.cli.bars import bar

    async def work() -> None:
        async with AsyncExitStack() as ending:
            ending.push_async_callback(client.close)
            trial.referee = await _referee(settings, rubrics, ending) if rubrics else None
            with bar("asking") as told:
                await trial.run(left, client, concurrency, told)

    servers = load_settings(settings.data_dir).kafka.bootstrap_servers
    llmtower.configure(app="experiment", environment=EXPERIMENT, project=settings.project, bootstrap_servers=servers)
    try:
        asyncio.run(work())
    finally:
        llmtower.flush(FLUSH_S)
        llmtower.close()


async def _referee(settings: "Settings", rubrics: "tuple[Rubric, ...]", ending: AsyncExitStack) -> "Referee":
    """Put the judge together; its own calls are told of by `trials`, since this process records those of the experiment."""
    from llmtower_processors.cli.judge import judge_client, judge_endpoint
    from llmtower_processors.judge.purse import Purse
    from llmtower_processors.judge.registry import KafkaRegistry
    from llmtower_processors.judge.service import NANO
    from llmtower_processors.prompts.referee import Referee
    from llmtower_processors.runtime.edges import SystemClock

    client, registry = judge_client(settings), KafkaRegistry(kafka_settings(settings))
    ending.push_async_callback(client.close)
    ending.push_async_callback(registry.close)
    purse = Purse(registry, secrets.token_hex(6), round(settings.judge.budget_usd * NANO))
    return Referee(settings.judge, rubrics, judge_endpoint(settings, client), purse, SystemClock())
