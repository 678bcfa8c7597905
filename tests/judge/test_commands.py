"""`llmtower judge …` where nothing runs: what it shows, and what it says is missing."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmtower_processors.cli.app import build
from llmtower_processors.errors import NotConfigured
from llmtower_processors.judge.errors import RubricError


def test_the_rubrics_in_use_are_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "tone.yaml").write_text(
        "{name: tone, version: '3', question: 'Is it friendly enough?', threshold: 1,"
        " levels: [{value: 0, meaning: cold}, {value: 1, meaning: warm}], apps: [bot]}"
    )
    monkeypatch.setenv("LLMTOWER_JUDGE__RUBRICS", "faithfulness, tone")
    monkeypatch.setenv("LLMTOWER_JUDGE__RUBRICS_DIR", str(tmp_path))
    shown = CliRunner().invoke(build(), ["judge", "rubrics", "--format", "json"], catch_exceptions=False)
    found = [json.loads(line) for line in shown.stdout.splitlines()] if shown.stdout.startswith("{") else json.loads(shown.stdout)
    assert [(one["rubric"], one["version"], one["score"], one["bad below"], one["apps"]) for one in found] == [
        ("faithfulness", "1", "judge_faithfulness", "0.5", "all"),
        ("tone", "3", "judge_tone", "1", "bot"),
    ]


def test_what_is_missing_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert isinstance(run(build(), ["judge", "run", "--data-dir", str(tmp_path)]).exception, NotConfigured)
    monkeypatch.setenv("LLMTOWER_JUDGE__BASE_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("LLMTOWER_JUDGE__RUBRICS", "kindness")
    found = run(build(), ["judge", "run", "--data-dir", str(tmp_path)])
    assert isinstance(found.exception, RubricError)
    assert "No rubric is called kindness" in str(found.exception)
    assert isinstance(run(build(), ["judge", "agreement", "--data-dir", str(tmp_path)]).exception, NotConfigured)
