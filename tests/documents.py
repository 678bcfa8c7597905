"""What tests of several pages share: the commands that a page names exist, with the options it gives them."""

from typing import Any

import typer

from llmtower_processors.cli.app import build


def assert_command_exists(words: list[str]) -> None:
    """Find the command that these words (without `llmtower`) name; a word or option that is not there raises typer's own error."""
    command: Any = typer.main.get_command(build())
    context = command.make_context("llmtower", list(words), resilient_parsing=True)
    while hasattr(command, "commands"):
        command, words = command.commands[words[0]], words[1:]
        context = command.make_context(command.name, list(words), parent=context, resilient_parsing=hasattr(command, "commands"))
    assert context.command is command
