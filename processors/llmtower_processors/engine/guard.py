"""What a reading role may ask, whatever the SQL.

Two looks at the same text, both must agree. The engine's own parser writes the statement out in canonical form (one statement, no
comments) and as a tree (`EXPLAIN AST`, which evaluates nothing, unlike `EXPLAIN PLAN`); tables, functions and node kinds of the tree are
on allow-lists. The tree hides a few things (settings, APPLY, the WHERE of SHOW): the canonical tokens are scanned for those.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from llmtower_processors.engine.catalog import Catalog, Functions, Table, load_functions, load_tables
from llmtower_processors.engine.connections import Session
from llmtower_processors.engine.errors import SYNTAX_ERROR, EngineError
from llmtower_processors.engine.lexer import Token, tokens
from llmtower_processors.engine.settings import READER_LIMITS, READER_SETTINGS
from llmtower_processors.engine.tree import NODES, ROOTS, Node, denied, read_tree

SYSTEM_TABLES: Final = frozenset(
    {
        "build_options",
        "columns",
        "data_type_families",
        "databases",
        "formats",
        "functions",
        "numbers",
        "one",
        "settings",
        "table_engines",
        "tables",
        "time_zones",
    }
)
"""System tables without anybody's data: names, types and options that clients and Grafana's editor ask for."""

TABLE_FUNCTIONS: Final = frozenset({"numbers", "zeros", "generateSeries", "generate_series", "values", "SQLStandardValues"})

_UNION_CHILDREN: Final = frozenset({"ExpressionList", "Identifier", "Set"})
_SHOW: Final = re.compile(rb"SHOW (?:DATABASES|TABLES(?: FROM (?:\w+|`\w+`))?)(?: (?:NOT )?I?LIKE '[^'\\]*')?(?: FORMAT \w+)?")
_MAX_VIEW_DEPTH: Final = 8
_MAX_APPROVED: Final = 512


@dataclass(frozen=True, slots=True)
class Rules:
    """What a role may read: the tables of `database` but for the `restricted` ones, and SYSTEM_TABLES."""

    database: str
    restricted: frozenset[str]

    def names(self, database: str, name: str) -> bool:
        """True if this role may name that table at all; whether it may read it depends on what is behind it."""
        if database == "system":
            return name in SYSTEM_TABLES
        return database == self.database and name not in self.restricted and not name.startswith(".")


class Guard:
    """Decides whether a reading role may run a statement; may be asked from several threads."""

    def __init__(self, *, database: str, restricted: frozenset[str]) -> None:
        self._rules = Rules(database, restricted)
        self._lock = threading.Lock()
        self._functions: Functions | None = None
        self._catalog: Catalog | None = None
        self._approved: OrderedDict[tuple[str, str, int], str] = OrderedDict()

    def check(self, session: Session, sql: str, *, parameters: Mapping[str, str], current: str, version: int) -> str:
        """Give back the canonical text to run in place of `sql`; raises EngineError if the role may not.

        `version` counts schema changes: the list of tables is read again when it has moved.
        """
        if current not in (self._rules.database, "default"):
            raise denied(f"only the database {self._rules.database} can be read")
        # Values of parameters cannot change the verdict (they are literals in the tree), so they are not part of the key.
        key = (sql, current, version)
        with self._lock:
            canonical = self._approved.get(key)
        if canonical is None:
            catalog = self._current_catalog(session, version)
            canonical = _Inspection(session, catalog, self._rules, current).check(sql, parameters)
            with self._lock:
                self._approved[key] = canonical
                if len(self._approved) > _MAX_APPROVED:
                    self._approved.popitem(last=False)
        return canonical

    def _current_catalog(self, session: Session, version: int) -> Catalog:
        with self._lock:
            if self._functions is None:
                self._functions = load_functions(session)
            if self._catalog is None or self._catalog.version < version:
                self._catalog = Catalog(version, load_tables(session), self._functions)
            return self._catalog


@dataclass(frozen=True, slots=True)
class _Inspection:
    """One look at one statement; `depth` counts the views it came through."""

    session: Session
    catalog: Catalog
    rules: Rules
    current: str
    depth: int = 0

    def check(self, sql: str, parameters: Mapping[str, str]) -> str:
        canonical = _canonical(self.session, sql)
        settings_clauses = _scan(canonical, self.rules.restricted)
        explained = self.session.run(f"EXPLAIN AST {canonical}", "TabSeparatedRaw", parameters).data.decode("utf-8", "replace")
        nodes = list(read_tree(explained))
        if nodes[0].kind not in ROOTS:
            raise denied("this role may only SELECT, DESCRIBE, EXISTS, SHOW TABLES and SHOW DATABASES")
        if nodes[0].kind == "ShowTables" and not _SHOW.fullmatch(canonical.encode()):
            raise denied("SHOW may only have FROM and LIKE")
        for node in nodes:
            self._check_node(node)
        if settings_clauses != sum(node.kind == "Set" for node in nodes):
            raise denied("its SETTINGS cannot be read back safely")
        return canonical

    def _check_node(self, node: Node) -> None:
        if node.kind not in NODES:
            raise denied(f"{node.kind} is not allowed for this role")
        if node.parent == "SelectWithUnionQuery" and node.kind not in _UNION_CHILDREN:
            raise denied("results can only go to the client")
        if node.kind == "Function":
            self._check_function(node)
        elif node.kind == "TableIdentifier":
            self._check_table(node.text)
        elif node.kind == "Identifier" and node.parent != "SelectWithUnionQuery":
            self._check_identifier(node.text)
        elif node.kind == "ExistsTableQuery":
            database, _, name = node.text.partition(" ")
            if not self.rules.names(database or self.current, name):
                raise denied("EXISTS may only name tables of this role")

    def _check_function(self, node: Node) -> None:
        if node.parent == "TableExpression":
            if node.text not in TABLE_FUNCTIONS:
                raise denied(f"table functions are not allowed for this role, but for {', '.join(sorted(TABLE_FUNCTIONS))}")
        elif not self.catalog.functions.allows(node.text):
            raise denied("it calls a function that is unknown, user-defined or reaches outside the tables of this role")

    def _check_table(self, text: str) -> None:
        for name in _readings(text, self.current):
            if self._may_read(name):
                return
            if name in self.catalog.tables:
                raise denied(f"the table {'.'.join(name)} is not for this role")
        if "." in text:
            raise denied(f"only tables of {self.rules.database} and a few of system can be read")
        # Not a table: a name given by WITH, or one that the engine will call unknown.

    def _check_identifier(self, text: str) -> None:
        """An identifier may name a table too (`x IN system.query_log`), or start with one (`system.query_log.query`)."""
        parts = text.split(".")
        for name in {*_readings(text, self.current), *pairwise(parts[:2])}:
            if name in self.catalog.tables and not self._may_read(name):
                raise denied(f"the table {'.'.join(name)} is not for this role")

    def _may_read(self, name: tuple[str, str]) -> bool:
        table = self.catalog.tables.get(name)
        if table is None or not self.rules.names(*name):
            return False
        if name[0] == "system" or "MergeTree" in table.engine or table.engine in ("Memory", "Null"):
            return True
        if self.depth >= _MAX_VIEW_DEPTH:
            raise denied("its views are nested too deeply")
        behind = replace(self, current=name[0], depth=self.depth + 1)
        if table.engine == "View":
            behind.check(table.as_select, {})
            return True
        return table.engine == "MaterializedView" and behind._may_read_target(table)

    def _may_read_target(self, view: Table) -> bool:
        target = _target(view.create_query)
        return target is None or self._may_read((target[0] or self.current, target[1]))


def _scan(canonical: str, restricted: frozenset[str]) -> int:
    """Look at the tokens for what the tree does not show; gives the number of SETTINGS clauses."""
    found = list(tokens(canonical.encode()))
    for index, token in enumerate(found):
        if token.kind == "quoted" and b"\\" in token.text:
            raise denied("quoted names may not contain quotes, backslashes or control characters")
        if token.kind in ("word", "quoted") and token.name in restricted:
            raise denied(f"the name {token.name} is kept for a table that is not for this role; rename the column or alias")
        if token.is_word("OUTFILE", "INFILE") and found[index - 1].is_word("INTO", "FROM"):
            raise denied("results can only go to the client")
        if token.text == b"{" and _is_identifier_parameter(found, index):
            raise denied("parameters of type Identifier are not allowed for this role")
    return sum(_check_settings(found, index) for index, token in enumerate(found) if token.is_word("SETTINGS"))


def _canonical(session: Session, sql: str) -> str:
    escaped = sql.replace("\\", "\\\\").replace("\t", "\\t").replace("\n", "\\n").replace("\r", "\\r").replace("\0", "\\0")
    try:
        answer = session.run("SELECT formatQuerySingleLine({sql:String})", "RawBLOB", {"sql": escaped})
    except EngineError as error:
        raise EngineError(error.code, error.message.partition(": In scope ")[0], name=error.name) from None
    text = answer.data.decode("utf-8", "replace")
    if "�" in text or not text.strip():
        raise EngineError(SYNTAX_ERROR, "Syntax error: the statement is not valid UTF-8.")
    return text


def _readings(text: str, current: str) -> list[tuple[str, str]]:
    """Every (database, table) that an identifier of the tree may mean; its parts are not told apart there."""
    dots = [index for index, character in enumerate(text) if character == "."]
    return [*((text[:dot], text[dot + 1 :]) for dot in dots), (current, text)]


def _is_identifier_parameter(found: list[Token], index: int) -> bool:
    return index + 3 < len(found) and found[index + 2].text == b":" and found[index + 3].is_word("IDENTIFIER")


def _check_settings(found: list[Token], index: int) -> int:
    """Check one SETTINGS clause; 1 if there is one, 0 for a column that happens to be called so."""
    places = []
    depth = 0
    for position in range(index + 1, len(found) - 1):
        token = found[position]
        if token.kind == "symbol":
            depth += {b"(": 1, b"[": 1, b"{": 1, b")": -1, b"]": -1, b"}": -1}.get(token.text, 0)
        if depth < 0:
            break
        starts = position == index + 1 or (found[position - 1].text == b"," and depth == 0)
        if starts and found[position + 1].text == b"=":
            places.append(position)
        elif position == index + 1:
            return 0
    for place in places:
        if found[place].name not in READER_SETTINGS and not _lowers_a_limit(found, place):
            raise denied("a setting in its SETTINGS is not allowed for this role")
    return 1 if places else 0


def _lowers_a_limit(found: list[Token], place: int) -> bool:
    """Whether it says `name = 10` of a limit, plain digits and no more than the role has."""
    value, after = found[place + 2 : place + 3], found[place + 3 : place + 4]
    if found[place].name not in READER_LIMITS or not value or not value[0].text.isdigit() or (after and after[0].text == b"."):
        return False
    return 0 < int(value[0].text) <= READER_LIMITS[found[place].name]


def _target(create_query: str) -> tuple[str, str] | None:
    """The table named by TO in a materialized view's definition: (database or nothing, name)."""
    found = list(tokens(create_query.encode()))
    for index, token in enumerate(found[:-1]):
        if token.is_word("AS", "SELECT"):
            return None
        if token.is_word("TO"):
            if index + 3 < len(found) and found[index + 2].text == b".":
                return found[index + 1].name, found[index + 3].name
            return "", found[index + 1].name
    return None
