"""`llmtower alerts` without a stack: files that are wrong, routes that answer or do not."""

from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from tests.alerts.receiver import receiving
from typer.testing import CliRunner, Result

from llmtower_processors.alerts.build import build_alerts
from llmtower_processors.cli.app import build
from llmtower_processors.doctor import examine
from llmtower_processors.errors import LlmtowerError
from llmtower_schemas.settings import Settings

WRONG = """\
rules:
  - name: slow
    metric: duration_p59
    levels: {warning: {above: 1}}
"""


def alerts(*words: str, data_dir: Path, **env: str) -> Result:
    return CliRunner().invoke(build(), ["alerts", *words, "--data-dir", str(data_dir)], env={"COLUMNS": "200", **env})


def test_a_wrong_file_is_a_fault_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text(WRONG, "utf-8")
    found = alerts("check", "--file", str(path), data_dir=tmp_path)
    assert isinstance(found.exception, LlmtowerError)
    sentence = "rule slow: no metric is called 'duration_p59'; did you mean duration_p"
    assert str(found.exception).startswith(f"{path}:3:13: {sentence}")


def test_a_route_that_no_file_has_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text("rules: [{name: a, metric: cost, levels: {warning: {above: 1}}, routes: [pagr]}]", "utf-8")
    found = alerts("check", "--file", str(path), data_dir=tmp_path)
    assert found.exit_code == 1
    assert f"FAIL {path}:1:73: rule a: no route is called 'pagr'; there are default" in found.output


def test_what_is_doubtful_in_a_file_of_rules_stops_no_worker(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Such files were in use before `alerts check` knew of it."""
    path = tmp_path / "alerts.yaml"
    route = "routes: {ops: {url: 'https://h.example/hook?key=S3CRET'}}"
    path.write_text(
        f"{route}\nrules: [{{name: a, metric: cost, where: {{app: []}}, levels: {{warning: {{above: 1}}}}, routes: [ops, pagr]}}]", "utf-8"
    )
    address = "127.0.0.1:1"
    settings = Settings.model_validate(
        {"alerts": {"file": path}, "kafka": {"bootstrap_servers": address}, "clickhouse": {"url": f"http://{address}"}}
    )
    build_alerts(settings, CollectorRegistry())
    assert [line for line in caplog.messages if "S3CRET" in line] == []
    assert [line.split(": ")[1] for line in caplog.messages] == [f"{path}:1:21", f"{path}:2:40", f"{path}:2:96"]


def test_a_panel_that_there_is_not_is_a_fault_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    path.write_text("rules: [{name: a, metric: cost, levels: {warning: {above: 1}}, panel: cost_by_ap}]", "utf-8")
    found = alerts("check", "--file", str(path), data_dir=tmp_path)
    assert found.exit_code == 1
    assert f"FAIL {path}:1:71: rule a: no panel is called 'cost_by_ap'; did you mean cost_by_app?" in found.output


def test_the_shipped_rules_are_sound(tmp_path: Path) -> None:
    found = alerts("check", data_dir=tmp_path)
    assert found.exit_code == 0
    assert "rules are judged" in found.output
    assert "environment=experiment, app=llmtower-judge" in found.output


def test_a_baseline_that_reaches_back_further_than_rows_are_kept_is_no_fault(tmp_path: Path) -> None:
    """It has fewer days then; a window has figures that are too small."""
    few = {"LLMTOWER_RETENTION__CALLS_DAYS": "3", "LLMTOWER_RETENTION__ROLLUP_1M_DAYS": "3"}
    found = alerts("check", data_dir=tmp_path, **few)
    assert found.exit_code == 0
    assert (
        "WARN rule cost_spike: looks 7.05 days back, and rollup_1m keeps 3 (LLMTOWER_RETENTION__ROLLUP_1M_DAYS): it is held" in found.output
    )
    path = tmp_path / "alerts.yaml"
    path.write_text("rules: [{name: long, metric: negative_feedback, window: 30d, levels: {warning: {above: 0.1}}}]", "utf-8")
    found = alerts("check", "--file", str(path), data_dir=tmp_path, **few)
    assert found.exit_code == 1
    assert f"FAIL {path}:1:57: rule long: looks 30 days back" in found.output


def test_routes_are_tried_as_alerts_go_and_a_failure_is_exit_code_1(tmp_path: Path) -> None:
    path = tmp_path / "alerts.yaml"
    with receiving() as receiver:
        path.write_text(f"routes: {{chat: {{url: '{receiver.url}'}}, pager: {{url_env: PAGER_URL}}}}", "utf-8")
        found = alerts("test-route", "--file", str(path), "--severity", "critical", data_dir=tmp_path)
    assert found.exit_code == 1
    assert "ok   chat: took a test alert and its end" in found.output
    assert "FAIL pager: Route pager needs the environment variable PAGER_URL, which is not set." in found.output
    assert [(one.value["status"], one.value["rule"]) for one in receiver.taken] == [("firing", "test"), ("resolved", "test")]
    assert receiver.taken[0].value["title"] == "CRITICAL: Test of the route, nothing is wrong (route=chat)"


def test_without_a_route_it_says_how_to_make_one(tmp_path: Path) -> None:
    found = alerts("test-route", data_dir=tmp_path)
    assert "LLMTOWER_ALERTS__WEBHOOK_URL" in str(found.exception)
    assert "there are default" in str(
        alerts("test-route", "x", data_dir=tmp_path, LLMTOWER_ALERTS__WEBHOOK_URL="http://127.0.0.1:1/").exception
    )


@pytest.mark.parametrize("words", [("silence", "x", "--for", "soon"), ("ack", "x", "--for", "0s"), ("silence", "x", "--group", "chat")])
def test_a_silence_that_makes_no_sense_is_wrong_usage(tmp_path: Path, words: tuple[str, ...]) -> None:
    assert alerts(*words, data_dir=tmp_path).exit_code == 2


def test_doctor_knocks_at_every_route(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving() as receiver:
        path = tmp_path / "alerts.yaml"
        path.write_text(f"routes: {{up: {{url: '{receiver.url}'}}, down: {{url: 'http://127.0.0.1:1/'}}}}", "utf-8")
        monkeypatch.setenv("LLMTOWER_ALERTS__FILE", str(path))
        found = {one.subject: one for one in examine(tmp_path)}
    assert found["alert route up"].ok
    assert found["alert route down"].sentence == "127.0.0.1:1 does not answer (ConnectionRefusedError)"
    assert "alerts test-route down" in found["alert route down"].remedy
    assert receiver.requests == [], "a knock sends nothing"
    monkeypatch.delenv("LLMTOWER_ALERTS__FILE")
    assert "nobody is told" in {one.subject: one for one in examine(tmp_path)}["alert routes"].sentence
