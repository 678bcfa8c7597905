"""The tree of a statement as the engine's own parser prints it (EXPLAIN AST), and the node kinds a reader may use."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from llmtower_processors.engine.errors import ACCESS_DENIED, EngineError

NODES: Final = frozenset(
    {
        "ArrayJoin",
        "Asterisk",
        "ColumnsExceptTransformer",
        "ColumnsListMatcher",
        "ColumnsRegexpMatcher",
        "ColumnsReplaceTransformer",
        "ColumnsReplaceTransformer::Replacement",
        "ColumnsTransformerList",
        "DescribeQuery",
        "ExistsTableQuery",
        "ExpressionList",
        "Function",
        "Identifier",
        "InterpolateElement",
        "Literal",
        "OrderByElement",
        "QualifiedAsterisk",
        "QualifiedColumnsListMatcher",
        "QualifiedColumnsRegexpMatcher",
        "SampleRatio",
        "SelectIntersectExceptQuery",
        "SelectQuery",
        "SelectWithUnionQuery",
        "Set",
        "ShowTables",
        "Subquery",
        "TableExpression",
        "TableIdentifier",
        "TableJoin",
        "TablesInSelectQuery",
        "TablesInSelectQueryElement",
        "WindowDefinition",
        "WindowListElement",
        "WithElement",
    }
)
ROOTS: Final = frozenset({"SelectWithUnionQuery", "SelectIntersectExceptQuery", "DescribeQuery", "ExistsTableQuery", "ShowTables"})
_DECORATION: Final = re.compile(r"(?: \(alias .*?\))?(?: \(children \d+\))?$")


@dataclass(frozen=True, slots=True)
class Node:
    """One line of EXPLAIN AST: its kind, what follows it, its parent's kind."""

    kind: str
    text: str
    parent: str


def read_tree(explained: str) -> Iterator[Node]:
    """Read the indented lines of EXPLAIN AST."""
    path: list[str] = []
    for line in explained.splitlines():
        bare = line.lstrip(" ")
        depth = len(line) - len(bare)
        if depth > len(path) or not bare:
            raise denied("its text cannot be read back safely")
        kind, _, rest = _DECORATION.sub("", bare).partition(" ")
        parent = path[depth - 1] if depth else ""
        path[depth:] = [kind]
        yield Node(kind, rest, parent)


def denied(reason: str) -> EngineError:
    """The refusal of a reading role; `reason` never quotes the statement."""
    return EngineError(ACCESS_DENIED, f"Not enough privileges: {reason}.")
