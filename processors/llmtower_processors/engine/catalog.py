"""What exists in the engine, as far as the guard must know it: tables with their engines, views with their queries, functions."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from llmtower_processors.engine.connections import Session

_TABLES: Final = "SELECT database, name, engine, as_select, create_table_query FROM system.tables"
_FUNCTIONS: Final = "SELECT name, alias_to, categories FROM system.functions WHERE origin = 'System'"
_COMBINATORS: Final = "SELECT name FROM system.aggregate_function_combinators"

_REFUSED_CATEGORIES: Final = frozenset({"Dictionary", "Embedded Dictionary", "AI", "Introspection", "Machine Learning"})
_REFUSED_NAMES: Final = frozenset(
    {
        "catboostevaluate",
        "currentrequesturl",
        "eval",
        "file",
        "filesystemavailable",
        "filesystemcapacity",
        "filesystemunreserved",
        "generateserialid",
        "getclienthttpheader",
        "getmacro",
        "getmaxtablenamelengthfordatabase",
        "getmergetreesetting",
        "getserverport",
        "getserversetting",
        "hascolumnintable",
        "logtrace",
        "reversednsquery",
        "serveruuid",
        "showcertificate",
        "tcpport",
        "url",
        "zookeepersessionuptime",
    }
)
_REFUSED_PREFIXES: Final = ("__", "ai", "dict", "join", "remote", "s3", "region", "transaction")
_SYNTAX: Final = frozenset({"lambda", "exists", "grouping", "untuple"})


@dataclass(frozen=True, slots=True)
class Table:
    """One table or view of the engine."""

    engine: str
    as_select: str
    create_query: str


@dataclass(frozen=True, slots=True)
class Functions:
    """The scalar and aggregate functions a reader may call; a name that is not known is refused."""

    allowed: frozenset[str]
    combinators: tuple[str, ...]

    def allows(self, name: str) -> bool:
        """True for an allowed function, also with aggregate combinators (`sumForEachMergeIf`)."""
        lowered = name.lower()
        while lowered not in self.allowed:
            suffix = next((suffix for suffix in self.combinators if lowered.endswith(suffix) and lowered != suffix), None)
            if suffix is None:
                return False
            lowered = lowered[: -len(suffix)]
        return True


@dataclass(frozen=True, slots=True)
class Catalog:
    """What exists, as of one version of the schema."""

    version: int
    tables: Mapping[tuple[str, str], Table]
    functions: Functions


def load_functions(session: Session) -> Functions:
    """Read the functions of this engine."""
    rows = _rows(session, _FUNCTIONS)
    categories = {row["name"]: row["categories"] for row in rows}
    allowed = set(_SYNTAX)
    for row in rows:
        target = row["alias_to"] or row["name"]
        category = categories.get(target, "") or row["categories"]
        names = (row["name"].lower(), target.lower())
        if category not in _REFUSED_CATEGORIES and not any(_refused(name) for name in names):
            allowed.add(names[0])
    combinators = sorted((row["name"].lower() for row in _rows(session, _COMBINATORS)), key=len, reverse=True)
    return Functions(frozenset(allowed), tuple(combinators))


def load_tables(session: Session) -> Mapping[tuple[str, str], Table]:
    """Read every table and view: (database, name) to its definition."""
    return {
        (row["database"], row["name"]): Table(row["engine"], row["as_select"], row["create_table_query"]) for row in _rows(session, _TABLES)
    }


def _refused(name: str) -> bool:
    return name in _REFUSED_NAMES or name.startswith(_REFUSED_PREFIXES)


def _rows(session: Session, sql: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in session.run(sql, "JSONEachRow").data.splitlines()]
