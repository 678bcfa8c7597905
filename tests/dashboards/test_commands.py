"""`llmtower dashboards build` and `check` on files."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmtower_dashboards.registry import DASHBOARDS
from llmtower_processors.cli.app import build

RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def _clickhouse(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOWER_CLICKHOUSE__HOST", "127.0.0.1")
    monkeypatch.setenv("LLMTOWER_CLICKHOUSE__PASSWORD", "s3cret")
    monkeypatch.setenv("LLMTOWER_GRAFANA__CLICKHOUSE_HOST", "clickhouse")


def test_check_finds_what_build_would_write_otherwise(tmp_path: Path) -> None:
    out, data = str(tmp_path / "grafana"), str(tmp_path / "data")
    words = ["--out", out, "--data-dir", data]
    missing = RUNNER.invoke(build(), ["dashboards", "check", *words])
    assert missing.exit_code == 1
    assert missing.output.count("is missing: run `llmtower dashboards build") == len(DASHBOARDS) + 2
    assert RUNNER.invoke(build(), ["dashboards", "build", *words]).exit_code == 0
    assert RUNNER.invoke(build(), ["dashboards", "check", *words]).exit_code == 0
    written = {path: path.read_text("utf-8") for path in Path(out).rglob("*") if path.is_file()}
    assert not [path for path, text in written.items() if "s3cret" in text]
    assert '"host": "clickhouse"' in (Path(out) / "datasources" / "llmtower.yaml").read_text("utf-8")
    cost = Path(out) / "dashboards" / "llmtower" / "llmtower-cost.json"
    cost.write_text(json.dumps(json.loads(cost.read_text("utf-8")) | {"title": "mine"}), "utf-8")
    other = RUNNER.invoke(build(), ["dashboards", "check", *words])
    assert (other.exit_code, other.output.count("llmtower-cost.json is other")) == (1, 1)


def test_without_a_grafana_push_says_what_to_set(tmp_path: Path) -> None:
    result = RUNNER.invoke(build(), ["dashboards", "push", "--data-dir", str(tmp_path)])
    assert "LLMTOWER_GRAFANA__URL" in str(result.exception)
