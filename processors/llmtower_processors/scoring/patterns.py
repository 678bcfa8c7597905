"""Expressions kept as facts in TOML files: read once, each with texts without which there is no hit."""

import re
import tomllib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import resources


@dataclass(frozen=True, slots=True)
class Pattern:
    """One expression, how sure a hit is (0 to 1), and texts without which there is none: searching those is twenty times as fast."""

    family: str
    weight: float
    literals: tuple[str, ...]
    search: Callable[[str], object]


def read(file: str) -> tuple[Pattern, ...]:
    """Read a file of this package: tables `pattern` with `family`, `weight`, `any` (empty: always look) and `text`."""
    tables = tomllib.loads(resources.files(__package__).joinpath(file).read_text("utf-8"))["pattern"]
    return tuple(
        Pattern(one["family"], one.get("weight", 1.0), tuple(one.get("any", ())), re.compile(one["text"]).search) for one in tables
    )


def families(patterns: Iterable[Pattern], text: str) -> dict[str, float]:
    """Give the families of which the text has a hit, each with the weight of its clearest one."""
    found: dict[str, float] = {}
    for one in patterns:
        possible = not one.literals or any(literal in text for literal in one.literals)
        if possible and one.weight > found.get(one.family, 0.0) and one.search(text):
            found[one.family] = one.weight
    return found
