"""`prompts test`: versions and models over a dataset, through the real client; resumable, within a budget."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.connection import load_settings
from llmtower_processors.errors import NotConfigured
from llmtower_processors.prompts.experiment import Cell, Outcome, cells, outcome_line, paired, read_cases, read_outcomes
from llmtower_processors.prompts.scorers import Check, find_check, production_scores, score

if TYPE_CHECKING:
    from llmtower_processors.pricing import PriceBook

EXPERIMENT: Final = "experiment"
FLUSH_S: Final = 10.0


def prompts_test(
    titles: Annotated[list[str], typer.Argument(metavar="VERSION…", help="Versions, the first is what others are held against.")],
    dataset: Annotated[Path, typer.Option(help='JSONL file: {"variables": {…}, "expected": "…"} a line.')],
    models: Annotated[list[str] | None, typer.Option("--model", help="Model to ask; several times [default: the prompt's own].")] = None,
    checks: Annotated[
        list[str] | None,
        typer.Option("--check", help="exact, contains, json, regex:PATTERN, json-schema:FILE or module:function; several times."),
    ] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Calls at a time.")] = 4,
    budget: Annotated[float, typer.Option(min=0, help="US dollars after which no further call is begun; 0 = no limit.")] = 1.0,
    out: Annotated[Path, typer.Option(help="File of results; an interrupted run goes on from it.")] = Path("experiment.jsonl"),
    name: Annotated[str, typer.Option(help="Name of the experiment: tag of its calls.")] = "prompts test",
    base_url: Annotated[str, typer.Option(help="OpenAI-compatible endpoint [default: OPENAI_BASE_URL, else OpenAI's own].")] = "",
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Ask versions and models every case of a dataset, score the answers, and compare them pairwise with intervals and significance.

    Calls go through the `openai` client (OPENAI_API_KEY) and the SDK with environment=experiment, so they are in `calls` and `scores` too.

    Example: `llmtower prompts test support/answer@production support/answer@8 --dataset cases.jsonl --model gpt-4o-mini --check contains`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.cli.library import find, run
    from llmtower_schemas.prompt_store import PromptStore
    from llmtower_schemas.prompts import Version

    async def versions_of(store: PromptStore) -> list[Version]:
        return [await find(store, title) for title in titles]

    found = [find_check(text) for text in checks or ()]
    todo = cells(run(data_dir, versions_of), models or (), read_cases(dataset))
    known = read_outcomes(out)
    outcomes = [replace(known[cell.key], arm=cell.arm) for cell in todo if cell.key in known]
    left = [cell for cell in todo if cell.key not in known]
    trial = Experiment(name, found, _price_book(data_dir), budget, out)
    if left:
        outcomes += trial.run(left, base_url, concurrency, data_dir)
    arms = list(dict.fromkeys(cell.arm for cell in todo))
    show(("version and model", "answers", "failed", "cost, $", "scores"), [_row(arm, outcomes) for arm in arms], output)
    for other in arms[1:]:
        typer.echo(f"{other} held against {arms[0]}, case by case:")
        show(("figure", "A", "B", "B - A, 95 %", "p", "verdict"), [_compared(one) for one in paired(outcomes, arms[0], other)], output)
    if trial.stopped:
        missing = len(todo) - len(outcomes)
        typer.echo(f"The budget of ${budget:g} is spent: {missing} calls were not begun. Raise --budget and run again.", err=True)
        raise typer.Exit(1)


@dataclass
class Experiment:
    """One run: what it may spend, and where its results go, a line as soon as one is there."""

    name: str
    checks: Sequence[tuple[str, Check]]
    prices: "PriceBook"
    budget: float
    out: Path
    spent_nano_usd: int = 0
    stopped: bool = False
    _done: list[Outcome] = field(default_factory=list)

    def run(self, left: Sequence[Cell], base_url: str, concurrency: int, data_dir: Path) -> list[Outcome]:
        """Ask all cells, and give what came of those begun. Raises NotConfigured, before any call, for a case that does not fit."""
        import llmtower

        messages = {cell.key: _messages(cell) for cell in left}
        servers = load_settings(data_dir).kafka.bootstrap_servers
        llmtower.configure(app="experiment", environment=EXPERIMENT, bootstrap_servers=servers)
        try:
            with _progress(len(left)) as advance:
                asyncio.run(self._all(left, messages, _client(base_url), concurrency, advance))
        finally:
            llmtower.flush(FLUSH_S)
            llmtower.close()
        return self._done

    async def _all(
        self, left: Sequence[Cell], messages: Mapping[str, Any], client: Any, concurrency: int, advance: Callable[[], None]
    ) -> None:
        waiting = iter(left)

        async def worker() -> None:
            for cell in waiting:
                if self.budget and self.spent_nano_usd >= self.budget * 1e9:
                    self.stopped = True
                    return
                self._keep(await self._ask(cell, messages[cell.key], client))
                advance()

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(concurrency):
                    group.create_task(worker())
        finally:
            await client.close()

    async def _ask(self, cell: Cell, messages: list[dict[str, str]], client: Any) -> Outcome:
        import llmtower

        prompt = cell.version.prompt
        parameters = {key: value for key, value in prompt.parameters.items() if key != "model"}
        tools = {"tools": list(prompt.tools)} if prompt.tools else {}
        named, began = (cell.version.name, str(cell.version.number)), time.monotonic()
        try:
            with llmtower.context(prompt=named, tags={"experiment": self.name, "case": cell.case.key}):
                answer = await client.chat.completions.create(model=cell.model, messages=messages, **parameters, **tools)
        except Exception as error:
            return Outcome(cell.key, cell.arm, cell.case.key, error=type(error).__name__, seconds=time.monotonic() - began)
        return self._scored(cell, answer, messages[-1]["content"], time.monotonic() - began)

    def _scored(self, cell: Cell, answer: Any, question: str, seconds: float) -> Outcome:
        text = str(answer.choices[0].message.content or "") if answer.choices else ""
        event = _event(cell, answer, seconds)
        cost = self.prices.price(event).total
        own, failed = score(self.checks, text, cell.case.expected, cell.case.variables)
        _record_scores(cell, answer, own)
        scores = production_scores(question, text, event) | own
        return Outcome(cell.key, cell.arm, cell.case.key, seconds=seconds, nano_usd=cost, scores=scores, failed_scorers=failed)

    def _keep(self, outcome: Outcome) -> None:
        self.spent_nano_usd += outcome.nano_usd or 0
        self._done.append(outcome)
        with self.out.open("ab") as file:
            file.write(outcome_line(outcome))


def _messages(cell: Cell) -> list[dict[str, str]]:
    from llmtower.rendering import LoadedPrompt, PromptUnusableError

    version = cell.version
    try:
        said = LoadedPrompt(version.name, str(version.number), version.prompt, source="registry").render(**cell.case.variables)
    except PromptUnusableError as error:
        raise NotConfigured(f"A case does not fit: {error} Nothing was asked.") from error
    return [{"role": "user", "content": said}] if isinstance(said, str) else said


def _event(cell: Cell, answer: Any, seconds: float) -> Any:
    """Give the call as an event, for its price and for scorers that look at how it ended."""
    from llmtower.usage import convert
    from llmtower_processors.structs import STRUCTS, USAGE
    from llmtower_schemas.events import ResponseEvent

    raw = answer.usage.model_dump(exclude_none=True) if answer.usage is not None else {}
    buckets = convert(raw).buckets
    return STRUCTS[ResponseEvent](
        app="experiment",
        call_id="",
        provider="openai",
        request_model=cell.model,
        response_model=str(answer.model or ""),
        started_at_ns=time.time_ns(),
        duration_us=int(seconds * 1e6),
        usage=USAGE(**buckets) if buckets is not None else None,
        usage_source="provider" if buckets else "missing",
        finish_reasons=[choice.finish_reason for choice in answer.choices if choice.finish_reason],
    )


def _record_scores(cell: Cell, answer: Any, own: dict[str, float]) -> None:
    """Send what one's own checks said; the scorers of production see the call themselves."""
    import llmtower

    for title, value in own.items():
        llmtower.record(
            {
                "type": "score",
                "target_kind": "response_id",
                "target_id": str(answer.id),
                "name": title,
                "value": value,
                "scorer": "prompts test",
                "prompt_name": cell.version.name,
                "prompt_version": str(cell.version.number),
                "request_model": cell.model,
            }
        )


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
    llmtower.wrap_openai(client)
    return client


