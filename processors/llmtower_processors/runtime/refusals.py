"""Which of ClickHouse's errors a retry can mend, and what may be said about the others without repeating payload."""

import re
from collections.abc import Collection
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError, DataError
from urllib3.exceptions import HTTPError

from llmtower_processors.runtime.edges import EdgeError, StoreRefusedError, StoreUnavailableError

PERMANENT: Final = {
    6: "CANNOT_PARSE_TEXT",
    8: "COLUMN_QUERIED_MORE_THAN_ONCE",
    10: "NOT_FOUND_COLUMN_IN_BLOCK",
    16: "NO_SUCH_COLUMN_IN_TABLE",
    20: "NUMBER_OF_COLUMNS_DOESNT_MATCH",
    25: "CANNOT_PARSE_ESCAPE_SEQUENCE",
    26: "CANNOT_PARSE_QUOTED_STRING",
    27: "CANNOT_PARSE_INPUT_ASSERTION_FAILED",
    36: "BAD_ARGUMENTS",
    38: "CANNOT_PARSE_DATE",
    41: "CANNOT_PARSE_DATETIME",
    43: "ILLEGAL_TYPE_OF_ARGUMENT",
    44: "ILLEGAL_COLUMN",
    47: "UNKNOWN_IDENTIFIER",
    48: "NOT_IMPLEMENTED",
    49: "LOGICAL_ERROR",
    50: "UNKNOWN_TYPE",
    53: "TYPE_MISMATCH",
    60: "UNKNOWN_TABLE",
    62: "SYNTAX_ERROR",
    63: "UNKNOWN_AGGREGATE_FUNCTION",
    69: "ARGUMENT_OUT_OF_BOUND",
    70: "CANNOT_CONVERT_TYPE",
    72: "CANNOT_PARSE_NUMBER",
    81: "UNKNOWN_DATABASE",
    115: "UNKNOWN_SETTING",
    117: "INCORRECT_DATA",
    131: "TOO_LARGE_STRING_SIZE",
    153: "ILLEGAL_DIVISION",
    164: "READONLY",
    190: "SIZES_OF_ARRAYS_DONT_MATCH",
    321: "VALUE_IS_OUT_OF_RANGE_OF_DATA_TYPE",
    349: "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN",
    407: "DECIMAL_OVERFLOW",
    441: "INVALID_GRID",
    452: "SETTING_CONSTRAINT_VIOLATION",
    469: "VIOLATED_CONSTRAINT",
    497: "ACCESS_DENIED",
    691: "UNKNOWN_ELEMENT_OF_ENUM",
}
"""Server errors that the same block will meet again; every other code is tried again for ever, with the lag and readiness showing it."""

_TOO_MANY_PARTS: Final = 252
_PARTITIONS_OF_ONE_INSERT: Final = "partitions for single INSERT block"


def judge(error: Exception, table: str, columns: Collection[str], column: str = "") -> EdgeError:
    """Turn what an insert or query raised into one of ours; the message names code, table and column, never a value."""
    if isinstance(error, ClickHouseError) and not isinstance(error, DataError):
        code = getattr(error, "code", None)
        name = getattr(error, "name", None) or PERMANENT.get(code or 0, "")
        what = f"table {table}{_column(str(error), columns)}: ClickHouse error {code} {name}".rstrip()
        if code in PERMANENT or (code == _TOO_MANY_PARTS and _PARTITIONS_OF_ONE_INSERT in str(error)):
            return StoreRefusedError(what)
        return StoreUnavailableError(what if code else f"table {table}: no answer from ClickHouse ({type(error).__name__})")
    if isinstance(error, OSError | HTTPError):
        return StoreUnavailableError(f"table {table}: no answer from ClickHouse ({type(error).__name__})")
    where = f", column {column}" if column in columns else ""
    return StoreRefusedError(f"table {table}{where}: a value does not fit the column's type ({type(error).__name__})")


def _column(message: str, columns: Collection[str]) -> str:
    named = [word for word in re.findall(r"(?:[Cc]olumn |[Cc]olumn [`'\"]|[`'\"(])(\w+)", message) if word in columns]
    return f", column {named[0]}" if named else ""
