"""Errors as ClickHouse's HTTP interface words them: a code, a name, a sentence and an HTTP status."""

import re
from typing import Final

SYNTAX_ERROR: Final = 62
BAD_ARGUMENTS: Final = 36
NOT_IMPLEMENTED: Final = 48
UNKNOWN_FORMAT: Final = 73
READONLY: Final = 164
QUERY_IS_TOO_LARGE: Final = 191
NOT_ENOUGH_SPACE: Final = 243
TOO_MANY_QUERIES: Final = 202
CANNOT_DECOMPRESS: Final = 271
ACCESS_DENIED: Final = 497
AUTHENTICATION_FAILED: Final = 516
POCO_EXCEPTION: Final = 1000

_NAMES: Final = {
    SYNTAX_ERROR: "SYNTAX_ERROR",
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    UNKNOWN_FORMAT: "UNKNOWN_FORMAT",
    READONLY: "READONLY",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
    NOT_ENOUGH_SPACE: "NOT_ENOUGH_SPACE",
    TOO_MANY_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    ACCESS_DENIED: "ACCESS_DENIED",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    POCO_EXCEPTION: "POCO_EXCEPTION",
}

# src/Server/HTTP/exceptionCodeToHTTPStatus.cpp of ClickHouse; every code that is not listed is a 500.
_STATUS: Final = {
    **dict.fromkeys((6, 26, 27, 28, 29, 32, 33, 36, 38, 41, 43, 53, 62, 69, 72, 117, 131, 261, 307, 321, 354, 386, 427, 456, 457), 400),
    **dict.fromkeys((194,), 401),
    **dict.fromkeys((164, 192, 193, 291, 497, 516), 403),
    **dict.fromkeys((10, 16, 46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 128, 129), 404),
    159: 408,
    381: 411,
    191: 413,
    48: 501,
    **dict.fromkeys((76, 202, 209, 210), 503),
}

_ENGINE_MESSAGE: Final = re.compile(r"(?:RuntimeError: )?Code: (\d+)\. DB::Exception: (.*)", re.DOTALL)
_REPEATED_TAIL: Final = re.compile(r" \(version [^)]*\)\. \([A-Z_0-9]+\)$")


class EngineError(Exception):
    """A refusal or failure that the client sees as a ClickHouse exception."""

    def __init__(self, code: int, message: str, *, name: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.name = name or _NAMES.get(code, "")

    @property
    def status(self) -> int:
        """The HTTP status a ClickHouse server answers this code with."""
        return _STATUS.get(self.code, 500)

    def body(self, version: str) -> str:
        """The text a ClickHouse server answers with; clients parse the code and the name out of it."""
        name = f" ({self.name})" if self.name and not self.message.rstrip().endswith(f"({self.name})") else ""
        return f"Code: {self.code}. DB::Exception: {self.message.rstrip()}{name} (version {version} (official build))\n"


def from_engine(error: Exception) -> EngineError:
    """The engine reports failures as text; give back the code, keep the text."""
    match = _ENGINE_MESSAGE.match(str(error))
    if match is None:
        return EngineError(POCO_EXCEPTION, str(error))
    code, message = int(match[1]), match[2]
    # What fails while rows are read arrives wrapped in itself: "Code: 27. DB::Exception: Code: 27. DB::Exception: … (version …). (NAME)".
    while (inner := _ENGINE_MESSAGE.match(message)) is not None:
        code, message = int(inner[1]), _REPEATED_TAIL.sub("", inner[2])
    return EngineError(code, message)
