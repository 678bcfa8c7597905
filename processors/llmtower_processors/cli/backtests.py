"""`alerts backtest`: when a rule would have fired, in words."""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import typer

from llmtower_processors.alerts.history import tracks
from llmtower_processors.alerts.load import load_rules
from llmtower_processors.alerts.message import amount
from llmtower_processors.alerts.replay import Episode, Track, replay
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.scores import FEWEST, WEEK_US, Label, Score, read_labels, score, suggest
from llmtower_processors.alerts.tables import PATIENT_S, ClickHouseTables
from llmtower_processors.cli.data import show
from llmtower_processors.connection import clickhouse_client
from llmtower_processors.errors import NotConfigured
from llmtower_schemas.alerts import group_text
from llmtower_schemas.settings import Settings


def run_backtest(
    settings: Settings, *, name: str, last_s: float, labels_file: Path | None, per_week: float | None, file: Path | None, output: str
) -> None:
    """Play a rule over the past and print it. Raises NotConfigured for a rule that is not there."""
    began = time.perf_counter()
    rule = _rule(name, file)
    labels = read_labels(labels_file) if labels_file else []
    clickhouse_client(settings).close()  # says in a sentence when it is away
    end_us = time.time_ns() // 60_000_000_000 * 60_000_000
    tables = ClickHouseTables(settings.clickhouse.client_options(), timeout_s=PATIENT_S)
    found = tracks(tables, rule, end_us - round(last_s * 1e6), end_us)
    episodes = sorted((episode for track in found for episode in replay(rule, track)), key=lambda one: one.fired_us)
    if episodes or output != "table":
        show(("fired", "lasted", "severity", "worst", "group"), [_row(rule, one, end_us) for one in episodes], output)
    if output != "table":
        return
    taken = time.perf_counter() - began
    for line in _summary(rule, found, episodes, last_s, end_us, taken):
        typer.echo(line)
    if labels:
        typer.echo(_scored(score(rule, episodes, labels)))
    if per_week is not None:
        typer.echo(_suggested(rule, found, labels, per_week))


def _rule(name: str, file: Path | None) -> Rule:
    rules = {rule.name: rule for rule in load_rules(file).rules}
    if name not in rules:
        raise NotConfigured(f"There is no rule {name}. There are: {', '.join(rules)}.")
    return rules[name]


def _row(rule: Rule, episode: Episode, end_us: int) -> tuple[object, ...]:
    ended = end_us if episode.ended_us is None else episode.ended_us
    lasted = _lasting(ended - episode.fired_us) + (" (goes on)" if episode.ended_us is None else "")
    fired = f"{datetime.fromtimestamp(episode.fired_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
    return fired, lasted, episode.severity, amount(episode.peak, rule.value_unit), group_text(episode.group) or "everything"


def _summary(rule: Rule, found: Sequence[Track], episodes: Sequence[Episode], last_s: float, end_us: int, taken_s: float) -> list[str]:
    weeks = last_s * 1e6 / WEEK_US
    total = sum((end_us if one.ended_us is None else one.ended_us) - one.fired_us for one in episodes)
    step = f"looked at every {found[0].step_us / 6e7:g} min" if found else "no group had anything to judge"
    cut = f", the {rule.top} largest" if len(found) >= rule.top else ""
    days = f"in {last_s / 86_400:.3g} days"
    often = f"{len(episodes)} times {days} ({len(episodes) / weeks:.2g} a week)"
    return [
        f"{rule.name} would have fired {often}, {_lasting(total)} in all." if episodes else f"{rule.name} would not have fired {days}.",
        f"{len(found)} groups{cut}, {step}, in {taken_s:.1f} s. Times are right to the minute or so; the data is what is stored now.",
    ]


def _scored(found: Score) -> str:
    return (
        f"Of {found.found + found.missed} named incidents it finds {found.found} (recall {_share(found.recall)}); "
        f"of its {found.true + found.false} alarms {found.true} are right (precision {_share(found.precision)})."
    )


def _suggested(rule: Rule, found: Sequence[Track], labels: Sequence[Label], per_week: float) -> str:
    best = suggest(rule, found, labels, per_week)
    if best is None:
        return f"No level can be suggested: even the highest figure came too often, or there are fewer than {FEWEST}, or 3 different ones."
    unit, threshold = rule.value_unit, best.threshold
    word = "below" if rule.levels.graded()[-1][1].below is not None else "above"
    recall = f", recall {_share(best.score.recall)}" if best.score.recall is not None else ""
    return (
        f"For at most {per_week:g} false alarms a week: {{{word}: {threshold:g}, recover: {best.recovery:g}}}, that is {word} "
        f"{amount(threshold, unit)} ({best.false_per_week:.2g} a week{recall})."
    )


def _share(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1%}"


def _lasting(duration_us: int) -> str:
    minutes = round(duration_us / 6e7)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
