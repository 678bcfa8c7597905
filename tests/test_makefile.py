"""What `make` says and removes; the long targets are what continuous integration runs."""

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).parent.parent


def make(folder: Path, *targets: str) -> str:
    return subprocess.run(["make", *targets], cwd=folder, capture_output=True, text=True, check=True).stdout


def test_help_names_every_target_of_the_readme(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    named = re.findall(r"^  make (\w+)\t? +", make(tmp_path), re.MULTILINE)
    assert {"setup", "demo", "test", "bench", "faults", "clean"} <= set(named)


def test_continuous_integration_runs_exactly_make_test() -> None:
    assert (ROOT / ".ci" / "run").read_text("utf-8").rstrip().endswith("\nexec make test")


def test_clean_lists_what_it_removes_and_keeps_the_data(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for name in (".venv/bin", ".faults", "build", ".llmtower/kafka", "src/__pycache__"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / ".coverage").touch()
    (tmp_path / "mine.txt").touch()
    said = make(tmp_path, "clean")
    assert {line for line in said.splitlines() if line.startswith("removing")} == {
        "removing .venv",
        "removing .faults",
        "removing build",
        "removing .coverage",
        "removing __pycache__ folders",
    }
    assert "kept: .llmtower" in said
    assert {path.name for path in tmp_path.iterdir()} == {"Makefile", ".llmtower", "mine.txt", "src"}
    assert list((tmp_path / "src").iterdir()) == []
