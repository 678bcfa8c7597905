"""A report as Markdown, as one HTML file with its plots, or in the few lines that a chat takes. Pure."""

import base64
from collections.abc import Callable, Sequence
from html import escape
from typing import Final, Literal

from llmtower_processors.report.charts import charts
from llmtower_processors.report.judge import actions, apps, total, value, worse, written
from llmtower_processors.report.model import Facts, Value

Form = Literal["md", "html"]
SHOWN: Final = 20
Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:760px;margin:32px auto;padding:0 16px;color:#1D2433;background:#FAFAF7}"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "td,th{padding:4px 8px;text-align:left;border-bottom:1px solid #E3E5E8}div.wide{overflow-x:auto}"
    "code{background:#fff;padding:2px 4px;overflow-wrap:anywhere}"
    "h1{font-size:24px}h2{font-size:18px;margin-top:32px}svg{max-width:100%}"
)


def title(facts: Facts) -> str:
    """Name the report."""
    return f"Llmtower report: {facts.project}, {facts.start:%Y-%m-%d %H:%M} to {facts.end:%Y-%m-%d %H:%M} UTC"


def report(facts: Facts, form: Form) -> str:
    """Write it whole."""
    return _html(facts) if form == "html" else _markdown(facts)


def summary(facts: Facts) -> str:
    """Give the lines that a chat takes: the sum, what got worse, what to do."""
    found = [f"• {one.app}: {one.title} {written(one.before, one.unit)} → {written(one.now, one.unit)}" for one in worse(facts)[:5]]
    lines = [_sum(facts), "Got worse:" if found else "Nothing got worse beyond chance.", *found]
    todo = [f"{number}. {one.title}: {one.evidence}" for number, one in enumerate(actions(facts), 1)]
    return "\n".join([*lines, *(["Next:", *todo] if todo else [])])


def _sum(facts: Facts) -> str:
    calls, usd, unpriced = (total(facts, name) for name in ("calls", "cost", "unpriced_calls"))
    past = sum((figures.get("cost", Value(None, 0)).value or 0.0) for figures in facts.before.values())
    change = f" ({(usd - past) / past:+.0%} against the span before)" if past else ""
    more = f" + {unpriced:,.0f} unpriced calls" if unpriced else ""
    return f"{calls:,.0f} calls, {written(usd, 'usd')}{more}{change}."


def _cost(facts: Facts) -> Table:
    rows = []
    for app in apps(facts)[:SHOWN]:
        now, past = value(facts, app, "cost"), (facts.before.get(app, {}).get("cost", Value(None, 0)).value or 0.0)
        change = f"{(now - past) / past:+.0%}" if past else "new"
        rows.append((app, f"{value(facts, app, 'calls'):,.0f}", written(now, "usd"), change, f"{value(facts, app, 'unpriced_calls'):,.0f}"))
    return ("Application", "Calls", "Cost", "Change", "Unpriced calls"), rows


def _models(facts: Facts) -> Table:
    rows = [
        (model, written(now, "usd"), f"{(now - past) / past:+.0%}" if past else "new", f"{unpriced:,.0f}")
        for model, now, past, unpriced in facts.models[:SHOWN]
    ]
    return ("Model", "Cost", "Change", "Unpriced calls"), rows


def _worse(facts: Facts) -> Table:
    rows = [
        (one.app, one.title, written(one.before, one.unit), written(one.now, one.unit), f"{one.sample:,}", one.sure) for one in worse(facts)
    ]
    return ("Application", "What", "Before", "Now", "From", "Why it counts"), rows[:SHOWN]


def _changes(facts: Facts) -> Table:
    rows = [(f"{one.at:%Y-%m-%d %H:%M}", one.kind, one.app, one.what, one.detail) for one in facts.changes[:SHOWN]]
    return ("Time, UTC", "Kind", "Application", "What", "Detail"), rows


def _alerts(facts: Facts) -> Table:
    rows = [(one.rule, one.group, str(one.times), "firing" if one.firing else "over") for one in facts.fired[:SHOWN]]
    return ("Rule", "Of", "Times", "Now"), rows


_SECTIONS: Final[tuple[tuple[str, Callable[[Facts], Table], str], ...]] = (
    ("What changed", _changes, "Nothing was deployed, moved or seen for the first time."),
    ("What it cost", _cost, "No call in this span."),
    ("By model", _models, "No call in this span."),
    ("What got worse", _worse, "Nothing got worse beyond what chance explains."),
    ("Alerts", _alerts, "No alert fired."),
)


def _markdown(facts: Facts) -> str:
    lines = [f"# {_md(title(facts))}", "", _sum(facts), "", "## Next", ""]
    todo = actions(facts)
    lines += [f"{number}. **{_md(one.title)}.** {_md(one.evidence)}. `{one.command}`" for number, one in enumerate(todo, 1)]
    lines += [] if todo else ["Nothing that the figures ask for."]
    for name, drawn in charts(facts, apps(facts)):
        lines += ["", f"![{name}](data:image/svg+xml;base64,{base64.b64encode(drawn.encode()).decode()})"]
    for name, make, empty in _SECTIONS:
        head, rows = make(facts)
        lines += ["", f"## {name}", ""]
        if not rows:
            lines.append(empty)
            continue
        lines += [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(map(_md, row))} |" for row in rows)]
    return "\n".join(lines) + "\n"


def _md(text: str) -> str:
    """Names come from traffic: nothing of them is Markdown."""
    plain = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in "\\`*_[]<>|#" else letter for letter in plain)


def _html(facts: Facts) -> str:
    todo = actions(facts)
    items = "".join(f"<li><b>{escape(one.title)}.</b> {escape(one.evidence)}.<br><code>{escape(one.command)}</code></li>" for one in todo)
    parts = [f"<h1>{escape(title(facts))}</h1><p>{escape(_sum(facts))}</p><h2>Next</h2>"]
    parts.append(f"<ol>{items}</ol>" if todo else "<p>Nothing that the figures ask for.</p>")
    parts += [f"<h2>{escape(name)}</h2>{drawn}" for name, drawn in charts(facts, apps(facts))]
    for name, make, empty in _SECTIONS:
        head, rows = make(facts)
        cells = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows)
        table = f"<div class=wide><table><tr>{''.join(f'<th>{escape(one)}</th>' for one in head)}</tr>{cells}</table></div>"
        parts.append(f"<h2>{name}</h2>{table if rows else f'<p>{empty}</p>'}")
    head_ = (
        f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{escape(title(facts))}</title><style>{_STYLE}</style>"
    )
    return f"<!doctype html><html lang=en><head>{head_}</head><body>{''.join(parts)}</body></html>\n"
