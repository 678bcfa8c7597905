"""What a rule's figures were, read for days at once, is what the evaluator would have read at each time."""

import json
import re
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr
from tests.benchmarks.bench_dashboard import MAKE

from llmtower_processors.alerts.history import BacktestError, tracks
from llmtower_processors.alerts.load import load_rules, parse_rules
from llmtower_processors.alerts.measure import Meter
from llmtower_processors.alerts.questions import MINUTE_US, Moment
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.tables import ClickHouseTables, QuestionRefusedError
from llmtower_processors.cli.backtests import run_backtest
from llmtower_processors.engine import EngineProcess, Role
from llmtower_schemas.queries import Query
from llmtower_schemas.settings import ClickHouseSettings, Settings

pytestmark = pytest.mark.integration

DAYS = 5
CALLS = 60_000
RULES = """
rules:
  - {name: filtered, metric: duration_p95, group_by: [app], window: 15m, where: {app: [app-1, app-2]}, levels: {warning: {above: 1}}}
  - {name: whole, metric: cost_per_success, group_by: [], window: 1h, levels: {warning: {above: 1}}}
  - {name: own, sql: "SELECT app, count() AS value, count() AS sample FROM calls WHERE started_at >= {start:DateTime64(6)} AND
      started_at < {end:DateTime64(6)} GROUP BY app", group_by: [app], window: 2h, levels: {warning: {above: 1}}}
"""


@pytest.fixture
def tables(engine: EngineProcess, database: str, client: Client) -> tuple[ClickHouseTables, int]:
    """Days of calls up to the last full hour."""
    end_us = time.time_ns() // 3_600_000_000_000 * 3_600_000_000
    spacing = DAYS * 86_400e6 / CALLS
    made = MAKE.replace("llmtower.calls", f"{database}.calls")
    client.command(made, parameters={"start_us": end_us - DAYS * 86_400_000_000, "spacing_us": spacing, "first": 0, "count": CALLS})
    options: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value, "database": database}
    return ClickHouseTables(options | {"password": engine.credentials.password(Role.WRITER)}), end_us


def test_tracks_are_what_the_evaluator_reads(tables: tuple[ClickHouseTables, int]) -> None:
    source, end_us = tables
    rules = [rule for rule in (*load_rules().rules, *parse_rules(RULES).rules) if rule.queried]
    start_us = end_us - 6 * 3_600_000_000
    compared = 0
    for rule in rules:
        if rule.sql and rule.name != "own":
            continue
        found = tracks(source, rule, start_us, end_us)
        assert found or rule.measured is None or rule.measured.source.name != "calls", rule.name
        compared += sum(
            _compare(source, rule, found, moment_us) for moment_us in (start_us + 3_600_000_000, end_us - 1_800_000_000, end_us)
        )
    assert compared > 300


def _compare(source: ClickHouseTables, rule: Rule, found: list[Any], moment_us: int) -> int:
    meter = Meter(source, [rule], period_s=2)
    try:
        meter.measure([rule], Moment(moment_us))  # reads what is usual
        readings = meter.measure([rule], Moment(moment_us, closed=True, at_us=moment_us)).readings[rule.name]
    finally:
        meter.close()
    compared = 0
    for track in found:
        place = (moment_us - track.start_us) // track.step_us
        if track.start_us + place * track.step_us != moment_us:
            continue
        reading = readings.get(tuple(track.group.values()))
        value = float(track.values[place])
        if rule.budget:  # the evaluator counts the hour that has begun as well
            continue
        if reading is None or reading.value is None:
            assert np.isnan(value), (rule.name, track.group)
            continue
        assert value == pytest.approx(reading.value, rel=2e-3), (rule.name, track.group)
        assert track.samples[place] == reading.sample, (rule.name, track.group)
        compared += 1
    return compared


