"""`llmtower dashboards build` and `check` on files."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmtower_dashboards.registry import DASHBOARDS
from llmtower_processors.cli.app import build
from llmtower_processors.errors import LlmtowerError

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


def test_rules_told_by_grafana_are_files_too(tmp_path: Path) -> None:
    words = ["--alerts", "--out", str(tmp_path / "grafana"), "--data-dir", str(tmp_path)]
    assert RUNNER.invoke(build(), ["dashboards", "build", *words]).exit_code == 0
    assert RUNNER.invoke(build(), ["dashboards", "check", *words]).exit_code == 0
    (tmp_path / "grafana" / "alerting" / "llmtower.yaml").unlink()
    missing = RUNNER.invoke(build(), ["dashboards", "check", *words])
    assert missing.exit_code == 1
    assert f"is missing: run `llmtower dashboards build --alerts --out {tmp_path / 'grafana'}`." in missing.output


def test_a_folder_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", "utf-8")
    result = RUNNER.invoke(build(), ["dashboards", "build", "--out", str(tmp_path / "file"), "--data-dir", str(tmp_path)])
    assert isinstance(result.exception, LlmtowerError)
    assert "cannot be written (Not a directory): name another folder with --out." in str(result.exception)


@pytest.mark.parametrize("user", ["writer", "content"])
def test_grafana_never_reads_as_somebody_who_may_read_texts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, user: str) -> None:
    monkeypatch.setenv("LLMTOWER_CLICKHOUSE__USER", user)
    for word in ("build", "push"):
        result = RUNNER.invoke(build(), ["dashboards", word, "--data-dir", str(tmp_path)])
        assert f"Grafana would read ClickHouse as {user}, who may read prompts and answers" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_without_a_grafana_push_says_what_to_set(tmp_path: Path) -> None:
    result = RUNNER.invoke(build(), ["dashboards", "push", "--data-dir", str(tmp_path)])
    assert "LLMTOWER_GRAFANA__URL" in str(result.exception)
