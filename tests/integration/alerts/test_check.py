"""`llmtower alerts check --ask` on the real engine: what ClickHouse does not take is said with its line and column, never with data."""

from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from pydantic import SecretStr

from llmtower_processors.alerts.tables import ClickHouseTables, QuestionRefusedError
from llmtower_processors.cli.alert_checks import run_check
from llmtower_processors.engine import EngineProcess, Role
from llmtower_schemas.queries import Query
from llmtower_schemas.settings import ClickHouseSettings, RetentionSettings, Settings

pytestmark = pytest.mark.integration

FILE = """\
rules:
  - name: column
    sql: |
      SELECT app, count() AS value,
          brokn AS sample
      FROM calls WHERE started_at >= {start:DateTime64(6)} GROUP BY app
    group_by: [app]
    levels: {warning: {above: 1}}
  - {name: syntax, sql: "SELECT app, app, count( FROM calls", group_by: [app], levels: {warning: {above: 1}}}
  - {name: table, sql: 'SELECT app, 1 AS value FROM cals', group_by: [app], levels: {warning: {above: 1}}}
  - {name: umlaut, sql: "SELECT 'größter Überhang · 最大' AS app, app, count( FROM calls", group_by: [app], levels: {warning: {above: 1}}}
  - {name: lacking, sql: "SELECT 'x' AS ap, 1 AS value", group_by: [app], levels: {warning: {above: 1}}}
  - {name: long, metric: negative_feedback, window: 30d, levels: {warning: {above: 0.1}}, panel: latency_duratoin}
"""


def test_every_fault_has_its_line_and_column(
    engine: EngineProcess, database: str, client: Client, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "alerts.yaml"
    file.write_text(FILE, "utf-8")
    password = SecretStr(engine.credentials.password(Role.WRITER))
    login = ClickHouseSettings(host=engine.host, port=engine.port, user="writer", password=password, database=database)
    settings = Settings(clickhouse=login, retention=RetentionSettings(calls_days=7))
    assert run_check(settings, file, ask=True) == 1
    said = capsys.readouterr()
    assert "1 rules are answered" in said.out
    beyond = "looks 30 days back, and feedback_current keeps 7 (LLMTOWER_RETENTION__CALLS_DAYS): its figures would be too small for ever"
    sentences = (
        "5:11: rule column: ClickHouse refuses the question: error 47 UNKNOWN_IDENTIFIER (brokn)",
        "9:55: rule syntax: ClickHouse refuses the question: error 62 SYNTAX_ERROR (at 'calls')",
        "10:53: rule table: ClickHouse refuses the question: error 60 UNKNOWN_TABLE (cals)",
        "11:82: rule umlaut: ClickHouse refuses the question: error 62 SYNTAX_ERROR (at 'calls')",
        "12:26: rule lacking: the SQL gives no column app; it must give app, value, sample",
        f"13:53: rule long: {beyond}",
        "13:98: rule long: no panel is called 'latency_duratoin'; did you mean latency_duration?",
    )
    assert said.err.splitlines() == [f"FAIL {file}:{sentence}" for sentence in sentences]


def test_a_refusal_holds_nothing_of_the_rows(engine: EngineProcess) -> None:
    tables = ClickHouseTables({"host": engine.host, "port": engine.port, "username": "writer"} | _password(engine))
    with pytest.raises(QuestionRefusedError) as caught:
        tables.ask(Query("SELECT toInt32(concat('T0P', 'SECRET', toString(number))) FROM numbers(3)", {}))
    assert str(caught.value) == "ClickHouse refuses the question: error 6 CANNOT_PARSE_TEXT"


def _password(engine: EngineProcess) -> dict[str, str]:
    return {"password": engine.credentials.password(Role.WRITER)}
