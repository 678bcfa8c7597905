"""`prompts test`: versions and models over a dataset, through the real client; resumable, within a budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.prompts.experiment import Outcome, paired

Titles = Annotated[list[str], typer.Argument(metavar="VERSION…", help="Versions, the first is what others are held against.")]
Dataset = Annotated[
    str,
    typer.Option(metavar="FILE|NAME[@VERSION]", help='A JSONL file, {"variables": {…}, "expected": "…"} a line, or a dataset by its name.'),
]
Mapped = Annotated[
    list[str] | None,
    typer.Option("--map", metavar="VARIABLE=FIELD", help="Which field of a case a variable is (or expected, or documents); several times."),
]
MostCases = Annotated[
    int, typer.Option("--cases", min=0, help="The first so many cases; 0 = all. Datasets are in an order drawn by chance.")
]
Models = Annotated[list[str] | None, typer.Option("--model", help="Model to ask; several times [default: the prompt's own].")]
Checks = Annotated[
    list[str] | None,
    typer.Option("--check", help="exact, contains, json, regex:PATTERN, json-schema:FILE or module:function; several times."),
]
Judges = Annotated[
    list[str] | None,
    typer.Option(
        "--judge", help="Rubric to judge by; several times; none = nobody [default: where LLMTOWER_JUDGE__BASE_URL is set, its own]."
    ),
]
Concurrency = Annotated[int, typer.Option(min=1, max=256, help="Calls at a time.")]
Budget = Annotated[float, typer.Option(min=0, help="US dollars, the judge's included, after which no further call is begun; 0 = no limit.")]
Out = Annotated[Path, typer.Option(help="File of results; an interrupted run goes on from it.")]
Name = Annotated[str, typer.Option(help="Name of the experiment: tag of its calls.")]
BaseUrl = Annotated[str, typer.Option(help="OpenAI-compatible endpoint [default: OPENAI_BASE_URL, else OpenAI's own].")]


@dataclass(frozen=True, slots=True)
class Asked:
    """The options of an experiment, as they were given."""

    titles: Sequence[str]
    dataset: str
    mapping: Sequence[str]
    most_cases: int
    models: Sequence[str]
    checks: Sequence[str]
    judges: Sequence[str]
    concurrency: int
    budget: float
    out: Path
    name: str
    base_url: str
    data_dir: Path


def prompts_test(
    titles: Titles,
    dataset: Dataset,
    mapping: Mapped = None,
    most_cases: MostCases = 0,
    models: Models = None,
    checks: Checks = None,
    judges: Judges = None,
    concurrency: Concurrency = 4,
    budget: Budget = 1.0,
    out: Out = Path("experiment.jsonl"),
    name: Name = "prompts test",
    base_url: BaseUrl = "",
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Ask versions and models every case of a dataset, score the answers, and compare them pairwise with intervals and significance.

    Scored by your checks and as in production: local scorers, toxicity (LLMTOWER_TOXICITY__MODEL), judge (LLMTOWER_JUDGE__BASE_URL).

    Calls go through the `openai` client (OPENAI_API_KEY) and the SDK with environment=experiment, so they are in `calls` and `scores` too.

    Example: `llmtower prompts test support/answer@production support/answer@8 --dataset failures@2 --model gpt-4o-mini --check contains`
    """
    from llmtower_processors.cli.trial_plans import hold

    plan = (titles, dataset, mapping or (), most_cases, models or (), checks or (), judges or ())
    held = hold(Asked(*plan, concurrency, budget, out, name, base_url, data_dir))
    _show(held.arms, held.outcomes, output)
    if held.stopped:
        typer.echo(f"{held.stopped}: {held.missing} calls were not begun.", err=True)
        raise typer.Exit(1)


def _show(arms: Sequence[str], outcomes: Sequence[Outcome], output: Format) -> None:
    from llmtower_processors.cli.data import show

    show(("version and model", "answers", "failed", "cost, $", "scores"), [_row(arm, outcomes) for arm in arms], output)
    for other in arms[1:]:
        typer.echo(f"{other} held against {arms[0]}, case by case:")
        show(("figure", "A", "B", "B - A, 95 %", "p", "verdict"), [_compared(one) for one in paired(outcomes, arms[0], other)], output)


def _row(arm: str, outcomes: Sequence[Outcome]) -> tuple[Any, ...]:
    own = [one for one in outcomes if one.arm == arm]
    good = [one for one in own if not one.error]
    names = sorted({name for one in good for name in one.scores})
    means = {name: [one.scores[name] for one in good if name in one.scores] for name in names}
    scores = ", ".join(f"{name} {sum(values) / len(values):.3g}" for name, values in means.items())
    broken = sorted({name for one in good for name in one.failed_scorers})
    unpriced, judged = sum(one.nano_usd is None for one in good), sum(one.judge_nano_usd for one in good)
    cost = f"{sum(one.nano_usd or 0 for one in good) / 1e9:.4f}" + (f" + {unpriced} unpriced" if unpriced else "")
    cost += f" + {judged / 1e9:.4f} judge" if judged else ""
    return arm, len(good), len(own) - len(good), cost, scores + (f"; failed: {', '.join(broken)}" if broken else "")


def _compared(one: Any) -> tuple[str, ...]:
    shown = one.difference
    between = "unknown" if shown is None else f"{shown.value:+.4g} [{shown.low:.4g}, {shown.high:.4g}]"
    values = [f"{side.value:.4g}" if side else "unknown" for side in (one.a, one.b)]
    return f"{one.figure}{f', {one.unit}' if one.unit else ''}", *values, between, "" if shown is None else f"{shown.p:.3f}", one.verdict
