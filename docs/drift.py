"""Put what was measured into docs/drift.md, and draw docs/drift.svg: what each method flags.

Run `.venv/bin/python -m tests.benchmarks drift drift_compare drift_peers scoring --json /tmp/drift.json`, then
`.venv/bin/python docs/drift.py /tmp/drift.json`.
"""

import sys
from pathlib import Path

import orjson

LEFT, TOP, CELL, ROW = 190, 70, 86, 34
LONGEST = 480
"""Minutes of a stream."""
NULLS = ("iid", "autocorrelated", "daily-seasonal")


def table(figures: list[dict[str, object]], what: str) -> dict[str, dict[str, float]]:
    """Give the share flagged, or the delay, by method and kind of traffic."""
    found: dict[str, dict[str, float]] = {}
    for figure in figures:
        of, _, said = str(figure["name"]).rpartition(": ")
        if said == what:
            method, _, kind = of.rpartition(", ")
            found.setdefault(method, {})[kind] = float(str(figure["value"]))
    return found


def draw(shares: dict[str, dict[str, float]], delays: dict[str, dict[str, float]]) -> str:
    """Give a grid: a method a row, a kind of traffic a column; red where a flag is false, green where it is right, with its delay."""
    kinds = list(next(iter(shares.values())))
    width, height = LEFT + CELL * len(kinds) + 20, TOP + ROW * len(shares) + 50
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" font-family="Menlo, Consolas, monospace" font-size="12">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
        '<text x="12" y="22" font-size="14" font-weight="bold">Windows of ten minutes that are flagged, %</text>',
    ]
    for column, kind in enumerate(kinds):
        x = LEFT + CELL * column + CELL / 2
        words = kind.replace("5 % ", "5\u00a0% ").replace("-", " ").split(" ")
        parts += [
            f'<text x="{x}" y="{44 + 14 * line}" text-anchor="middle" fill="#444444" font-size="11">{word}</text>'
            for line, word in enumerate(words)
        ]
    for number, (method, values) in enumerate(shares.items()):
        y = TOP + ROW * number
        weight = ' font-weight="bold"' if number == 0 else ""
        parts.append(f'<text x="12" y="{y + 22}"{weight}>{method}</text>')
        for column, kind in enumerate(kinds):
            colour, opacity = ("#d03b3b" if kind in NULLS else "#2a8f4f"), 0.06 + 0.8 * values[kind] / 100
            x = LEFT + CELL * column
            parts.append(
                f'<rect x="{x + 2}" y="{y + 2}" width="{CELL - 4}" height="{ROW - 4}" rx="4" fill="{colour}" opacity="{opacity:.2f}"/>'
            )
            late = kind in delays[method]
            parts.append(f'<text x="{x + CELL / 2}" y="{y + (17 if late else 22)}" text-anchor="middle">{values[kind]:.0f}</text>')
            if late:
                words = f'text-anchor="middle" font-size="9" fill="#444444">{minutes(delays[method][kind])} min'
                parts.append(f'<text x="{x + CELL / 2}" y="{y + 29}" {words}</text>')
    parts.append(
        f'<text x="12" y="{height - 16}" fill="#444444" font-size="11">red: nothing drifts there, a flag is a false alarm · green: a shift'
        " was put in, a flag is right; below it the median delay</text></svg>"
    )
    return "\n".join(parts) + "\n"


def measured(results: dict[str, list[dict[str, object]]]) -> str:
    """Give the figures as tables of Markdown, a benchmark after the other; methods side by side as a grid."""
    lines: list[str] = []
    for name, figures in results.items():
        lines += [f"`python -m tests.benchmarks {name}`", ""]
        lines += grid(figures) if name == "drift_peers" else rows(figures)
        lines.append("")
    return "\n".join(lines)


def rows(figures: list[dict[str, object]]) -> list[str]:
    """Give a line a figure."""
    lines = ["| figure | value | target | note |", "|---|---|---|---|"]
    for figure in figures:
        missed = ", **not reached**" if figure["ok"] is False else ""
        value = f"{float(str(figure['value'])):,.3g}" if float(str(figure["value"])) < 1_000 else f"{float(str(figure['value'])):,.0f}"
        lines.append(f"| {figure['name']} | {value} {figure['unit']} | {figure['target']}{missed} | {figure['note']} |")
    return lines


def grid(figures: list[dict[str, object]]) -> list[str]:
    """Give a line a method: % of windows flagged as shipped, and behind it what is flagged of shifted ones at 1 % false alarms."""
    notes = {str(figure["name"]): str(figure["note"]) for figure in figures}
    lines: list[str] = []
    for what, head in (("flagged", "flagged, %"), ("delay", "median delay, minutes")):
        found = table(figures, what)
        kinds = list(next(iter(found.values())))
        lines += [f"| {head} | {' | '.join(kinds)} |", f"|---{'|---' * len(kinds)}|"]
        for method, values in found.items():
            cells = []
            for kind in kinds:
                equal = notes[f"{method}, {kind}: {what}"].partition(" at 1 %")[0].rpartition(", ")[2].removesuffix("%")
                shown, equal = (minutes(values[kind]), minutes(float(equal))) if what == "delay" else (f"{values[kind]:.0f}", equal)
                cells.append(shown + (f" ({equal})" if kind not in NULLS else ""))
            lines.append(f"| {method} | {' | '.join(cells)} |")
        lines.append("")
    return lines


def minutes(delay: float) -> str:
    """Write a delay; a window more than a stream has means that it was not seen."""
    return f"> {LONGEST}" if delay > LONGEST else f"{delay:.0f}"


def main() -> None:
    """Write both files."""
    results = orjson.loads(Path(sys.argv[1]).read_bytes())
    page = Path("docs/drift.md")
    head, _, rest = page.read_text("utf-8").partition("<!-- measured -->\n")
    page.write_text(f"{head}<!-- measured -->\n{measured(results)}<!-- /measured -->{rest.partition('<!-- /measured -->')[2]}", "utf-8")
    Path("docs/drift.svg").write_text(draw(*(table(results["drift_peers"], what) for what in ("flagged", "delay"))), "utf-8")


if __name__ == "__main__":
    main()
