"""`alerts check`: what can be said of a file of rules without waiting for it to fail at night."""

import re
import time
from collections.abc import Iterator
from difflib import get_close_matches
from pathlib import Path
from typing import Final

import typer

from llmtower_dashboards.registry import PANELS
from llmtower_processors.alerts.load import doubts, load_rules
from llmtower_processors.alerts.measure import Meter
from llmtower_processors.alerts.places import Fault, Places
from llmtower_processors.alerts.questions import Moment, batches, longest_look, spans
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.tables import ClickHouseTables, QuestionRefusedError
from llmtower_processors.connection import clickhouse_client
from llmtower_schemas.settings import RetentionSettings, Settings
from llmtower_schemas.tables import TABLES

_DAY_S: Final = 86_400.0
_SMALL: Final = "its figures would be too small for ever"
_SHORT: Final = "it is held against fewer days, and judges nothing with fewer than its `min_days`"


def run_check(settings: Settings, file: Path | None, *, ask: bool) -> int:
    """Print what is judged and every fault with its line and column; gives the exit code. Raises RulesError for what cannot be read."""
    rules = load_rules(file)
    active, off = rules.active(), len(rules.rules) - len(rules.active())
    typer.echo(
        f"{len(active)} rules are judged" + (f", {off} are switched off" if off else "") + f"; routes: {', '.join(rules.routes) or 'none'}"
    )
    left_out = ", ".join(f"{name}={value}" for name, values in rules.except_.items() for value in values)
    typer.echo(f"rows that no rule looks at, unless it says so itself (`except`): {left_out or 'none'}")
    places = Places(file.read_text("utf-8") if file else "")
    name = str(file) if file else "shipped rules"
    short, beyond = _beyond(active, settings.retention, places)
    found = [*doubts(file), *beyond, *_no_panel(active, places)]
    if ask:
        found += _refused(settings, active, places)
    said = [("WARN", fault) for fault in short] + [("FAIL", fault) for fault in found]
    for word, fault in sorted(said, key=lambda one: (one[1].line, one[1].column)):
        typer.echo(f"{word} {name}:{fault.line}:{fault.column}: {fault.message}" if fault.line else f"{word} {fault.message}", err=True)
    return 1 if found else 0


def _placed(fault: Fault | None, message: str) -> Fault:
    """What does not stand in this file has no line."""
    return fault or Fault(0, 0, message)


def _beyond(rules: tuple[Rule, ...], retention: RetentionSettings, places: Places) -> tuple[list[Fault], list[Fault]]:
    """Give baselines, then windows that reach further back than rows are kept: a baseline only has fewer days."""
    found: tuple[list[Fault], list[Fault]] = [], []
    for rule in rules:
        table, reach_s = longest_look(rule)
        kept = TABLES.get(table.removesuffix("_current"))
        setting = kept.retention if kept else None
        days = getattr(retention, setting) if setting else 0
        if days and reach_s > days * _DAY_S:
            message = (
                f"rule {rule.name}: looks {reach_s / _DAY_S:.3g} days back, and {table} keeps {days}"
                f" (LLMTOWER_RETENTION__{str(setting).upper()}): {_SHORT if rule.baseline else _SMALL}"
            )
            field = "baseline" if rule.baseline else "burn_rate" if rule.burn_rate else "budget" if rule.budget else "window"
            found[not rule.baseline].append(_placed(places.rule(rule.name, field, message), message))
    return found


def _no_panel(rules: tuple[Rule, ...], places: Places) -> Iterator[Fault]:
    for rule in rules:
        if rule.panel and rule.panel not in PANELS:
            near = get_close_matches(rule.panel, PANELS, n=1, cutoff=0.5)
            message = f"rule {rule.name}: no panel is called {rule.panel!r}" + (f"; did you mean {near[0]}?" if near else "")
            yield _placed(places.rule(rule.name, "panel", message), message)


def _refused(settings: Settings, rules: tuple[Rule, ...], places: Places) -> list[Fault]:
    """Ask ClickHouse every question once."""
    clickhouse_client(settings).close()  # says in a sentence when it is away
    tables = ClickHouseTables(settings.clickhouse.client_options())
    meter = Meter(tables, rules, period_s=settings.alerts.period_s)
    moment = Moment(time.time_ns() // 1_000)
    try:
        measured = meter.measure([rule for rule in rules if rule.queried], moment)
    finally:
        meter.close()
    typer.echo(f"{len(measured.readings)} rules are answered, {measured.queries} queries")
    for rule in (rule for rule in rules if rule.name in measured.cut):
        typer.echo(f"rule {rule.name} has more than {rule.top} groups; those with the largest sample are judged")
    failed = ((rule, measured.failed[rule.name]) for rule in rules if rule.name in measured.failed)
    return [_of_sql(rule, sentence, tables, moment, places) for rule, sentence in failed]


def _of_sql(rule: Rule, sentence: str, tables: ClickHouseTables, moment: Moment, places: Places) -> Fault:
    """Find the word of a rule's own SQL that ClickHouse does not take: asked once more, by itself."""
    message = f"rule {rule.name}: {sentence}"
    if not rule.sql:
        return _placed(places.rule(rule.name, "metric", message), message)
    ((batch, _),) = batches([(rule, spans(rule)[0])])
    word, before = "", ""
    try:
        tables.ask(batch.query(moment))
    except QuestionRefusedError as error:
        word = error.word
        if error.position is not None:
            sent = batch.query(moment).sql
            own = max(0, error.position - sent.index(rule.sql.rstrip().removesuffix(";")))
            near = re.match(r"\w+|\S", rule.sql[own:])
            word, before = near[0] if near else "", rule.sql[:own]
    return _placed(places.word(rule.name, "sql", word, message, before=before), message)
