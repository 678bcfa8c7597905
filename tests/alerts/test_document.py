"""docs/alerts.md: every file in it can be read, every command exists with its options, its code verifies, its table is current."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from tests.documents import assert_command_exists

from llmtower_processors.alerts.load import load_rules, parse_rules
from llmtower_processors.alerts.message import Message
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.alerts.scores import read_labels
from llmtower_processors.alerts.send.webhook import signature

PAGE = Path(__file__).parents[2] / "docs" / "alerts.md"
TEXT = PAGE.read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("llmtower ")]


def test_every_file_can_be_read(tmp_path: Path) -> None:
    found = [parse_rules(block) for block in blocks("yaml") if "incidents.yaml" not in block and "$schema" not in block]
    assert [rule.name for rules in found for rule in rules.rules] == ["support_slow", "cost_of_a_ticket", "budget_search"]
    (labels,) = (block for block in blocks("yaml") if "incidents.yaml" in block)
    path = tmp_path / "incidents.yaml"
    path.write_text(labels, "utf-8")
    assert len(read_labels(path)) == 2


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_its_options(line: str) -> None:
    assert_command_exists(shlex.split(line.partition("  #")[0])[1:])


def test_the_message_is_one() -> None:
    (block,) = blocks("json")
    found = json.loads(block)
    assert set(found) == set(Message.model_fields)
    assert Message.model_validate(found).status == "firing"


def test_the_receivers_code_knows_our_signature() -> None:
    (block,) = blocks("python")
    names: dict[str, Any] = {}
    exec(block, names)
    now = int(names["time"].time())
    assert names["is_ours"](signature("s", b"{}", now), b"{}", "s")
    assert not names["is_ours"](signature("s", b"{}", now - 400), b"{}", "s")
    assert not names["is_ours"](signature("x", b"{}", now), b"{}", "s")


def test_the_table_of_rules_is_current() -> None:
    """Write it anew with `python -m tests.alerts.test_document`."""
    assert with_table(TEXT) == TEXT
    assert f"{len(load_rules().active())} rules are shipped" in TEXT


def with_table(text: str) -> str:
    rows = "\n".join(_row(rule) for rule in load_rules().rules)
    table = f"| rule | says | asks | levels | at least |\n|---|---|---|---|---|\n{rows}\n"
    return re.sub(r"(<!-- rules -->\n).*?(<!-- /rules -->)", lambda found: f"{found[1]}{table}{found[2]}", text, flags=re.DOTALL)


def _row(rule: Rule) -> str:
    kind = next((name for name in ("baseline", "burn_rate", "budget") if getattr(rule, name)), "")
    asks = f"{rule.metric or 'SQL'}{f', {kind.replace(chr(95), chr(32))}' if kind else ''} by {', '.join(rule.grouping)}"
    levels = ", ".join(
        f"{severity} {'>' if level.above is not None else '<'} {level.threshold:g}" for severity, level in rule.levels.graded()
    )
    least = f"{rule.min_sample:g}" if rule.min_sample else ""
    return f"| `{rule.name}` | {rule.heading} | {asks} | {levels} {rule.value_unit} | {least} |"


if __name__ == "__main__":
    PAGE.write_text(with_table(TEXT), "utf-8")
