"""The statements that Grafana runs give what the evaluator reads, on the real engine."""

import time
from typing import Any

import clickhouse_connect
import pytest
from clickhouse_connect.driver.client import Client
from tests.benchmarks.bench_dashboard import MAKE

from llmtower_processors.alerts.grafana import HEARTBEAT_SQL
from llmtower_processors.alerts.grafana_sql import grafana_sql
from llmtower_processors.alerts.load import load_rules
from llmtower_processors.alerts.measure import Meter
from llmtower_processors.alerts.questions import Moment
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.engine import EngineProcess, Role

pytestmark = pytest.mark.integration

CALLS, DAYS = 80_000, 5
RULES = [rule for rule in load_rules().rules if rule.queried]


def test_grafanas_statements_give_what_the_evaluator_reads(engine: EngineProcess, database: str, client: Client) -> None:
    made = MAKE.replace("llmtower.calls", f"{database}.calls")
    now_us = time.time_ns() // 1_000
    spacing = DAYS * 86_400e6 / CALLS
    client.command(made, parameters={"start_us": now_us - DAYS * 86_400_000_000, "spacing_us": spacing, "first": 0, "count": CALLS})
    password = engine.credentials.password(Role.WRITER)
    address: dict[str, Any] = {"host": engine.host, "port": engine.port, "database": database, "username": "writer", "password": password}
    tables = ClickHouseTables(address)
    compared = 0
    with clickhouse_connect.get_client(**address) as reader:
        for shipped in RULES:
            plain = shipped.model_copy(update={"min_sample": 0.0, "sure": 0.0, "top": 1_000})
            plain = plain.model_copy(update={"baseline": plain.baseline.model_copy(update={"near": 0.0})}) if plain.baseline else plain
            compared += _compare(plain, reader, tables)
            reader.query(grafana_sql(shipped))
        (row,) = reader.query(HEARTBEAT_SQL).result_rows
    assert compared > 150
    assert row[1] > 86_400, "nobody has ever written a watermark: it fires"


def _compare(rule: Rule, reader: Client, tables: ClickHouseTables) -> int:
    meter = Meter(tables, [rule], period_s=2)
    try:
        readings = meter.measure([rule], Moment(time.time_ns() // 1_000)).readings[rule.name]
    finally:
        meter.close()
    rows = {tuple(map(str, row[:-1])): row[-1] for row in reader.query(grafana_sql(rule)).result_rows}
    expected = {group: one.value for group, one in readings.items() if one.value is not None}
    assert len(rows) == len(expected), rule.name
    if len(rows) < rule.top:  # of more, those with equal samples are chosen by chance
        assert set(rows) == set(expected), rule.name
    for group in rows.keys() & expected.keys():
        assert rows[group] == pytest.approx(expected[group], rel=0.02, abs=1e-9), (rule.name, group)
    return len(rows)
