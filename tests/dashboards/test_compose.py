"""docker-compose.yml: pinned, healthy before it is depended on, closed beyond this machine, without a default password."""

import re
from typing import Any, Final
from xml.etree import ElementTree

import pytest

from llmtower_processors.cli.app import COMMANDS, GROUPS
from llmtower_schemas.settings import environment_names
from tests.dashboards.compose import FILE, grants, loaded, variables

PASSWORDS: Final = {name: f"{name.lower()}-value" for name, (kind, _) in variables().items() if kind == ":?"}
DOCUMENT: Final = loaded(PASSWORDS)
SERVICES: Final[dict[str, dict[str, Any]]] = DOCUMENT["services"]


def test_no_password_has_a_default_and_each_is_asked_for_with_a_sentence() -> None:
    asked = variables()
    assert {name for name, (kind, _) in asked.items() if kind == ":?"} == {name for name in asked if name.endswith("_PASSWORD")}
    assert all("is not set; the head of docker-compose.yml says how" in rest for kind, rest in asked.values() if kind == ":?")
    made = re.search(r"for name in ([A-Z_ ]+);", FILE.read_text("utf-8"))
    assert made
    assert {f"{name}_PASSWORD" for name in made[1].split()} == set(PASSWORDS), "the head of the file makes all of them"
    with pytest.raises(KeyError):
        loaded({})


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned_to_a_patch(name: str) -> None:
    images = [
        SERVICES[name]["image"],
        *re.findall(r"^FROM (\S+)", SERVICES[name].get("build", {}).get("dockerfile_inline", ""), re.MULTILINE),
    ]
    assert all(re.search(r":\d+\.\d+\.\d+", image) for image in images)


@pytest.mark.parametrize("name", SERVICES)
def test_only_this_machine_reaches_it_unless_somebody_chooses_otherwise(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    chosen = loaded(PASSWORDS | {"GRAFANA_BIND": "0.0.0.0"})["services"]
    assert chosen["grafana"]["ports"] == ["0.0.0.0:3000:3000"]
    assert chosen["clickhouse"]["ports"] == ["127.0.0.1:8123:8123"]


@pytest.mark.parametrize("name", SERVICES)
def test_it_waits_for_what_is_healthy_or_done(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        long_lived = SERVICES[other].get("restart") == "unless-stopped"
        assert how["condition"] == ("service_healthy" if long_lived else "service_completed_successfully")
        assert not long_lived or "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if service.get("restart") == "unless-stopped"])
def test_what_runs_for_ever_says_whether_it_is_healthy(name: str) -> None:
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"


@pytest.mark.parametrize("name", [name for name, service in SERVICES.items() if "build" in service])
def test_our_own_images_run_without_root(name: str) -> None:
    service = SERVICES[name]
    (user,) = re.findall(r"^USER (\d+)", service["build"]["dockerfile_inline"], re.MULTILINE)
    assert int(user) > 0
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]


def test_its_commands_exist_and_its_settings_are_known() -> None:
    words = [" ".join(map(str, service.get("command", []))) for service in SERVICES.values()]
    for first, second in re.findall(r"llmtower (\w[\w-]*)(?: (\w[\w-]*))?", " ".join(words)):
        assert first in COMMANDS or second in GROUPS[first][1], f"llmtower {first} {second}"
    named = {name for service in SERVICES.values() for name in service.get("environment", {}) if name.startswith("LLMTOWER_")}
    assert named
    assert named <= environment_names().keys()


def _xml(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(DOCUMENT["configs"][name]["content"])


def test_the_dashboards_reader_may_read_all_tables_but_texts() -> None:
    users = _xml("clickhouse-users")
    granted = {query.text for query in users.iterfind("users/dashboards/grants/query")}
    assert granted == set(grants()), "run: python -m tests.dashboards.compose"
    for reader in ("dashboards", "content"):
        assert users.findtext(f"users/{reader}/profile") == "reader"
    assert users.findtext("profiles/reader/readonly") == "1"
    assert users.find("profiles/reader/constraints/max_execution_time/changeable_in_readonly") is not None
    default = users.find("users/default")
    assert default is not None
    assert default.get("remove") == "remove"
    assert all(user.find("password") is None or user.find("password").get("from_env") for user in users.find("users") or [])  # type: ignore[union-attr]


def test_the_servers_own_logs_are_bounded() -> None:
    logs = [child for child in _xml("clickhouse-server") if child.tag.endswith("_log")]
    assert len(logs) > 15
    assert all(log.get("remove") or "INTERVAL 3 DAY DELETE" in (log.findtext("ttl") or "") for log in logs)
