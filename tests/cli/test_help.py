"""Every command explains itself; errors are sentences."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from llmtower_processors.cli import EXTRA_OF
from llmtower_processors.cli.app import build
from llmtower_schemas.settings import environment_names

ROOT = Path(__file__).parent.parent.parent
RUNNER = CliRunner()
NOT_SETTINGS = {"DEMO_SECONDS", "DEMO_RATE", "DEMO_JSON"}


def commands(command: Any, words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Give every command below one; typer carries a click of its own, so its classes have no name that lasts."""
    found = getattr(command, "commands", None)
    if found is None:
        yield words, command
    else:
        for name, sub in found.items():
            yield from commands(sub, (*words, name))


ALL = dict(commands(typer.main.get_command(build())))


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_has_an_example_that_names_the_command(words: tuple[str, ...]) -> None:
    result = RUNNER.invoke(build(), [*words, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
    assert result.exit_code == 0
    text = " ".join(result.output.split())
    assert "Example:" in text
    assert f"llmtower {' '.join(words)}" in text


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_an_option_that_reads_the_environment_reads_a_known_setting(words: tuple[str, ...]) -> None:
    for parameter in ALL[words].params:
        names = parameter.envvar if isinstance(parameter.envvar, list) else [parameter.envvar]
        for name in filter(None, names):
            assert name in environment_names() or name in NOT_SETTINGS, f"{name} would be refused as unknown"


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_option_names_its_environment_variable(words: tuple[str, ...]) -> None:
    text = RUNNER.invoke(build(), [*words, "--help"], env={"COLUMNS": "250", "TERM": "dumb"}).output
    options = re.findall(r"^│ (?:\*? +)?(--\S+)", text, re.MULTILINE)
    assert text.count("[env var: ") == len(options) - 1, f"{options} without --help"


def test_an_option_can_be_given_by_its_variable(tmp_path: Path) -> None:
    result = llmtower("schema", "export", str(tmp_path), LLMTOWER_CLI_SCHEMA_EXPORT_CHECK="1")
    assert (result.returncode, list(tmp_path.iterdir())) == (1, [])
    assert result.stdout.startswith("not current: ")


def test_an_unknown_variable_of_an_option_is_refused_with_the_nearest_known_one() -> None:
    result = llmtower("query", "SELECT 1", LLMTOWER_CLI_AUDIT_REPIAR="1")
    assert result.returncode == 2
    assert result.stderr == "LLMTOWER_CLI_AUDIT_REPIAR is no setting; did you mean LLMTOWER_CLI_AUDIT_REPAIR?\n"


def llmtower(*words: str, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {"PATH": "", "HOME": "/nonexistent", "COLUMNS": "200", **env}
    return subprocess.run([sys.executable, "-m", "llmtower_processors.cli", *words], capture_output=True, text=True, env=clean, check=False)


def test_an_unknown_setting_is_refused_with_the_nearest_known_one(tmp_path: Path) -> None:
    result = llmtower("query", "SELECT 1", "--data-dir", str(tmp_path), LLMTOWER_CLICKHOUS__HOST="x")
    assert result.returncode == 2
    assert result.stderr == "LLMTOWER_CLICKHOUS__HOST is no setting; did you mean LLMTOWER_CLICKHOUSE__HOST?\n"


def test_a_value_that_does_not_fit_names_its_variable(tmp_path: Path) -> None:
    result = llmtower("migrate", "--data-dir", str(tmp_path), LLMTOWER_CLICKHOUSE__PORT="http", LLMTOWER_CLICKHOUSE__HOST="x")
    assert result.returncode == 2
    assert result.stderr.startswith("LLMTOWER_CLICKHOUSE__PORT: input should be a valid integer")


def test_nothing_running_says_what_to_do(tmp_path: Path) -> None:
    result = llmtower("query", "SELECT 1", "--data-dir", str(tmp_path / "none"))
    assert result.returncode == 2
    assert "nothing runs on" in result.stderr
    assert "llmtower up" in result.stderr
    assert "LLMTOWER_CLICKHOUSE__HOST" in result.stderr


def test_a_dead_server_is_one_sentence(tmp_path: Path) -> None:
    result = llmtower(
        "query", "SELECT 1", "--data-dir", str(tmp_path), LLMTOWER_CLICKHOUSE__HOST="127.0.0.1", LLMTOWER_CLICKHOUSE__PORT="1"
    )
    assert result.returncode == 1
    assert re.match(r"ClickHouse at 127\.0\.0\.1:1 .*\n$", result.stderr)


def test_an_endpoints_file_of_a_dead_stack_is_not_believed(tmp_path: Path) -> None:
    (tmp_path / "endpoints.json").write_text(
        '{"kafka": "127.0.0.1:1", "clickhouse": "http://127.0.0.1:1", "web": null, "pids": {"up": 4194304}}'
    )
    assert "nothing runs on" in llmtower("topics", "check", "--data-dir", str(tmp_path)).stderr


def test_benchmarks_outside_a_checkout_are_one_sentence(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "llmtower_processors.cli", "bench"], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert (result.returncode, result.stdout) == (1, "")
    assert re.fullmatch(r"The benchmarks are in the repository: .*`make bench`\.\n", result.stderr)


def imported(package: Path) -> set[str]:
    """Give the top-level modules that a package imports, wherever."""
    nodes = [node for path in package.rglob("*.py") for node in ast.walk(ast.parse(path.read_text("utf-8")))]
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom) and not node.level}
    return {name.partition(".")[0] for name in names}


def test_of_every_module_it_is_known_which_extra_brings_it() -> None:
    folders = ("processors/llmtower_processors", "dashboards/llmtower_dashboards")
    used = set[str]().union(*(imported(ROOT / folder) for folder in folders)) - sys.stdlib_module_names
    base = {"aiokafka", "orjson", "pydantic", "pydantic_settings"}
    ours = {"llmtower", "llmtower_schemas", "llmtower_processors", "llmtower_dashboards"}
    assert sorted(used - base - ours - EXTRA_OF.keys()) == []
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(EXTRA_OF.values()) <= extras.keys()
