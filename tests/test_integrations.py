"""The table of integrations is current, and each test it names exists."""

import ast
import re
import tomllib

import pytest

from tests.clients import table, test_pages


def test_the_page_is_current() -> None:
    assert table.PAGE.read_text("utf-8") == table.page(), "write it anew: python -m tests.clients.table"


@pytest.mark.parametrize("integration", table.INTEGRATIONS, ids=lambda each: each.title)
def test_each_aspect_is_proved_by_a_test_that_exists_or_says_why_not(integration: table.Integration) -> None:
    assert tuple(integration.proofs) == table.ASPECTS
    for aspect in table.ASPECTS:
        found = table.proof(integration, aspect)
        if not isinstance(found, table.Without):
            file, _, name = found.partition("::")
            tree = ast.parse((table.ROOT / "tests" / file).read_text("utf-8"))
            assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    assert (table.PAGE.parent / integration.page).is_file()


def test_the_code_of_each_page_is_run() -> None:
    pages = {path.name for path in table.PAGE.parent.glob("*.md")}
    frameworks = {"langchain.md", "litellm.md", "llama_index.md"}  # tests/frameworks/test_pages.py, tests/proxy
    assert pages == {*test_pages.RECORDED, *frameworks, "asgi.md", "README.md"}  # asgi.md: tests/producers/test_asgi.py


OLD_AND_NEW = [each for each in table.INTEGRATIONS if each.folder != "proxy"]
"""LiteLLM's proxy is a program: it is tested as it is installed today."""


@pytest.mark.parametrize("integration", OLD_AND_NEW, ids=lambda each: each.title)
def test_the_oldest_version_tested_is_the_one_that_is_promised(integration: table.Integration) -> None:
    extras = tomllib.loads((table.ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    extra = integration.page.removesuffix(".md").replace("_", "-")
    (lowest,) = [found[1] for text in extras[extra] if (found := re.fullmatch(rf"{integration.package}>=([0-9.]+)", text))]
    tested = table.versions(integration.environments[0])[integration.package]
    assert tested == lowest or tested.startswith(f"{lowest}.")
