"""`python -m tests.benchmarks [names…] [--quick] [--json FILE] [--markdown FILE]`: every number the README claims, one table.

Each benchmark runs in a process of its own, so that none inherits memory, threads or an open engine from another.
"""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import orjson
from rich.console import Console
from rich.table import Table

from tests.benchmarks.figures import Figure

BENCHMARKS: dict[str, str] = {
    "calls": "calls processor alone: record → rows, events per CPU-second",
    "worker": "worker against the real Kafka and engine: record → inserted block, and a plain faust agent on the same envelopes",
    "end_to_end": "everything on this machine: sustained rate, drain after a pause, event → queryable",
    "sdk": "what the SDK adds to a call, and with the broker gone",
    "wrappers": "what wrapping a client adds to a call and to a streamed chunk, beside Langfuse, OpenLLMetry and OpenLIT",
    "gateway": "spans a second through the gateway into Kafka, and its memory under 200 senders",
    "rollups": "inserts with and without the views; percentiles and histograms against exact values",
    "disk": "bytes on disk against bytes of JSON",
    "alert_corpus": "shipped alert rules over seeded quiet weeks and incidents: recall, false pages, flaps; plain thresholds beside them",
    "alerts": "a round of 500 rules x 100 groups; a backtest over a month; from an event to its notification",
    "dashboard": "a day's dashboard query on rollups and on 10 M calls",
    "datasets": "datasets built out of 10 M calls and their texts: seconds, memory, rows a second of an export",
    "exports": "exports of datasets of 100,000 and 1 M rows in every form: rows a second, and whether memory is flat",
    "panels": "every panel's query over 10 M calls",
    "page": "the live page in a browser over 10 M calls: first paint, another view, idle cost",
    "idle": "CPU and memory of an idle `llmtower up`",
    "drift": "embedding rates; false alarms of drift over a million minutes without any; how soon seeded shifts are seen",
    "prompts": "a promotion to 200 connected clients, a start with everything down, rendering",
    "scoring": "event → queryable with the scoring process stopped, and busy",
    "first_scores": "the demo with its history: from the first bad answer of the incident to its score",
    "scores": "calls a second and core through each local scorer; precision and recall of each on the corpus",
    "toxicity": "texts a second through the linear model; Detoxify's network in batches against the naive loop (needs `make clients`)",
    "drift_compare": "`drift compare` of two slices over thirty days of minutes",
    "drift_peers": "the same streams asked of Llmtower, Evidently's four methods and an online MMD: flags, delays (needs `make peers`)",
}
"""Name and meaning of every `bench_<name>.py` that gives figures (`run`)."""


def main() -> int:
    """Run what is asked for and give 1 when a target was missed or a benchmark broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="name", help=f"benchmarks to run, of {', '.join(BENCHMARKS)}; none = all")
    parser.add_argument("--quick", action="store_true", help="shorter runs, rougher figures")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the table of the README to this file")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in BENCHMARKS]:
        parser.error(f"no such benchmark: {', '.join(unknown)}. There are: {', '.join(BENCHMARKS)}.")
    console = Console()
    results, broken = _run_all(options.names or list(BENCHMARKS), quick=options.quick, console=console)
    console.print(_table(results))
    if options.json:
        options.json.write_bytes(
            orjson.dumps({name: [asdict(figure) for figure in figures] for name, figures in results.items()}, option=orjson.OPT_INDENT_2)
        )
    if options.markdown:
        options.markdown.write_text(markdown(results), "utf-8")
    for name in broken:
        console.print(f"[red]{name} broke; run it alone: python -m tests.benchmarks.bench_{name}")
    missed = any(figure.ok is False for figures in results.values() for figure in figures)
    return 1 if missed or broken else 0


def _run_all(names: list[str], *, quick: bool, console: Console) -> tuple[dict[str, list[Figure]], list[str]]:
    results: dict[str, list[Figure]] = {}
    broken = []
    for name in names:
        console.print(f"[bold]{name}[/bold]: {BENCHMARKS[name]}")
        figures = _run(name, quick=quick)
        if figures is None:
            broken.append(name)
        else:
            results[name] = figures
    return results, broken


def _run(name: str, *, quick: bool) -> list[Figure] | None:
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder:
        file = Path(folder) / "figures.json"
        command = [sys.executable, "-m", f"tests.benchmarks.bench_{name}", "--json", str(file), *(["--quick"] if quick else [])]
        if subprocess.run(command, check=False).returncode or not file.exists():
            return None
        return [Figure(**entry) for entry in orjson.loads(file.read_bytes())]


def _table(results: dict[str, list[Figure]]) -> Table:
    table = Table("benchmark", "figure", "value", "target", "", "note", title="Llmtower benchmarks")
    for name, figures in results.items():
        for figure in figures:
            mark = {True: "[green]ok", False: "[red]not reached", None: ""}[figure.ok]
            table.add_row(name, figure.name, _value(figure), figure.target, mark, figure.note)
        table.add_section()
    return table


def markdown(results: dict[str, list[Figure]]) -> str:
    """Give the table as the README shows it."""
    lines = ["| what | measured | target | |", "|---|---|---|---|"]
    for figures in results.values():
        for figure in figures:
            mark = {True: "✓", False: "**not reached**", None: ""}[figure.ok]
            note = f" {figure.note}" if figure.note else ""
            lines.append(f"| {figure.name} | {_value(figure)} | {figure.target} | {mark}{note} |")
    return "\n".join(lines) + "\n"


def _value(figure: Figure) -> str:
    number = f"{figure.value:,.0f}" if abs(figure.value) >= 1000 else f"{figure.value:.3g}"
    return f"{number} {figure.unit}".strip()


if __name__ == "__main__":
    sys.exit(main())
