"""What Grafana's plugin sends for our dashboards, sent by clickhouse-go over HTTP as the dashboards' reader, to the real engine."""

import json
import os
import subprocess
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.integration.dashboards.conftest import Place, Places
from tests.integration.dashboards.pipeline import END

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.grafana.dashboards import dashboards
from llmtower_dashboards.macros import Frame, literal
from llmtower_dashboards.registry import PANELS
from llmtower_processors.alerts.grafana import Stage, grafana_alerts
from llmtower_processors.alerts.load import load_rules

pytestmark = pytest.mark.integration

FRAME = Frame(END - timedelta(hours=6), END, 600)
FILTERED = Frame(END - timedelta(hours=6), END, 600, {"app": ["chat"], "model": ["gpt-4o", "it's"]})


def sent() -> list[str]:
    """Every statement of every dashboard: panels, annotations and the lists of variables, macros still in it."""
    found = []
    for made in dashboards().values():
        found += [target["rawSql"] for panel in made["panels"] for target in panel.get("targets", [])]
        found += [mark["target"]["rawSql"] for mark in made["annotations"]["list"]]
        found += [variable["query"]["rawSql"] for variable in made["templating"]["list"] if variable["type"] == "query"]
    return list(dict.fromkeys(found))


def plugin(binary: Path, place: Place, statements: list[str], compression: str) -> list[dict[str, Any]]:
    reader = place.readers["dashboards"]
    done = subprocess.run(
        [binary, f"{reader['host']}:{reader['port']}", reader["database"], reader["username"], compression, "-"],
        env={**os.environ, "GOCLIENT_PASSWORD": reader["password"]},
        input=json.dumps(statements),
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers: list[dict[str, Any]] = json.loads(done.stdout)
    return answers


@pytest.mark.timeout(300)
def test_every_statement_of_every_dashboard_is_answered(goclient: Path, places: Places) -> None:
    place, statements = places["many"], sent()
    found = dict(zip(statements, plugin(goclient, place, [literal(sql, FRAME) for sql in statements], "gzip"), strict=True))
    plain = [panel for panel in PANELS.values() if panel.reader == "dashboards" and panel.sql in found]
    assert len(plain) > 90
    for panel, answer in zip(plain, place.ask_all(plain, FRAME), strict=True):
        assert isinstance(answer, Answer)
        seen = found[panel.sql]
        assert len(seen["rows"] or []) == len(answer.rows), panel.name
        if answer.rows:
            assert seen["columns"] == [column.name for column in answer.columns], panel.name
            numbers = [
                (json.loads(text), value)
                for text, value in zip(seen["rows"][0], answer.rows[0], strict=True)
                if isinstance(value, (int, float))
            ]
            assert [one for one, _ in numbers] == [pytest.approx(other) for _, other in numbers], panel.name


def test_every_question_of_every_alert_rule_is_numbers_with_labels(goclient: Path, places: Places) -> None:
    """What the plugin gives, Grafana reads as one number a row; the rest is text. The dashboards' reader may ask all of it."""
    rules = load_rules()
    told = [rule.model_copy(update={"grafana": True}) for rule in rules.rules]
    made = grafana_alerts(told, rules.routes, {}, Stage("llmtower", "llmtower-clickhouse", "grafana-clickhouse-datasource"))
    (group,) = (one.body for one in made if one.kind == "alert rules")
    queries = {one["model"]["rawSql"]: one["refId"] for rule in group["rules"] for one in rule["data"] if "rawSql" in one["model"]}
    answers = plugin(goclient, places["many"], list(queries), "gzip")
    assert len(queries) > 60
    for (sql, ref), answer in zip(queries.items(), answers, strict=True):
        rows = [[json.loads(text) for text in row] for row in answer["rows"] or []]
        assert rows or ref == "A", f"a second question always has an answer: {sql}"
        for row in rows:
            assert [isinstance(value, str) for value in row] == [name != "value" for name in answer["columns"]], sql


EDITOR = {
    "SELECT version()": None,
    "SELECT currentDatabase()": '"llmtower"',
    "SELECT value FROM system.settings WHERE name='readonly'": None,
    "SELECT database, name FROM system.tables ORDER BY database, name": None,
    "SELECT name, type, table FROM system.columns WHERE database IN ('llmtower')": None,
    "SELECT database, table, name, type, comment FROM system.columns WHERE (database, table) IN (('llmtower', 'calls'))"
    " ORDER BY database, table, position": '"llmtower"',
    'DESCRIBE TABLE "llmtower"."calls"': '"call_id"',
    "select distinct app from llmtower.calls limit 1000": None,
    "SELECT DISTINCT app FROM llmtower.calls SETTINGS max_execution_time=10": None,
    'SELECT * FROM "llmtower"."calls" WHERE started_at >= toDateTime(0) LIMIT 1000': None,
}
"""What its editor, its filters and its health check send (grafana/clickhouse-datasource 4.x: CHDatasource.ts, schema.go, health.go), with
the first value of the first row where that is known."""


def test_what_its_editor_sends_is_answered_too(goclient: Path, places: dict[str, Place]) -> None:
    for (sql, first), answer in zip(EDITOR.items(), plugin(goclient, places["many"], list(EDITOR), "gzip"), strict=True):
        assert answer["rows"], sql
        assert first in (None, answer["rows"][0][0]), sql


def test_filters_of_several_values_are_quoted(goclient: Path, places: Places) -> None:
    statements = [literal(PANELS[name].sql, FILTERED) for name in ("cost_by_model", "latency_by_app")]
    models, apps = plugin(goclient, places["many"], statements, "none")
    assert [row[0] for row in models["rows"]] == ['"gpt-4o"']
    assert [row[0] for row in apps["rows"]] == ['"chat"']