def test_sql_that_is_refused_and_spans_that_are_too_long_are_sentences(tables: tuple[ClickHouseTables, int]) -> None:
    source, end_us = tables
    (broken,) = parse_rules(
        "rules: [{name: own, sql: 'SELECT app, brokn AS value FROM calls', group_by: [app], window: 1h, levels: {warning: {above: 1}}}]"
    ).rules
    with pytest.raises(BacktestError, match="Rule own: ClickHouse refuses the question: error 47"):
        tracks(source, broken, end_us - 3_600_000_000, end_us)
    with pytest.raises(BacktestError, match=r"at most 1\.0 days"):
        tracks(source, broken.model_copy(update={"window": 30.0}), end_us - 30 * 86_400_000_000, end_us)
    blind = next(rule for rule in load_rules().rules if not rule.queried)
    with pytest.raises(BacktestError, match="about the evaluator itself"):
        tracks(source, blind, end_us - MINUTE_US, end_us)


def test_a_question_about_the_past_may_take_longer_than_one_of_the_evaluator(engine: EngineProcess) -> None:
    address = {
        "host": engine.host,
        "port": engine.port,
        "username": Role.WRITER.value,
        "password": engine.credentials.password(Role.WRITER),
    }
    slow = Query("SELECT count() FROM numbers(8) WHERE sleepEachRow(0.25) = 0 SETTINGS max_block_size = 1", {})
    with pytest.raises(QuestionRefusedError, match="TIMEOUT_EXCEEDED"):
        ClickHouseTables(address, timeout_s=1).ask(slow)
    assert ClickHouseTables(address, timeout_s=60).ask(slow)[1][0][0] == 8


def test_a_hundred_thousand_groups_are_bounded_and_said(tables: tuple[ClickHouseTables, int], client: Client) -> None:
    source, _ = tables
    client.command(
        "INSERT INTO calls (project, app, request_model, started_at, status) "
        "SELECT 'default', 'loud', concat('m-', toString(number)), now64(6) - 1, 'ok' FROM numbers(100000)"
    )
    (rule,) = parse_rules(
        "rules: [{name: many, metric: error_rate, group_by: [app, request_model], levels: {warning: {above: 0.5}}}]"
    ).rules
    meter = Meter(source, [rule], period_s=2)
    try:
        measured = meter.measure([rule], Moment(time.time_ns() // 1_000))
    finally:
        meter.close()
    assert measured.cut == {"many"}
    assert len(measured.readings["many"]) == rule.top == 100


def test_the_command_says_when_how_long_how_right_and_which_level(
    engine: EngineProcess, database: str, tables: tuple[ClickHouseTables, int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules, labels = tmp_path / "alerts.yaml", tmp_path / "incidents.yaml"
    rules.write_text("rules: [{name: often, metric: error_rate, group_by: [app], window: 15m, levels: {warning: {above: 0.1}}}]", "utf-8")
    labels.write_text("- {from: 2020-01-01T10:00Z, to: 2020-01-01T11:00Z}", "utf-8")
    password = SecretStr(engine.credentials.password(Role.WRITER))
    login = ClickHouseSettings(host=engine.host, port=engine.port, user="writer", password=password, database=database)
    options: dict[str, Any] = {"name": "often", "last_s": 2 * 86_400.0, "labels_file": labels, "per_week": 5.0, "file": rules}
    run_backtest(Settings(clickhouse=login), **options, output="table")
    said = capsys.readouterr().out
    assert "often would have fired" in said
    assert "8 groups, looked at every 3 min" in said
    assert "Of 1 named incidents it finds 0 (recall 0.0%)" in said
    assert re.search(r"For at most 5 false alarms a week: \{above: [\d.]+, recover: [\d.]+\}, that is above [\d.]+ % \(", said)
    run_backtest(Settings(clickhouse=login), **options, output="json")
    first = json.loads(capsys.readouterr().out.splitlines()[0])
    assert set(first) == {"fired", "lasted", "severity", "worst", "group"}
    rules.write_text(rules.read_text("utf-8").replace("0.1", "0.999"), "utf-8")
    run_backtest(Settings(clickhouse=login), **options | {"per_week": None, "labels_file": None}, output="table")
    assert capsys.readouterr().out.startswith("often would not have fired in 2 days.")
