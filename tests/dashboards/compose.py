"""docker-compose.yml as Docker reads it: variables filled in, anchors and merges resolved.

`python -m tests.dashboards.compose` writes the grants of its dashboards' reader anew, after a table was added.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from llmtower_schemas.tables import TABLES, VIEWS

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


def grants() -> list[str]:
    """What the dashboards' reader may read: all tables and views but those that hold texts."""
    readable = [*(name for name, table in TABLES.items() if not table.restricted), *VIEWS]
    return [f"GRANT SELECT ON llmtower.{name}" for name in readable]


def _write_grants() -> None:
    text = FILE.read_text("utf-8")
    begin = text.index("<grants>\n", text.index("<dashboards>")) + len("<grants>\n")
    lines = "".join(f"              <query>{grant}</query>\n" for grant in grants())
    FILE.write_text(text[:begin] + lines + text[text.index("            </grants>", begin) :], "utf-8")


if __name__ == "__main__":
    _write_grants()
