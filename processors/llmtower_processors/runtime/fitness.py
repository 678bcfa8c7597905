"""Whether replays into a table and into every view behind it are exact: asked of ClickHouse before anything is inserted."""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from llmtower_processors.runtime.edges import StoreUnfitError

Rows = Sequence[Sequence[Any]]
Ask = Callable[[str, Mapping[str, Any]], Rows]
"""Runs a query with bound parameters and returns its rows."""

WINDOW: Final = 100_000
WINDOW_SECONDS: Final = 3_600
"""Least time a replicated table must remember tokens: six times the age up to which a token is trusted."""

_TABLES: Final = """
SELECT database, name, engine, engine_full, create_table_query, toString(uuid), dependencies_database, dependencies_table
FROM system.tables WHERE database = {database:String} AND name IN {names:Array(String)}
"""
_DEFAULTS: Final = "SELECT name, value FROM system.merge_tree_settings WHERE name LIKE '%deduplication_window%'"
_VIEWS: Final = "SELECT value FROM system.settings WHERE name = 'deduplicate_blocks_in_dependent_materialized_views'"
_TARGET: Final = re.compile(r"^CREATE MATERIALIZED VIEW \S+ (?:UUID \S+ )?TO (?:`?([^`.\s]+)`?\.)?`?([^`\s(]+)`?")
_SETTING: Final = re.compile(r"\b(\w+deduplication_window\w*) = (\d+)")


def check(ask: Ask, database: str, tables: Sequence[str]) -> None:
    """Raise StoreUnfitError with the table, the setting and the remedy if a replay could double or lose rows."""
    if ask(_VIEWS, {}) != [("1",)]:
        raise StoreUnfitError(
            "setting deduplicate_blocks_in_dependent_materialized_views cannot be set to 1 on this server: allow it for this user"
        )
    defaults = {name: int(value) for name, value in ask(_DEFAULTS, {})}
    _check(ask, database, list(tables), defaults, seen=set())


def _check(ask: Ask, database: str, names: Sequence[str], defaults: Mapping[str, int], *, seen: set[tuple[str, str]]) -> None:
    rows = ask(_TABLES, {"database": database, "names": list(names)})
    missing = set(names) - {row[1] for row in rows}
    if missing:
        raise StoreUnfitError(f"no table {database}.{min(missing)}: run `llmtower migrate`")
    for _, name, engine, engine_full, *_, view_databases, views in rows:
        if (database, name) in seen:
            continue
        seen.add((database, name))
        _check_window(f"{database}.{name}", engine, {**defaults, **{k: int(v) for k, v in _SETTING.findall(engine_full)}})
        for view_database, view in zip(view_databases, views, strict=True):
            target_database, target = _target(ask, view_database, view)
            _check(ask, target_database, [target], defaults, seen=seen)


def _check_window(table: str, engine: str, settings: Mapping[str, int]) -> None:
    if "MergeTree" not in engine:
        raise StoreUnfitError(f"table {table}: engine {engine} cannot deduplicate inserts; it must be of the MergeTree family")
    if engine.startswith(("Replicated", "Shared")):
        least = {"replicated_deduplication_window": WINDOW, "replicated_deduplication_window_seconds": WINDOW_SECONDS}
    else:
        least = {"non_replicated_deduplication_window": WINDOW}
    for setting, needed in least.items():
        if settings.get(setting, 0) < needed:
            raise StoreUnfitError(
                f"table {table}: {setting} is {settings.get(setting, 0)} and must be at least {needed}: "
                f"ALTER TABLE {table} MODIFY SETTING {setting} = {needed}"
            )


def _target(ask: Ask, database: str, view: str) -> tuple[str, str]:
    """Where a materialized view writes: the table after TO, or the inner table that it keeps itself."""
    rows = ask(_TABLES, {"database": database, "names": [view]})
    if not rows:
        raise StoreUnfitError(f"view {database}.{view} cannot be read: grant SHOW on it")
    created, uuid = rows[0][4], rows[0][5]
    found = _TARGET.match(created)
    if found:
        return found[1] or database, found[2]
    return database, f".inner_id.{uuid}" if int(uuid.replace("-", ""), 16) else f".inner.{view}"
