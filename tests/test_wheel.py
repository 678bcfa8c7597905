"""The wheel with only its base dependencies: light, and each missing extra is one sentence.

No package is downloaded: the environments are made of links to what the suite's own environment has installed.
"""

import json
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator
from importlib.metadata import distribution, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.cli.test_help import ALL

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True
    )
    (path,) = folder.glob("*.whl")
    return path


def closure(requirements: list[str], seen: set[str]) -> Iterator[str]:
    """Give the names of everything that these requirements bring."""
    for text in requirements:
        requirement = Requirement(text)
        extras = requirement.extras or {""}
        if requirement.marker and not any(requirement.marker.evaluate({"extra": extra}) for extra in extras):
            continue
        key = f"{requirement.name}[{','.join(sorted(extras))}]"
        if key not in seen:
            seen.add(key)
            yield requirement.name
            for extra in extras:
                further = [Requirement(found) for found in requires(requirement.name) or ()]
                wanted = [found for found in further if found.marker is None or found.marker.evaluate({"extra": extra})]
                yield from closure([_without_marker(found) for found in wanted], seen)


def _without_marker(requirement: Requirement) -> str:
    return f"{requirement.name}[{','.join(requirement.extras)}]" if requirement.extras else requirement.name


def site(folder: Path, wheel: Path, extra: str = "") -> Path:
    """Make a folder that holds the wheel and links to the dependencies of its base, or of one extra too."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    own = [Requirement(text) for text in requires("llmtower") or ()]
    base = [_without_marker(found) for found in own if found.marker is None or found.marker.evaluate({"extra": extra})]
    for name in closure(base, set()):
        for file in distribution(name).files or ():
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(distribution(name).locate_file(top))))
    return folder


def run(folder: Path, code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    begin = f"import sys; sys.path.insert(0, {str(folder)!r}); sys.argv[1:] = {list(arguments)!r}\n"
    return subprocess.run([sys.executable, "-I", "-S", "-c", begin + code], capture_output=True, text=True, check=False, cwd=folder)


MAIN = "from llmtower_processors.cli import main; main()"


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return site(tmp_path_factory.mktemp("bare"), wheel)


def test_the_bare_wheel_imports_without_anything_heavy(bare: Path) -> None:
    result = run(bare, "import llmtower, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))")
    assert result.returncode == 0, result.stderr
    assert not set(result.stdout.split()) & {"aiokafka", "pydantic_settings", "numpy", "typer", "rich", "clickhouse_connect"}


def test_the_bare_wheel_records_calls(bare: Path) -> None:
    code = (
        "import llmtower\n"
        "with llmtower.call(provider='openai', model='gpt-4o', input='hi') as call: call.finish(output='ho')\n"
        "print(llmtower.__version__)"
    )
    result = run(bare, code)
    assert result.returncode == 0, result.stderr


EVERY = """
import contextlib, io, json
from llmtower_processors.cli import main
said = {}
for words in json.loads(sys.argv[1]):
    sys.argv[1:] = words
    err = io.StringIO()
    with contextlib.redirect_stderr(err), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as ended:
            said[" ".join(words)] = (ended.code, err.getvalue())
print(json.dumps(said))
"""
SENTENCE = r"This command needs \w+, which is not installed\. Run: pip install 'llmtower\[{}\]'\n"
FURTHER = {"up": "local", "demo": "demo", "web": "web", "gateway": "gateway", "dashboards build": "grafana", "dashboards check": "grafana"}
"""Commands that need more than the extra `server` before they do anything."""


def said(folder: Path, commands: Iterable[tuple[str, ...]]) -> dict[str, tuple[int, str]]:
    """Run commands one after the other in one process; gives exit code and errors of each."""
    result = run(folder, EVERY, json.dumps(list(commands)))
    assert result.returncode == 0, result.stderr
    return {words: (code, text) for words, (code, text) in json.loads(result.stdout).items()}


def test_every_command_without_its_extra_is_one_sentence(bare: Path) -> None:
    found = said(bare, ALL)
    assert found.keys() == {" ".join(words) for words in ALL}
    assert [words for words, (code, text) in found.items() if code != 2 or not re.fullmatch(SENTENCE.format("server"), text)] == []


def test_commands_that_need_more_than_the_server_say_so_before_they_begin(wheel: Path, tmp_path: Path) -> None:
    folder = site(tmp_path / "server", wheel, "server")
    assert run(folder, MAIN, "--help").returncode == 0
    found = said(folder, [(*words.split(), "--data-dir", str(tmp_path / "data")) for words in FURTHER])
    for words, (code, text) in found.items():
        extra = FURTHER[words.partition(" --")[0]]
        assert (code, bool(re.fullmatch(SENTENCE.format(extra), text))) == (2, True), (words, text)
    assert not (tmp_path / "data").exists()


def test_wrapping_openai_without_the_package_is_one_sentence(bare: Path) -> None:
    result = run(bare, "import llmtower; llmtower.wrap_openai(object())")
    assert result.returncode == 0, "a wrapper never breaks its host"
    assert "pip install 'llmtower[openai]'" in result.stderr.splitlines()[-1]
