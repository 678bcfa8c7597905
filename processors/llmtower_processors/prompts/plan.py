"""What pushing a folder would change, and the difference of two versions. Pure."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from llmtower_processors.prompts.files import file_text
from llmtower_schemas.prompt_book import PromptBook
from llmtower_schemas.prompts import Prompt


@dataclass(frozen=True, slots=True)
class Change:
    """One prompt of a folder beside the registry."""

    name: str
    action: Literal["create", "update", "same", "elsewhere"]
    """elsewhere: only the registry has it; a sync leaves it alone."""
    number: int
    """The version it has, or will get."""
    difference: str = ""


def plan(files: Mapping[str, Prompt], book: PromptBook) -> list[Change]:
    """Compare a folder with the newest versions; names that only the registry has come last."""
    found = [_change(name, prompt, book) for name, prompt in sorted(files.items())]
    return found + [Change(name, "elsewhere", book.newest(name)) for name in book.names() if name not in files]


def _change(name: str, prompt: Prompt, book: PromptBook) -> Change:
    number = book.newest(name)
    newest = book.version(name, number) if number else None
    if newest is not None and newest.sha256 == prompt.sha256():
        return Change(name, "same", number)
    if not number:
        return Change(name, "create", 1, difference("", file_text(prompt), "nothing", name))
    before = file_text(newest.prompt) if newest is not None else ""
    return Change(name, "update", number + 1, difference(before, file_text(prompt), f"{name}@{number}", f"{name}@{number + 1}"))


def difference(before: str, after: str, old: str, new: str) -> str:
    """Give the unified difference of two texts."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), old, new, lineterm="")
    return "\n".join(lines)
