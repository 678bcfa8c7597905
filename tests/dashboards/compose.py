"""docker-compose.yml as Docker reads it: variables filled in, anchors and merges resolved."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

FILE: Final = Path(__file__).parent.parent.parent / "docker-compose.yml"
_VARIABLE: Final = re.compile(r"\$\{(?P<name>\w+)(?:(?P<kind>:-|:\?)(?P<rest>[^}]*))?\}|\$\$")


def _text() -> str:
    """The file without its comments: Docker fills in values only."""
    return "\n".join(line for line in FILE.read_text("utf-8").splitlines() if not line.lstrip().startswith("#"))


def variables() -> dict[str, tuple[str, str]]:
    """Every variable of the file with how it is asked for (`:-` default, `:?` refused) and the default or the sentence."""
    found = _VARIABLE.finditer(_text())
    return {match["name"]: (match["kind"] or "", match["rest"] or "") for match in found if match["name"]}


def filled(environment: Mapping[str, str]) -> str:
    """The text with its variables filled in; one that is required and missing raises KeyError."""

    def value(match: re.Match[str]) -> str:
        if match["name"] is None:
            return "$"
        return environment.get(match["name"], match["rest"]) if match["kind"] == ":-" else environment[match["name"]]

    return _VARIABLE.sub(value, _text())


def loaded(environment: Mapping[str, str]) -> dict[str, Any]:
    """The document."""
    document: dict[str, Any] = yaml.safe_load(filled(environment))
    return document
