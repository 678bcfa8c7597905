"""docker-compose.yml as `docker compose config` reads it: by Docker where it has compose, else by compose's own loader."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from tests import gotools
from tests.dashboards.compose import FILE, loaded, variables

Load = Callable[[Mapping[str, str]], "subprocess.CompletedProcess[str]"]

PASSWORDS: Final = {name: f"{name.lower()}-value" for name, (kind, _) in variables().items() if kind == ":?"}
OPEN: Final = {name: "0.0.0.0" for name, (_, default) in variables().items() if default == "127.0.0.1"}


@pytest.fixture(scope="session")
def loader(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The command that reads a compose file; its name comes last."""
    docker = shutil.which("docker")
    if docker and not subprocess.run([docker, "compose", "version"], capture_output=True, check=False).returncode:
        return [docker, "compose", "--file", "{}", "config", "--format", "json"]
    return [str(gotools.build(gotools.HERE / "compose", tmp_path_factory, "docker-compose.yml by `docker compose config`")), "load", "{}"]


@pytest.fixture
def load(loader: list[str], tmp_path: Path) -> Load:
    """Read the file (a changed copy, where a test has made one) in a folder of its own, with these variables alone."""
    copy = tmp_path / "docker-compose.yml"
    copy.write_text(FILE.read_text("utf-8"), "utf-8")

    def read(environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
        env = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), **environment}
        command = [word.format(copy) for word in loader]
        return subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)

    return read


def project(load: Load, environment: Mapping[str, str]) -> dict[str, Any]:
    done = load(environment)
    assert done.returncode == 0, done.stderr
    read: dict[str, Any] = json.loads(done.stdout)
    return read


def test_it_is_read_as_our_other_tests_read_it(load: Load) -> None:
    services, ours = project(load, PASSWORDS)["services"], loaded(PASSWORDS)["services"]
    assert services.keys() == ours.keys()
    for name, service in services.items():
        assert service.get("environment", {}) == {key: str(value) for key, value in ours[name].get("environment", {}).items()}, name
        assert service["image"] == ours[name]["image"]
        waits = {other: how["condition"] for other, how in service.get("depends_on", {}).items()}
        assert waits == {other: how["condition"] for other, how in ours[name].get("depends_on", {}).items()}
        assert service.get("healthcheck", {}).get("test") == ours[name].get("healthcheck", {}).get("test")
        inline = service.get("build", {}).get("dockerfile_inline")
        assert inline == ours[name].get("build", {}).get("dockerfile_inline")


@pytest.mark.parametrize(("chosen", "address"), [({}, "127.0.0.1"), (OPEN, "0.0.0.0")])
def test_ports_are_open_beyond_this_machine_by_choice_alone(load: Load, chosen: Mapping[str, str], address: str) -> None:
    assert len(OPEN) == 5, "four *_BIND and the name that Kafka tells"
    services = project(load, {**PASSWORDS, **chosen})["services"]
    bound = {name: {port["host_ip"] for port in service["ports"]} for name, service in services.items() if service.get("ports")}
    expected = {name: {address} for name in ("kafka", "gateway", "page", "grafana")}
    assert bound == expected | {"clickhouse": {"127.0.0.1"}}


@pytest.mark.parametrize("name", PASSWORDS)
@pytest.mark.parametrize("left", ["missing", "empty"])
def test_without_one_of_the_passwords_it_is_refused_with_a_sentence(load: Load, name: str, left: str) -> None:
    others = {other: value for other, value in PASSWORDS.items() if other != name}
    done = load(others | ({name: ""} if left == "empty" else {}))
    assert done.returncode != 0
    assert f"required variable {name} is missing a value: is not set; the head of docker-compose.yml says how to make it" in done.stderr
    assert not any(value in done.stderr for value in others.values())


def test_the_commands_at_its_head_make_what_it_wants(load: Load, tmp_path: Path) -> None:
    (command,) = re.findall(r"^#   (for name in .*?> \.env)$", FILE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    if shutil.which("openssl") is None:
        pytest.skip("NOT TESTED: the commands at the head of docker-compose.yml: there is no openssl on this machine")
    subprocess.run(["sh", "-c", command.replace("\n#", "\n")], cwd=tmp_path, check=True, timeout=30)
    services = project(load, {})["services"]
    made = {services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"], services["page"]["environment"]["LLMTOWER_WEB__READ_KEY"]}
    assert len(made) == 2
    assert all(re.fullmatch("[0-9a-f]{48}", password) for password in made)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("{condition: service_completed_successfully}", "{condition: service_done}"),
        ("restart: on-failure", "restrat: on-failure"),
        ("interval: 10s", "interval: often"),
        ("depends_on: *ready", "depends_on: *raedy"),
        ("  provisioning:\n\n", "  provisionnig:\n\n"),
        ("  clickhouse-users:\n", "  clickhouse-user:\n"),
        ("      dashboards: {condition:", "      dashboard: {condition:"),
        (":9092:9092", ":9092:kafka"),
    ],
)
def test_a_mistake_would_be_found(load: Load, tmp_path: Path, right: str, wrong: str) -> None:
    text = FILE.read_text("utf-8")
    assert right in text
    (tmp_path / "docker-compose.yml").write_text(text.replace(right, wrong), "utf-8")
    assert load(PASSWORDS).returncode != 0
