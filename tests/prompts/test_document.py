"""docs/prompts.md: every command exists with its options, the CI files are YAML whose steps exist, the prompt file is one."""

import re
import shlex
from pathlib import Path

import pytest
import yaml
from tests.documents import assert_command_exists

from llmtower.rendering import checked
from llmtower_processors.prompts.files import parse_prompt

PAGE = Path(__file__).parents[2] / "docs" / "prompts.md"
TEXT = PAGE.read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)


STEPS = [step for block in blocks("yaml") for step in re.findall(r"(?:run:|-) (llmtower .*)$", block, re.MULTILINE)]
COMMANDS = [line for block in blocks("sh") for line in block.splitlines() if line.startswith("llmtower ")] + STEPS


def test_the_page_is_read() -> None:
    assert len(STEPS) == 7
    assert len(COMMANDS) >= 15


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_exists_with_its_options(line: str) -> None:
    assert_command_exists(shlex.split(re.split(r"\s{2,}#", line)[0].replace("$VERSION", "8"))[1:])


def test_ci_files_are_yaml() -> None:
    workflow, by_hand, pipeline = (yaml.safe_load(block) for block in blocks("yaml"))
    assert workflow["jobs"]["prompts"]["steps"][0] == {"uses": "actions/checkout@v4"}
    assert ["gate" in step.get("run", "") for step in by_hand["jobs"]["promote"]["steps"]] == [False, False, True, False]
    assert pipeline["promote"]["rules"] == [{"if": "$PROMPT", "when": "manual"}]


def test_the_file_is_a_prompt() -> None:
    (block,) = blocks("markdown")
    prompt = checked("support/answer", parse_prompt(block, "answer.md"))
    assert [message.role for message in prompt.messages] == ["system", "user"]
    assert (prompt.variables["tone"].default, prompt.parameters["model"], prompt.author) == ("friendly", "gpt-4o", "anna")
