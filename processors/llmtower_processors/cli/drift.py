"""`drift`: how far apart are two slices of traffic, and which span of time is what the others are held against."""

import math
from datetime import UTC, datetime
from typing import Annotated

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.connection import clickhouse_client, load_settings

_SLICE = (
    "name=value between commas: project, app, environment, model, prompt (version, or name/version), direction, language, from, to, last."
)


def drift_compare(
    a: Annotated[str, typer.Option("--a", help=f"One slice, {_SLICE}")],
    b: Annotated[str, typer.Option("--b", help="The other slice.")],
    last: Annotated[str, typer.Option(help="Span of time up to now for slices that name none: 90m, 12h, 7d, 2w.")] = "7d",
    project: Annotated[str, typer.Option(help="Only this project, in both slices.")] = "",
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Compare what two slices of traffic ask and answer: distance of meaning, and behaviour.

    Example: `llmtower drift compare --a prompt=support/3 --b prompt=support/4 --last 7d`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.drift.compare import Comparison, compare, missing
    from llmtower_processors.drift.slices import read_slice, span

    end = datetime.now(UTC).replace(second=0, microsecond=0)
    shared = f",project={project}" if project else ""
    slices = [read_slice(f"{text}{shared}", end - span(last), end) for text in (a, b)]
    found = compare(clickhouse_client(load_settings(data_dir)), *slices)
    if reason := missing(found):
        typer.echo(reason, err=True)
    if not found and output == "table":
        return

    def row(one: Comparison) -> tuple[object, ...]:
        rates = [(one.rate(name, per, side)) for name, per in _RATES.values() for side in "ab"]
        head = (one.direction, one.embedder, one.verdict, _short(max(0.0, one.mmd2) ** 0.5), _short(one.chance), _short(one.mean_distance))
        return *head, one.counts["texts_a"], one.counts["texts_b"], *map(_short, rates)

    names = [f"{name}_{side}" for name in _RATES for side in "ab"]
    show(
        ("direction", "embedder", "verdict", "distance", "chance", "mean_distance", "texts_a", "texts_b", *names),
        list(map(row, found)),
        output,
    )


def drift_explain(
    a: Annotated[str, typer.Option("--a", help=f"What is usual, {_SLICE}")],
    b: Annotated[str, typer.Option("--b", help="What drifted.")],
    last: Annotated[str, typer.Option(help="Span of time up to now for slices that name none: 90m, 12h, 7d, 2w.")] = "7d",
    direction: Annotated[str, typer.Option(help="input or output.")] = "input",
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Say what is different in slice b: moved mass with example calls, terms, languages, lengths, deploys, versions and model snapshots.

    Reads texts of calls (the content reader's right); nothing of them is stored.

    Example: `llmtower drift explain --a app=support-bot --b app=support-bot,last=30m`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.drift.explain import explain
    from llmtower_processors.drift.slices import DIRECTIONS, one_of, read_slice, span

    end = datetime.now(UTC).replace(second=0, microsecond=0)
    slices = [read_slice(text, end - span(last), end) for text in (a, b)]
    chosen = one_of("direction", direction, DIRECTIONS)
    found = explain(clickhouse_client(load_settings(data_dir)), slices[0], slices[1], chosen)
    rows: list[tuple[object, ...]] = [
        ("texts read", "", *found.texts),
        ("moved mass", "", None, _short(found.moved.share)),
        ("characters a text", "", *map(_short, found.characters)),
    ]
    rows += [("term", term.word, _short(term.before), _short(term.now)) for term in found.terms]
    rows += [(share.what, share.value, _short(share.before), _short(share.now)) for share in found.shares]
    rows += [("deploy", f"{app} {version}", None, str(at)) for at, app, version in found.deploys]
    rows += [("example call", call, None, None) for call in found.examples]
    show(("what", "value", "a", "b"), rows, output)


_RATES = {
    "characters": ("characters", "calls"),
    "tokens": ("tokens", "calls"),
    "refusals": ("refusals", "answered"),
    "tool_calls": ("tool_calls", "succeeded"),
    "us_per_token": ("timed_us", "timed_tokens"),
}


def _short(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else float(f"{value:.4g}")


def baseline_set(
    name: Annotated[str, typer.Argument(help="Name of the baseline; setting it again replaces it.")],
    traffic: Annotated[str, typer.Option("--slice", help=f"Which traffic, {_SLICE}")] = "",
    last: Annotated[str, typer.Option(help="Span of time up to now, unless the slice names one.")] = "7d",
    project: Annotated[str, typer.Option(help="Project it belongs to.")] = "default",
    note: Annotated[str, typer.Option(help="Why this span is right.")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Name a span of traffic as what later traffic is held against.

    Example: `llmtower drift baseline set launch --slice app=support-bot --last 7d --note "approved by QA"`
    """
    from llmtower_processors.drift.baselines import set_baseline
    from llmtower_processors.drift.slices import read_slice, span

    now = datetime.now(UTC)
    end = now.replace(second=0, microsecond=0)
    chosen = read_slice(traffic, end - span(last), end)
    texts = set_baseline(clickhouse_client(load_settings(data_dir, role="writer")), project, name, chosen, note=note, now=now)
    typer.echo(f"Baseline {name} of project {project}: {texts:,} texts, {chosen.start:%Y-%m-%d %H:%M} to {chosen.end:%Y-%m-%d %H:%M} UTC.")


def baseline_list(data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show the baselines.

    Example: `llmtower drift baseline list`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.drift.baselines import baselines

    found = baselines(clickhouse_client(load_settings(data_dir)))
    rows = [(one.project, one.name, one.slice_text, str(one.start), str(one.end), one.note) for one in found]
    show(("project", "name", "slice", "from", "to", "note"), rows, output)


def baseline_delete(
    name: Annotated[str, typer.Argument(help="Name of the baseline.")],
    project: Annotated[str, typer.Option(help="Project it belongs to.")] = "default",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Forget a baseline.

    Example: `llmtower drift baseline delete launch`
    """
    from llmtower_processors.drift.baselines import delete_baseline

    delete_baseline(clickhouse_client(load_settings(data_dir, role="writer")), project, name, now=datetime.now(UTC))
    typer.echo(f"Baseline {name} of project {project} is gone.")
