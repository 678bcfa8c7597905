"""What changed, and what left what was usual: first sights, labels that were moved, figures against trailing days."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
from tests.integration.dashboards.columns import Row, Table
from tests.integration.dashboards.oracle import Found, Look, at, cost, failed, floor, grouped, moment, percentile, priced, total
from tests.integration.dashboards.pipeline import us

KNOWN_DAYS: Final = 30
ENOUGH_CALLS: Final = 50
ENOUGH_RANGES: Final = 3
MARGIN: Final = 0.25
Change = tuple[str, str, str, Any, str]
"""Kind, app, what, time, detail."""


@dataclass(frozen=True)
class Detail:
    """The words around a figure, the least and the most of the ranges before: each rounded to three digits."""

    figures: tuple[float, float, float]

    def holds(self, value: str) -> bool:
        """Whether these are the words; percentiles are read from digests."""
        found = re.fullmatch(r"(\S+) \((\S+) to (\S+) in the same hours before\)", value)
        return found is not None and all(
            abs(float(text) - right) <= 0.006 * abs(right) for text, right in zip(found.groups(), self.figures, strict=True)
        )


def _known(look: Look) -> Table:
    """Calls of the thirty days before the hour in which the range begins, of every app."""
    hour, calls = floor(look.frame.start, 3_600), look.world["calls"]
    return calls.where((calls["started_at"] >= us(hour - timedelta(days=KNOWN_DAYS))) & (calls["started_at"] < us(hour)))


def _first_sights(look: Look, kind: str, columns: Sequence[str]) -> list[Change]:
    rows, known = look.rows("calls", floor(look.frame.start, 3_600)), _known(look)
    before, apps = ({key for key, _ in known.groups(by)} for by in (("app", *columns), ("app",)))
    fine = 60 if look.span <= timedelta(days=1) else 3_600
    found = grouped(rows, ("app", *columns), lambda seen: {"first": at(int(seen["started_at"].min()), fine)})
    return [
        (kind, app, " ".join(what), seen["first"], "")
        for (app, *what), seen in found.items()
        if what[0] and (app, *what) not in before and (app,) in apps and seen["first"] >= look.start()
    ]


def _deploys(look: Look) -> list[Change]:
    rows = look.rows("deploys", time="at")
    return [("deploy", row["app"], f"version {row['version']}", at(row["at"], 1), row["note"]) for row in rows]


def _moves(look: Look) -> list[Change]:
    """Labels that were moved: for each app that uses the prompt, or for none where nobody does."""
    begin = floor(look.frame.start, 3_600) - timedelta(days=KNOWN_DAYS)
    scope = {name: values for name, values in look.frame.variables.items() if name in ("project", "environment", "app")}
    used = Look(look.world, type(look.frame)(look.frame.start, look.frame.end, look.frame.interval_s, scope)).rows("calls", begin)
    users = [key for key, _ in used.groups(("app", "prompt_name"))]
    everywhere = look.world["calls"]
    everybody = everywhere.where((everywhere["started_at"] >= us(begin)) & (everywhere["started_at"] < us(look.frame.end)))["prompt_name"]
    found: list[Change] = []
    for row in look.world["registry_events"]:
        if row["kind"] in ("label", "model") and us(look.frame.start) <= row["at"] * 1_000 < us(look.frame.end):
            apps = [app for app, prompt in users if prompt == row["name"]]
            apps = apps or ([] if bool((everybody == row["name"]).any()) else [""])
            found += [(row["action"], app, _said(row), at(row["at"] * 1_000, 1), _by(row)) for app in apps]
    return found


def _by(row: Row) -> str:
    return f"by {row['by']}{row['note'] and ': '}{row['note']}"


def _said(row: Row) -> str:
    return f"{row['name']} {row['label']} {row['replaced'] + ' → ' if row['replaced'] else ''}{row['version']}"


def _p95(rows: Table) -> float:
    found = percentile(rows["duration_us"], 0.95)
    assert found
    return (found.low + found.high) / 2e6


def _per_hour(rows: Table) -> float:
    return len(rows) / len(np.unique(rows["started_at"] // 3_600_000_000))


def _tokens(rows: Table) -> float:
    return (total(rows, "output_tokens") + total(rows, "reasoning_tokens")) / len(rows)


_FIGURES: Final[Mapping[str, Callable[[Table], float | None]]] = {
    "p95 duration, s": _p95,
    "error rate, %": lambda rows: 100 * failed(rows) / len(rows),
    "cost per 1,000 calls, USD": lambda rows: 1_000 * cost(rows) / priced(rows) if priced(rows) else None,
    "calls per hour": _per_hour,
    "output tokens per call": _tokens,
}


def _left(figures: Mapping[str, Callable[[Table], float | None]], ranges: Sequence[Table], size: Callable[[Table], int]) -> Found:
    """Figures per app of the first range that lie beyond all of the others, by a quarter of the one in the middle."""
    found: Found = {}
    asked = [{key[0]: rows for key, rows in one.groups(("app",)) if size(rows) >= ENOUGH_CALLS} for one in ranges]
    for app, rows in asked[0].items():
        for name, figure in figures.items():
            now = figure(rows)
            past = sorted(value for one in asked[1:] if app in one and (value := figure(one[app])) is not None)
            if now is None or len(past) < ENOUGH_RANGES:
                continue
            middle = past[(len(past) + 1) // 2 - 1]
            if now > past[-1] + MARGIN * middle or now < past[0] - MARGIN * middle:
                found[app, name] = {"now": now, "usual": middle, "detail": Detail((now, past[0], past[-1]))}
    return found


def _snapshots(look: Look) -> list[Change]:
    """Another snapshot answers for a model that an app used before; to the hour. Prompts are not kept there."""
    variables = {name: values for name, values in look.frame.variables.items() if name != "prompt"}
    look = Look(look.world, replace(look.frame, variables=variables))
    hour = floor(look.frame.start, 3_600)
    rows, known = look.rows("calls", hour - timedelta(days=KNOWN_DAYS)), _known(look)
    before = {key for key, _ in known.where(known["response_model"] != "").groups(("app", "request_model"))}
    by = ("app", "request_model", "response_model")
    found = grouped(rows.where(rows["response_model"] != ""), by, lambda seen: {"first": at(int(seen["started_at"].min()), 3_600)})
    return [
        ("snapshot", app, f"{model} → {answered}", seen["first"], "")
        for (app, model, answered), seen in found.items()
        if seen["first"] >= hour and (app, model) in before
    ]


def _changes(look: Look) -> list[Change]:
    return [
        *_deploys(look),
        *_first_sights(look, "prompt", ("prompt_name", "prompt_version")),
        *_first_sights(look, "model", ("request_model",)),
        *_moves(look),
    ]


def before(look: Look, app: str, began: datetime) -> str:
    """The last three changes of an app before a moment."""
    told = [(time, f"{kind} {what}") for kind, of, what, time, _ in [*_changes(look), *_snapshots(look)] if of == app and time <= began]
    return ", ".join(what for _, what in sorted(told, reverse=True)[:3])


def changed(look: Look) -> Found:
    """What was deployed, seen for the first time or moved in the range, and which figures left what trailing days showed."""
    changes = _changes(look)
    found: Found = {(kind, app, what): {"time": time, "detail": detail, "coincided": ""} for kind, app, what, time, detail in changes}
    ranges = [look.shifted(days, hourly=True) for days in (0, *look.back())]
    for (app, what), left in _left(_FIGURES, ranges, len).items():
        reasons = sorted(f"{kind} {named}" for kind, of, named, _, _ in changes if of == app)[:3]
        found["figure", app, what] = {"time": moment(us(look.frame.start)), "detail": left["detail"], "coincided": ", ".join(reasons)}
    return found


def _share(column: str, without: str = "without_text", factor: float = 100) -> Callable[[Table], float | None]:
    def figure(rows: Table) -> float | None:
        answers = total(rows, "calls") - total(rows, without)
        return factor * total(rows, column) / answers if answers else None

    return figure


def _ratio(of: str, by: str, factor: float = 1) -> Callable[[Table], float | None]:
    return lambda rows: factor * total(rows, of) / total(rows, by) if total(rows, by) else None


_INPUTS: Final = {"characters per input": _ratio("characters", "texts")}
_OUTPUTS: Final = {
    "tokens per answer": _share("tokens", factor=1),
    "refusals, %": _share("refusals"),
    "answers with a tool call, %": _share("tool_calls", "failed"),
    "ms per token": _ratio("timed_us", "timed_tokens", 1e-3),
}


def moved(look: Look) -> Found:
    """Which behaviour left what the same hours of trailing days showed."""
    start = floor(look.frame.start, 3_600)
    days = [timedelta(days=back) for back in (0, *look.back())]
    ranges = [look.rows("drift_ranges", start - back, look.frame.end - back, time="minute") for back in days]
    found: Found = {}
    for direction, figures in (("input", _INPUTS), ("output", _OUTPUTS)):
        sides = [rows.where(rows["direction"] == direction) for rows in ranges]
        found |= _left(figures, sides, lambda rows: int(total(rows, "calls")))
    return found
