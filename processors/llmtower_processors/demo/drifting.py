"""What the closing summary says of drift: how far the app of the script's topic drift has moved from its own week of history."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from clickhouse_connect.driver.client import Client
from rich.text import Text

from llmtower_processors.drift.evaluate import judge_all
from llmtower_processors.drift.judge import INSUFFICIENT
from llmtower_processors.drift.metrics import EMBEDDING

from .figures import await_scores
from .numbers import count, significant
from .scenario import PHASES

APP = next(phase.drift_app for phase in PHASES if phase.drift_app)
WINDOWS = (10, 60)
"""Minutes; of each model the one that says most is shown."""
PATIENCE_S = 30.0
"""Scoring runs at low priority: it may be so far behind the calls when the demo ends."""


@dataclass(frozen=True, slots=True)
class Moved:
    """How far what one model is asked lies from its reference, in the last ten minutes."""

    app: str
    model: str
    status: str
    statistic: float
    """Squared distance in units of its expected noise: about 0 where nothing changed."""
    threshold: float
    window_minutes: int
    texts: int
    reference: str


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Why nothing can be said: how far the scoring process is behind, and the reasons of the verdicts that are none."""

    behind: int
    reasons: Sequence[str]


def read_drift(client: Client) -> list[Moved] | Unjudged:
    """Wait for the scoring process, then judge the questions of the drifting app now: a demo may end before the timer's next minute."""
    behind = await_scores(client, lambda scored: scored.unsketched, PATIENCE_S).unsketched
    verdicts, _ = judge_all(
        client, int(time.time()) // 60 * 60 + 60, lambda key: (key.app, key.direction) == (APP, "input"), metrics=(EMBEDDING,)
    )
    found: dict[str, Moved] = {}
    for what, one in verdicts:
        if what.window in WINDOWS and one.status != INSUFFICIENT:
            key = what.key
            row = Moved(key.app, key.request_model, one.status, one.statistic, one.threshold, what.window, one.texts, what.reference)
            best = found.setdefault(key.request_model, row)
            if row.statistic / row.threshold > best.statistic / best.threshold:
                found[key.request_model] = row
    reasons = sorted({one.reason for what, one in verdicts if what.window in WINDOWS and one.reason})
    return list(found.values()) or Unjudged(behind, reasons)


def drift_summary(moved: Sequence[Moved] | Unjudged) -> list[dict[str, Any]]:
    """Give the entry of the JSON summary; empty where nothing could be judged."""
    return [] if isinstance(moved, Unjudged) else [asdict(one) for one in moved]


def drift_lines(moved: Sequence[Moved] | Unjudged) -> list[Text]:
    """Say it in words, the farthest first."""
    if isinstance(moved, Unjudged):
        reasons = ", ".join(moved.reasons) or "no texts yet"
        behind = f"; scoring is {count(moved.behind)} events behind" if moved.behind else ""
        return [Text(f"○ Drift: what {APP} is asked cannot be judged yet ({reasons}{behind})", style="dim")]
    lines = []
    for one in sorted(moved, key=lambda one: -one.statistic):
        mark, style = ("●", "bold yellow") if one.status == "drift" else ("○", "dim")
        against = f"held against its {one.reference}" if one.reference.startswith("other") else f"held against {one.reference} days"
        said = f"{mark} Drift: what {one.app} asks {one.model} is {significant(max(0.0, one.statistic))} times its noise away"
        lines.append(
            Text(
                f"{said} (alarm from {significant(one.threshold)}; {count(one.texts)} texts of {one.window_minutes} min, {against})",
                style=style,
            )
        )
    return lines
