"""What changed, as sentences, newest first; and the texts of a call, with what was redacted made visible. Pure."""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.tags import EMPTY, Html, hidden, join, tag

MOST: Final = 8
_VERBS: Final = {"deploy": "deployed", "prompt": "new prompt", "model": "new model", "promote": "promoted", "rollback": "rolled back"}
_REDACTED: Final = re.compile(r"(\[redacted:[^\]]{1,60}\])")
_TEXTS: Final = {"input": "Asked", "output": "Answered", "retrieved": "Retrieved", "parameters": "Parameters", "error_message": "Error"}


def changes(answer: Answer, look: Look) -> Html:
    """Events with their time, then figures that left what trailing days showed."""
    rows = [dict(zip((column.name for column in answer.columns), row, strict=True)) for row in answer.rows]
    shown = rows[:MOST]
    more = len(rows) - MOST
    return join(
        tag("ul", [_item(row, look) for row in shown], class_="changes"),
        tag("details", tag("summary", f"{more} more"), tag("ul", [_item(row, look) for row in rows[MOST:]], class_="changes"))
        if more > 0
        else EMPTY,
    )


def texts(answer: Answer) -> Html:
    """The texts of a call, each folded away until it is asked for."""
    found: list[Html] = []
    for row in answer.rows:
        named = dict(zip((column.name for column in answer.columns), row, strict=True))
        for name, title in _TEXTS.items():
            if text := str(named.get(name) or ""):
                size = tag("small", f" {len(text):,} characters", class_="muted")
                found.append(tag("details", tag("summary", title, size), tag("pre", _marked(_readable(text))), class_="text"))
    return join(found)


def _item(row: Mapping[str, Any], look: Look) -> Html:
    app = tag("a", str(row["app"]), href=look.filtered("app", str(row["app"]))) if row["app"] else EMPTY
    if row["kind"] == "figure":
        name, _, unit = str(row["what"]).partition(", ")
        now, _, before = str(row["detail"]).partition(" (")
        after = f" after {row['coincided']}" if row["coincided"] else ""
        said = join(tag("strong", f"{name} {_with_unit(now, unit)}"), after, tag("span", f" · {before.rstrip(')')}", class_="muted"))
        when = tag("time", "now", datetime=look.frame.end.isoformat())
        return tag("li", when, tag("p", app, " ", said))
    when = tag("time", look.at(row["time"]), datetime=row["time"].isoformat())
    detail = tag("span", f" · {row['detail']}", class_="muted") if row["detail"] else EMPTY
    return tag("li", when, tag("p", app, f" {_VERBS.get(str(row['kind']), row['kind'])} ", tag("strong", str(row["what"])), detail))


def _with_unit(number: str, unit: str) -> str:
    if unit in ("$", "USD"):
        return f"$\u202f{number}"
    return f"{number}\u202f{unit}" if unit else number


def _readable(text: str) -> str:
    """JSON on lines of its own; other text as it is."""
    if text[:1] not in "[{":
        return text
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _marked(text: str) -> Html:
    parts = _REDACTED.split(text)
    return join(tag("mark", part, hidden(" (redacted)")) if place % 2 else part for place, part in enumerate(parts))
