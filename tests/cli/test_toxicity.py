"""Which model scores, said on the command line and by doctor."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmtower_processors.cli.app import build
from llmtower_processors.doctor import _toxicity
from llmtower_schemas.settings import Settings, ToxicitySettings

RUNNER = CliRunner()


def test_check_says_which_model_scores(tmp_path: Path) -> None:
    result = RUNNER.invoke(build(), ["toxicity", "check", "--data-dir", str(tmp_path)])
    assert (result.exit_code, result.output.startswith("the linear model alone scores all texts; for Detoxify set")) == (0, True)


def test_check_fails_where_a_model_is_asked_for_and_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOWER_TOXICITY__MODEL", "original")
    result = RUNNER.invoke(build(), ["toxicity", "check", "--data-dir", str(tmp_path)])
    assert result.exit_code == 1
    assert "Run `llmtower toxicity fetch`" in result.output


def test_doctor_says_so_too(tmp_path: Path) -> None:
    finding = _toxicity(Settings(data_dir=tmp_path, toxicity=ToxicitySettings(model="multilingual")))
    assert (finding.subject, finding.ok, finding.remedy) == ("toxicity", False, "mend it, then: llmtower toxicity check")
    assert finding.sentence.startswith("the linear model alone scores all texts: There is no checkpoint at ")
    assert _toxicity(Settings(data_dir=tmp_path)).ok