def _price_book(data_dir: Path) -> "PriceBook":
    from llmtower_processors.pricing.book import load_price_book

    return load_price_book(load_settings(data_dir).prices_file)


def _progress(total: int) -> "_Progress":
    return _Progress(total)


class _Progress:
    """A bar on a terminal, nothing elsewhere."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import Progress

        console = Console(stderr=True)
        self._bar = Progress(console=console, disable=not console.is_terminal)
        self._task = self._bar.add_task("asking", total=total)

    def __enter__(self) -> Callable[[], None]:
        self._bar.start()
        return lambda: self._bar.advance(self._task)

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _row(arm: str, outcomes: Sequence[Outcome]) -> tuple[Any, ...]:
    own = [one for one in outcomes if one.arm == arm]
    good = [one for one in own if not one.error]
    names = sorted({name for one in good for name in one.scores})
    means = {name: [one.scores[name] for one in good if name in one.scores] for name in names}
    scores = ", ".join(f"{name} {sum(values) / len(values):.3g}" for name, values in means.items())
    broken = sorted({name for one in good for name in one.failed_scorers})
    unpriced = sum(one.nano_usd is None for one in good)
    cost = f"{sum(one.nano_usd or 0 for one in good) / 1e9:.4f}" + (f" + {unpriced} unpriced" if unpriced else "")
    return arm, len(good), len(own) - len(good), cost, scores + (f"; failed: {', '.join(broken)}" if broken else "")


def _compared(one: Any) -> tuple[str, ...]:
    shown = one.difference
    between = "unknown" if shown is None else f"{shown.value:+.4g} [{shown.low:.4g}, {shown.high:.4g}]"
    values = [f"{side.value:.4g}" if side else "unknown" for side in (one.a, one.b)]
    return f"{one.figure}{f', {one.unit}' if one.unit else ''}", *values, between, "" if shown is None else f"{shown.p:.3f}", one.verdict
