"""What got worse, and the three most useful next actions. Pure."""

import re
from collections.abc import Sequence
from typing import Final

from llmtower_processors.models.figures import share
from llmtower_processors.report.model import Action, Facts, Value, Worse
from llmtower_schemas.metrics import METRICS, SCORED

SHARES: Final = ("error_rate", "negative_feedback", *(one.metric for one in SCORED))
"""Judged by intervals: worse where they do not overlap."""
LEVELS: Final = ("duration_p95", "ttft_p95", "cost_per_call")
"""Judged by size: worse from a fifth more on, with ENOUGH calls on both sides."""
SUMS: Final = ("calls", "errors", "cost", "unpriced_calls")
GREW: Final = 1.2
ENOUGH: Final = 100
ACTIONS: Final = 3
_PLAIN: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@-]{0,199}")


def worse(facts: Facts) -> list[Worse]:
    """Give what got worse, the largest change first."""
    sides = [(app, name, facts.before.get(app, {}), figures) for app, figures in facts.now.items() for name in (*SHARES, *LEVELS)]
    every = [_worse(app, name, past[name], now[name]) for app, name, past, now in sides if name in past and name in now]
    return sorted((one for one in every if one), key=lambda one: (-_growth(one), one.app, one.metric))


def _growth(one: Worse) -> float:
    return one.now / max(one.before, 0.01 if one.unit == "ratio" else 1e-9) - 1


def _worse(app: str, name: str, before: Value, now: Value) -> Worse | None:
    if before.value is None or now.value is None or now.value <= before.value:
        return None
    metric = METRICS[name]
    told = (app, name, metric.title, metric.unit, before.value, now.value, round(now.sample))
    if name in SHARES:
        sides = [share(one.value * one.sample, one.sample) for one in (before, now) if one.value is not None]
        return Worse(*told, "95 % intervals apart") if sides[0].high < sides[1].low else None
    enough = min(before.sample, now.sample) >= ENOUGH
    return Worse(*told, "more than a fifth") if enough and now.value >= GREW * before.value else None


def actions(facts: Facts) -> list[Action]:
    """Give the most useful things to do next, at most ACTIONS."""
    every = [*_of_worse(facts), *_of_feedback(facts), *_of_prices(facts), *_of_strangers(facts), *_of_alerts(facts)]
    chosen: list[Action] = []
    for one in sorted(every, key=lambda one: (-one.weight, one.title)):
        if one.title not in {other.title for other in chosen}:
            chosen.append(one)
    return chosen[:ACTIONS]


def value(facts: Facts, app: str, name: str) -> float:
    """Give a figure of the span; 0 where there is none."""
    return facts.now.get(app, {}).get(name, Value(None, 0)).value or 0.0


def total(facts: Facts, name: str) -> float:
    """Give a sum over applications."""
    return sum(value(facts, app, name) for app in facts.now)


def _of_worse(facts: Facts) -> list[Action]:
    found = []
    for one in worse(facts):
        part = value(facts, one.app, "calls") / (total(facts, "calls") or 1)
        extra = min(1.0, (one.now - one.before) * 10) if one.unit == "ratio" else min(1.0, _growth(one) / 2)
        cause = _changed(facts, one.app)
        evidence = f"{one.title}: {written(one.before, one.unit)} → {written(one.now, one.unit)} over {one.sample:,} ({one.sure})"
        if one.metric == "error_rate" and one.app in facts.errors:
            kind, count = facts.errors[one.app]
            evidence += f"; commonest: {kind}, {count:,} calls"
        command = f"llmtower drift explain --a app={_argument(one.app)} --b app={_argument(one.app)},last=1d"
        if one.metric == "cost_per_call":
            command = f"llmtower models list --project {facts.project}"
        found.append(Action(f"Find out what made {one.app} worse ({one.title.lower()})", evidence + cause, command, part * extra))
    return found


def _changed(facts: Facts, app: str) -> str:
    names = [f"{one.kind} {one.what} at {one.at:%Y-%m-%d %H:%M}" for one in facts.changes if one.app == app and one.kind != "figure"]
    return f"; changed meanwhile: {', '.join(names[:3])}" if names else ""


def _of_feedback(facts: Facts) -> list[Action]:
    found = []
    for app, figures in facts.now.items():
        rate = figures.get("negative_feedback", Value(None, 0))
        bad = (rate.value or 0.0) * rate.sample
        if bad >= 10:
            evidence = f"{bad:,.0f} of {rate.sample:,.0f} ratings are negative ({rate.value:.1%})"
            command = f"llmtower datasets build {_name(app)}-failures --feedback negative --app {_argument(app)} --last {_span(facts)}"
            part = value(facts, app, "calls") / (total(facts, "calls") or 1)
            found.append(
                Action(f"Make a dataset of what people disliked in {app}", evidence, command, (rate.value or 0) * (0.2 + 0.3 * part))
            )
    return found


def _of_prices(facts: Facts) -> list[Action]:
    unpriced, calls = total(facts, "unpriced_calls"), total(facts, "calls")
    if not unpriced:
        return []
    models = sorted(((count, model) for model, _, _, count in facts.models if count), reverse=True)
    names = ", ".join(f"{model} ({count:,.0f})" for count, model in models[:3])
    evidence = f"{unpriced:,.0f} of {calls:,.0f} calls have no price{f': {names}' if names else ''}; they are in no sum of money here"
    return [
        Action(
            "Give prices to models that have none", evidence, "LLMTOWER_PRICES__FILE=prices.yaml (docs: prices)", unpriced / (calls or 1)
        )
    ]


def _of_strangers(facts: Facts) -> list[Action]:
    if not facts.strangers:
        return []
    calls = sum(one.calls for one in facts.strangers)
    first = max(facts.strangers, key=lambda one: one.calls)
    told = ", ".join(f"{one.model} ({one.calls:,} calls, since {one.first_seen:%Y-%m-%d})" for one in facts.strangers[:3])
    weight = 0.1 * calls / (total(facts, "calls") or 1)
    evidence = f"{len(facts.strangers)} in production: {told}"
    return [Action("Register models that nobody knows", evidence, f"llmtower models register {_argument(first.model)}", weight)]


def _of_alerts(facts: Facts) -> list[Action]:
    firing = [one for one in facts.fired if one.firing]
    told = ", ".join(f"{one.rule}{f' ({one.group})' if one.group else ''}" for one in firing[:3])
    return [Action("Look at what is firing now", f"{len(firing)} alerts: {told}", "llmtower alerts list", 0.5)] if firing else []


def written(number: float, unit: str) -> str:
    """Write a figure with its unit, three significant figures."""
    if unit == "ratio":
        return f"{number:.2%}"
    if unit == "usd":
        return f"$ {number:,.2f}" if abs(number) >= 1 or not number else f"$ {number:.3g}"
    return f"{number:.3g} s" if unit == "seconds" else f"{number:,.0f}" if unit in ("calls", "events") else f"{number:.3g} {unit}"


def _span(facts: Facts) -> str:
    return f"{max(1, round((facts.end - facts.start).total_seconds() / 86_400))}d"


def _argument(name: str) -> str:
    """Give a name as it may stand in a command; names come from traffic, and odd ones are left to whoever types."""
    return name if _PLAIN.fullmatch(name) else "NAME"


def _name(app: str) -> str:
    return "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in app).strip("-") or "app"


def apps(facts: Facts) -> Sequence[str]:
    """Give the applications, most expensive first."""
    return sorted(facts.now, key=lambda app: (-value(facts, app, "cost"), app))
