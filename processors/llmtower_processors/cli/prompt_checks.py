"""`prompts compare` and `prompts gate`: versions beside each other, from live traffic."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from llmtower_processors.cli.library import find, run
from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.connection import clickhouse_client, load_settings
from llmtower_processors.errors import LlmtowerError, NotConfigured

if TYPE_CHECKING:
    from llmtower_processors.prompts.statistics import Compared, Estimate
    from llmtower_processors.prompts.traffic import Slice

Last = Annotated[str, typer.Option(help="Span of time up to now: 90m, 12h, 7d, 2w.")]
Environment = Annotated[str, typer.Option(help="Environment whose calls count.")]
Project = Annotated[str, typer.Option(help="Only calls of this project [default: all].")]
App = Annotated[str, typer.Option(help="Only calls of this application [default: all].")]
Allow = Annotated[
    list[str] | None,
    typer.Option("--allow", help="A figure and how much worse it may be: 'p95 duration=10%', 'error rate=0.5pp'; several times."),
]
AtLeast = Annotated[int, typer.Option(min=2, help="Observations of each version without which nothing passes.")]
Wait = Annotated[
    str, typer.Option(help="Wait so long (90s, 5m) for calls and scores to come, as right after `prompts test`; 0s = not at all.")
]

INTERVALS: Final = "Intervals are of 95 %; a verdict stands when all figures are looked at together (Holm)."
_POLL_S: Final = 2.0


def prompts_compare(
    a: Annotated[str, typer.Argument(metavar="A", help="One version: support/answer@6 or support/answer@production.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one, of the same prompt; 7 is enough.")],
    last: Last = "7d",
    environment: Environment = "production",
    project: Project = "",
    app: App = "",
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Compare two versions by live traffic: errors, cost, speed, scores, feedback, each with its 95 % interval and what it proves.

    Example: `llmtower prompts compare support/answer@6 7 --last 7d`
    """
    from llmtower_processors.cli.data import show

    name, versions = _pair(data_dir, a, b)
    among = {"environment": environment, "project": project, "app": app}
    found = _compared(data_dir, name, versions, last, among)
    if not any(one.a or one.b for one in found):
        typer.echo(f"{_nobody(name, versions, last, among)}: there is nothing to compare.")
        raise typer.Exit(0)
    show(("figure", f"A: {name}@{versions[0]}", f"B: {name}@{versions[1]}", "B - A", "p", "verdict"), lines(found), output)
    typer.echo(INTERVALS, err=True)


def prompts_gate(
    candidate: Annotated[str, typer.Argument(metavar="VERSION", help="The version that shall go live: support/answer@7.")],
    against: Annotated[str, typer.Option(help="Label or version to hold it against.")] = "production",
    worse: Allow = None,
    last: Last = "7d",
    environment: Environment = "production",
    project: Project = "",
    app: App = "",
    at_least: AtLeast = 100,
    wait: Wait = "0s",
    strict: Annotated[bool, typer.Option("--strict", help="Also refuse what is not proven to be within its margin.")] = False,
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Refuse (exit code 1) a version that is worse than production beyond a margin, or that too little is known of. For CI.

    Without --allow: 'error rate=1pp', 'p95 duration=20%', 'cost per 1,000 calls=20%'.

    Example: `llmtower prompts gate support/answer@7 --environment staging --allow "error rate=0.5pp" --allow "p95 duration=10%"`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.prompts.gate import judge, parse_margin, wanting

    margins = [parse_margin(text) for text in worse or ("error rate=1pp", "p95 duration=20%", "cost per 1,000 calls=20%")]
    base = candidate.partition("@")[0]
    name, versions = _pair(data_dir, f"{base}@{against}", candidate)
    until, among = time.monotonic() + _seconds("--wait", wait), {"environment": environment, "project": project, "app": app}
    while wanting(found := _compared(data_dir, name, versions, last, among), margins, at_least=at_least) and time.monotonic() < until:
        time.sleep(_POLL_S)
    if not found:
        raise LlmtowerError(f"{_nobody(name, versions, last, among)}: nothing passes unseen. Is it the right slice of traffic?")
    judged = judge(found, margins, at_least=at_least)
    show(("figure", "outcome", "why"), [(one.figure, one.outcome, one.sentence) for one in judged], output)
    refused = [one.figure for one in judged if one.outcome == "fails" or (strict and one.outcome == "unsure")]
    title = f"{name}@{versions[1]} against {name}@{versions[0]}"
    typer.echo(f"{title}: {'refused because of ' + ', '.join(refused) if refused else 'may go live'}.", err=True)
    raise typer.Exit(1 if refused else 0)


def _pair(data_dir: DataDir, a: str, b: str) -> tuple[str, tuple[str, str]]:
    """Give the prompt's name and both versions as calls carry them. Raises NotConfigured."""
    from llmtower_schemas.prompt_store import PromptStore

    other = f"{a.partition('@')[0]}@{b}" if b.isdecimal() else b

    async def job(store: PromptStore) -> tuple[str, tuple[str, str]]:
        one, two = await find(store, a), await find(store, other)
        if one.name != two.name:
            raise NotConfigured(f"{one.title} and {two.title} are of two prompts: compare versions of one.")
        if one.number == two.number:
            raise NotConfigured(f"{one.title} is both of them: name two versions.")
        return one.name, (str(one.number), str(two.number))

    return run(data_dir, job)


def _compared(data_dir: DataDir, name: str, versions: tuple[str, str], last: str, among: dict[str, str]) -> "list[Compared]":
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from llmtower_processors.prompts.traffic import beside

    try:
        return beside(clickhouse_client(load_settings(data_dir)), name, versions, _slice(last, among))
    except ClickHouseError as error:
        raise LlmtowerError(f"ClickHouse says: {str(error).splitlines()[0]}") from error


def _nobody(name: str, versions: tuple[str, str], last: str, among: dict[str, str]) -> str:
    where = [among["environment"] or "any environment", *(f"of {key} {among[key]}" for key in ("project", "app") if among[key])]
    return f"No calls of {name}@{versions[0]} or @{versions[1]} in {' '.join(where)} in the last {last}"


def _slice(last: str, among: dict[str, str]) -> "Slice":
    from llmtower_processors.prompts.traffic import Slice

    end = datetime.now(UTC)
    return Slice(start=end - timedelta(seconds=_seconds("--last", last)), end=end, **among)


def lines(found: "Sequence[Compared]") -> list[tuple[str, ...]]:
    """Give figures held against each other as lines."""
    return [
        (
            f"{one.figure}{f', {one.unit}' if one.unit else ''}",
            _said(one, one.a),
            _said(one, one.b),
            "unknown" if one.difference is None else _interval(one, one.difference.value, one.difference.low, one.difference.high),
            "" if one.difference is None else f"{one.difference.p:.3f}",
            one.verdict,
        )
        for one in found
    ]


def _seconds(option: str, text: str) -> float:
    from llmtower_processors.alerts.durations import seconds

    try:
        return float(seconds(text))
    except ValueError as error:
        raise NotConfigured(f"{option}: {error}.") from error


def _said(one: "Compared", estimate: "Estimate | None") -> str:
    if estimate is None:
        return "unknown"
    return f"{_interval(one, estimate.value, estimate.low, estimate.high)}, {estimate.n:,.0f}"


def _interval(one: "Compared", value: float, low: float, high: float) -> str:
    scale = 100 if one.unit == "%" else 1
    return f"{value * scale:.4g} [{low * scale:.4g}, {high * scale:.4g}]"
