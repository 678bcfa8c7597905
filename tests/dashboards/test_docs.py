"""What the pages, and the words of panels, name exists."""

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

import llmtower
from llmtower_dashboards.registry import ANNOTATIONS, PANELS
from llmtower_processors.cli.app import COMMANDS, GROUPS
from llmtower_schemas.settings import environment_names

DOCS: Final = Path(__file__).parent.parent.parent / "docs"
PAGES: Final = ("grafana.md", "kubernetes.md")


@pytest.mark.parametrize("page", PAGES)
def test_its_commands_and_settings_exist(page: str) -> None:
    text = (DOCS / page).read_text("utf-8")
    commands = re.findall(
        r"\bllmtower(?:, | )([a-z][a-z-]*)(?: ([a-z][a-z-]*))?",
        " ".join(re.findall(r"`[^`]+`|```.*?```|\[llmtower[^\]]*\]", text, re.DOTALL)),
    )
    assert commands
    for first, second in commands:
        assert first in COMMANDS or second in GROUPS.get(first, ("", {}))[1], f"llmtower {first} {second}"
    known = environment_names()
    assert [name for name in re.findall(r"\bLLMTOWER_[A-Z_]+\b", text) if name not in known] == []


def test_the_manifests_are_whole() -> None:
    (block,) = re.findall(r"```yaml\n(.*?)```", (DOCS / "kubernetes.md").read_text("utf-8"), re.DOTALL)
    kinds = {document["kind"]: document for document in yaml.safe_load_all(block)}
    assert kinds.keys() == {"Deployment", "Secret"}
    spec = kinds["Deployment"]["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"]
    assert kinds["Secret"]["stringData"]["LLMTOWER_CLICKHOUSE__PASSWORD"] == ""


def test_every_function_of_the_sdk_that_is_named_exists() -> None:
    pages = [DOCS.parent / "README.md", DOCS.parent / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    panels = {**PANELS, **ANNOTATIONS}.values()
    texts = [page.read_text("utf-8") for page in pages] + [f"{panel.question} {panel.no_data}" for panel in panels]
    named = set(re.findall(r"\bllmtower\.([A-Za-z_]+)\(", " ".join(texts)))
    assert named > {"configure", "feedback"}
    assert {name for name in named if not hasattr(llmtower, name)} == set()
