"""The shape of the code base: who may import whom, what an import may load, what no committed file may hold."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "llmtower_schemas": (ROOT / "schemas", frozenset[str]()),
    "llmtower": (ROOT / "producers", frozenset({"llmtower_schemas"})),
    "llmtower_dashboards": (ROOT / "dashboards", frozenset({"llmtower_schemas"})),
    "llmtower_processors": (ROOT / "processors", frozenset({"llmtower_schemas"})),
}
COMPOSITION_ROOTS = ("llmtower_processors/cli/", "llmtower_processors/demo/")
"""The command line and the demo's application may import every package."""

PURE = ("cost", "signals", "pricing", "registry", "runtime/ranges", "runtime/steps", "runtime/pending", "runtime/model")
"""Logic of the processors: time, ids and prices are passed in."""

EDGES = frozenset({"aiokafka", "clickhouse_connect", "faust", "mode", "socket", "http", "urllib", "requests", "httpx", "random"})


def imports(path: Path) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            yield node.lineno, node.module or ""


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_what_its_place_allows(package: str) -> None:
    root, allowed = PACKAGES[package]
    wrong = [
        f"{path.relative_to(root)}:{line} imports {name}"
        for path in sorted(root.rglob("*.py"))
        if not str(path.relative_to(root)).startswith(COMPOSITION_ROOTS)
        for line, name in imports(path)
        if name.split(".")[0] in PACKAGES.keys() - {package} - allowed
    ]
    assert not wrong


@pytest.mark.parametrize("module", PURE)
def test_logic_touches_no_edge(module: str) -> None:
    base = ROOT / "processors" / "llmtower_processors" / module
    files = sorted(base.rglob("*.py")) if base.is_dir() else [base.with_suffix(".py")]
    assert files
    wrong = [f"{path.name}:{line} imports {name}" for path in files for line, name in imports(path) if name.split(".")[0] in EDGES]
    assert not wrong


def test_no_committed_file_names_a_package_registry_or_a_path_of_this_machine() -> None:
    hosts = [
        "pypi" + ".org",
        "python" + "hosted.org",
        "repo1.maven" + ".org",
        "repo.maven" + ".apache.org",
        "registry.npmjs" + ".org",
        "proxy.golang" + ".org",
    ]
    paths = ["/work" + "/main", "/root" + "/"]
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\0")
    found = []
    for name in filter(None, tracked):
        path = ROOT / name
        text = path.read_text("utf-8", errors="ignore") if path.is_file() else ""
        found += [f"{name}: {word}" for word in hosts + paths if word in text]
    assert not found


def test_migrations_are_numbered_without_gaps() -> None:
    numbers = sorted(path.name[:4] for path in (ROOT / "schemas" / "llmtower_schemas" / "migrations").glob("*.sql"))
    assert numbers == [f"{number:04}" for number in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("path", sorted((ROOT / "requirements").glob("*.txt")), ids=lambda path: path.name)
def test_every_locked_package_is_pinned_and_hashed(path: Path) -> None:
    packages = re.split(r"\n(?=\S)", path.read_text("utf-8").replace("\\\n", "\n"))
    wrong = [p.split("\n")[0] for p in packages if p and p[0] not in "#-" and not ("==" in p and "--hash=sha256:" in p)]
    assert wrong == [] or path.name == "ml-excludes.txt"
    assert "--index-url" not in path.read_text("utf-8")


def test_the_sdk_loads_nothing_heavy() -> None:
    script = "import sys, llmtower; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    loaded = set(subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split())
    assert not loaded & {
        "aiokafka",
        "clickhouse_connect",
        "faust",
        "numpy",
        "pandas",
        "openai",
        "rich",
        "typer",
        "chdb",
        "llmtower_processors",
    }
