"""The images of docker-compose.yml without Docker: what a build is given, what it installs by hash, and that its commands start."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from llmtower_dashboards.registry import DASHBOARDS
from tests import gotools
from tests.dashboards.compose import FILE, loaded, variables

ROOT: Final = FILE.parent
SERVICES: Final = loaded({name: "value" for name, (kind, _) in variables().items() if kind == ":?"})["services"]
DOCKERFILES: Final[dict[str, str]] = {
    service["image"]: service["build"]["dockerfile_inline"] for service in SERVICES.values() if "build" in service
}
COMMANDS: Final = [
    (service["image"], " ".join(service["command"])) for service in SERVICES.values() if "build" in service and "command" in service
]


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what Docker's own reading of .dockerignore leaves of this checkout."""
    program = gotools.build(gotools.HERE / "compose", tmp_path_factory, ".dockerignore as Docker reads it")
    found = subprocess.run([program, "context", ROOT], capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    folder = tmp_path_factory.mktemp("context")
    for name in found:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


def installed(context: Path, requirements: str, folder: Path) -> Path:
    """Install as a Dockerfile does, from the packages that `make setup` has fetched, else from the registry."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True, timeout=60)
    python = folder / "bin" / "python"
    locked = ["--require-hashes", "-r", str(context / requirements)]
    quick = [sys.executable, "-m", "uv", "pip", "install", "-q", "--offline", "--python", str(python)]
    slow = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q"]
    if subprocess.run([*quick, *locked], capture_output=True, check=False, timeout=120).returncode:
        subprocess.run([*slow, *locked], capture_output=True, check=True, timeout=280)
    site = next((folder / "lib").glob("python3.*")) / "site-packages"
    wheel = folder / "wheel"
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", wheel], cwd=context, check=True, capture_output=True)
    subprocess.run([*slow, "--no-deps", "--no-index", *map(str, wheel.glob("*.whl"))], check=True, capture_output=True, timeout=60)
    assert (site / "llmtower").is_dir()
    return folder / "bin"


@pytest.mark.parametrize("image", DOCKERFILES)
def test_what_it_copies_is_there_and_its_user_is_a_number(image: str, context: Path) -> None:
    text = DOCKERFILES[image]
    instructions = [line.split()[0] for line in re.sub(r"\\\n", " ", text).splitlines()]
    assert set(instructions) <= {"FROM", "COPY", "RUN", "USER", "WORKDIR"}
    for source in re.findall(r"^COPY (\S+) ", text, re.MULTILINE):
        assert (context / source).exists(), source
    for name in re.findall(r"-r /src/(\S+)", text):
        assert text.index(f"COPY {name} /src/{name}") < text.index(f"-r /src/{name}")
        assert "--require-hashes" in text
    (made,), (used,) = re.findall(r"useradd --uid (\d+)", text), re.findall(r"^USER (\d+)", text, re.MULTILINE)
    assert made == used
    assert int(used) > 0
    assert instructions[-1] != "RUN", "nothing is done as root after the user"


def test_a_build_is_given_the_packages_and_nothing_else(context: Path) -> None:
    found = {path.relative_to(context).parts[0] for path in context.rglob("*") if path.is_file()}
    assert found == {"dashboards", "processors", "producers", "schemas", "requirements", "pyproject.toml", "README.md", "LICENSE"}
    assert not list(context.rglob("__pycache__"))


@pytest.mark.timeout(400)
@pytest.mark.parametrize("image", DOCKERFILES)
def test_what_it_installs_starts_each_of_its_commands(image: str, context: Path, tmp_path: Path) -> None:
    (requirements,) = re.findall(r"-r /src/(\S+)", DOCKERFILES[image])
    binaries = installed(context, requirements, tmp_path / "venv")
    environment = {"PATH": str(binaries), "HOME": "/nonexistent", **SERVICES["dashboards"]["environment"]}

    def started(*words: str) -> None:
        command = [str(binaries / "llmtower"), *words]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, done.stderr

    said = " ".join(words for of, words in COMMANDS if of == image)
    for command in re.findall(r"llmtower ([a-z]+(?: [a-z]+)?)", said):
        started(*command.split(), "--help")
    if "dashboards build" in said:
        started("dashboards", "build", "--out", "grafana")
        assert len(list((tmp_path / "grafana" / "dashboards" / "llmtower").glob("*.json"))) == len(DASHBOARDS)
