"""Settings of a query: what the face sets for each role, and what a client may set itself."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from llmtower_processors.engine.credentials import Role
from llmtower_processors.engine.errors import BAD_ARGUMENTS, READONLY, EngineError

GIB: Final = 2**30

MAX_QUERY_MEMORY: Final = 4 * GIB
"""One query of the writer: an insert of the largest allowed body with its views needs well under 2 GiB; audits and rebuilds sort more."""

MAX_READER_MEMORY: Final = 2 * GIB
"""One query of a reader: a week of minutes needs megabytes; a runaway GROUP BY must not take the machine with it."""

MAX_READER_SECONDS: Final = 120
"""Dashboards give up long before; nothing else would end a query whose client is gone."""

MAX_RESULT_BYTES: Final = GIB
"""Results are built in memory before they are sent (one write per response)."""

HTTP_PARAMETERS: Final = frozenset(
    {
        "add_http_cors_header",
        "buffer_size",
        "client_protocol_version",
        "close_session",
        "compress",
        "database",
        "decompress",
        "default_format",
        "enable_http_compression",
        "framing",
        "http_zlib_compression_level",
        "network_compression_method",
        "network_zstd_compression_level",
        "password",
        "query",
        "query_id",
        "quota_key",
        "role",
        "send_progress_in_http_headers",
        "http_headers_progress_interval_ms",
        "session_check",
        "session_id",
        "session_timeout",
        "stacktrace",
        "user",
        "wait_end_of_query",
        "cancel_http_readonly_queries_on_client_close",
    }
)
"""URL parameters that speak to the HTTP interface, not to the query."""

# A request is one query on a connection whose settings are set beforehand; SELECT 1 must stay a SELECT, as on a server.
_COMMON: Final = {"implicit_select": "0", "allow_introspection_functions": "0", "result_overflow_mode": "throw"}

# Statistics of every column at every insert cost a tenth of it; merges make them.
_WRITER: Final = {
    **_COMMON,
    "async_insert": "0",
    "deduplicate_blocks_in_dependent_materialized_views": "1",
    "insert_deduplicate": "1",
    "materialize_statistics_on_insert": "0",
    "max_memory_usage": str(MAX_QUERY_MEMORY),
    "max_result_bytes": str(MAX_RESULT_BYTES),
}

_READER: Final = {
    **_COMMON,
    "max_execution_time": str(MAX_READER_SECONDS),
    "max_memory_usage": str(MAX_READER_MEMORY),
    "max_result_bytes": str(MAX_RESULT_BYTES // 2),
    "timeout_before_checking_execution_speed": "0",
}

BASELINE: Final = MappingProxyType({Role.WRITER: _WRITER, Role.CONTENT: _READER, Role.DASHBOARDS: _READER})

READER_SETTINGS: Final = frozenset(
    {
        "cast_string_to_dynamic_use_inference",
        "count_distinct_implementation",
        "date_time_input_format",
        "date_time_output_format",
        "extremes",
        "final",
        "group_by_use_nulls",
        "http_write_exception_in_output_format",
        "join_algorithm",
        "join_use_nulls",
        "log_comment",
        "max_block_size",
        "max_threads",
        "optimize_read_in_order",
        "output_format_arrow_string_as_string",
        "output_format_binary_write_json_as_string",
        "output_format_csv_crlf_end_of_line",
        "output_format_decimal_trailing_zeros",
        "output_format_json_array_of_rows",
        "output_format_json_quote_64bit_floats",
        "output_format_json_quote_64bit_integers",
        "output_format_json_quote_decimals",
        "output_format_json_quote_denormals",
        "output_format_native_encode_types_in_binary_format",
        "output_format_native_use_flattened_dynamic_and_json_serialization",
        "output_format_native_write_json_as_string",
        "output_format_pretty_color",
        "output_format_pretty_max_rows",
        "output_format_pretty_row_numbers",
        "output_format_write_statistics",
        "prefer_column_name_to_alias",
        "session_timezone",
        "use_skip_indexes",
    }
)
"""Settings a reader may set anywhere: none of them reaches a file, another table or a limit."""

READER_LIMITS: Final = MappingProxyType({"max_execution_time": MAX_READER_SECONDS, "max_memory_usage": MAX_READER_MEMORY})
"""Settings that a reader may lower. Grafana's editor lowers the time in the statement itself."""
_READER_NEUTRAL: Final = MappingProxyType({"readonly": ("1", "2"), "async_insert": ("0",), "wait_for_async_insert": ("0", "1")})
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def for_request(role: Role, params: Mapping[str, str]) -> dict[str, str]:
    """The settings of one request: the role's own and what the URL adds to them.

    Raises EngineError for a setting that the role may not set.
    """
    wanted = dict(BASELINE[role])
    for name, value in params.items():
        if name in HTTP_PARAMETERS or name.startswith("param_"):
            continue
        if not _NAME.fullmatch(name):
            raise EngineError(BAD_ARGUMENTS, "A URL parameter is not the name of a setting.")
        if role is Role.WRITER:
            wanted[name] = value
        else:
            wanted.update(_reader_setting(name, value))
    return wanted


def _reader_setting(name: str, value: str) -> dict[str, str]:
    if name in READER_SETTINGS:
        return {name: value}
    if name in READER_LIMITS:
        limit = READER_LIMITS[name]
        asked = _number(name, value)
        return {name: str(limit if asked == 0 else min(asked, limit))}
    if value in _READER_NEUTRAL.get(name, ()):
        return {}
    raise EngineError(
        READONLY, f"Cannot modify '{name}' setting in readonly mode: this role may set formats, threads and lower limits only."
    )


def _number(name: str, value: str) -> int:
    try:
        number = int(float(value))
    except (ValueError, OverflowError):
        number = -1
    if number < 0:
        raise EngineError(BAD_ARGUMENTS, f"Setting {name} needs a number.")
    return number


def quote(value: str) -> str:
    """A string as a SQL literal of the engine."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quote_identifier(name: str) -> str:
    """A name as a SQL identifier of the engine."""
    return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"


def set_statement(settings: Mapping[str, str], *, read_only: bool) -> str:
    """The statement that brings a fresh connection to these settings.

    `readonly` = 2 is the second wall behind the guard: the engine itself then refuses every write, and cannot be talked out of it.
    """
    assignments = [f"{name} = {quote(value)}" for name, value in settings.items() if name != "readonly"]
    if read_only or settings.get("readonly") in ("1", "2"):
        assignments.append("readonly = 2")
    return f"SET {', '.join(assignments)}"
