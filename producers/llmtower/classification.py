"""What went wrong, by cause: exceptions of any client library into error classes, by status, code and name (nothing is imported)."""

from dataclasses import dataclass
from typing import Any

from llmtower_schemas.error_classes import by_code, by_names, by_status

_MESSAGE_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True)
class Failure:
    """An error as an event tells it; `message` is content: providers quote the prompt in it."""

    error_class: str
    error_type: str
    http_status: int | None
    message: str


def classify(error: BaseException) -> Failure:
    """Classify an exception; never raises, whatever the exception's own methods do."""
    status, code = _status(error), _code(error)
    return Failure(
        error_class=_class_of(error, status, code),
        error_type=code or type(error).__name__,
        http_status=status,
        message=_message(error),
    )


def _class_of(error: BaseException, status: int | None, code: str) -> str:
    if isinstance(error, (GeneratorExit, KeyboardInterrupt)) or type(error).__name__ == "CancelledError":
        return "cancelled"
    if found := by_code(code):
        return found
    if status is not None:
        return by_status(status)
    if isinstance(error, TimeoutError):
        return "timeout"
    names = [code, *(cls.__name__ for cls in type(error).__mro__ if cls not in (object, BaseException, Exception))]
    return by_names(names) or ("network" if isinstance(error, (ConnectionError, OSError)) else "other")


def _status(error: BaseException) -> int | None:
    """Find the HTTP status where client libraries keep it."""
    for place in (error, _attribute(error, "response")):
        for name in ("status_code", "http_status", "status", "code"):
            value = _attribute(place, name)
            if isinstance(value, int) and not isinstance(value, bool) and 100 <= value <= 599:
                return value
    status = _boto(error, "ResponseMetadata", "HTTPStatusCode")
    return status if isinstance(status, int) else None


def _boto(error: BaseException, part: str, name: str) -> Any:
    """Look into the answer that botocore puts on its exceptions: a dict."""
    answer = _attribute(error, "response")
    found = answer.get(part) if isinstance(answer, dict) else None
    return found.get(name) if isinstance(found, dict) else None


def _code(error: BaseException) -> str:
    """Find the provider's own error code (`insufficient_quota`, `content_filter` …)."""
    values = [*(_attribute(error, name) for name in ("code", "type", "status")), _boto(error, "Error", "Code")]
    for value in values:
        if isinstance(value, str) and value and len(value) <= 100 and " " not in value:
            return value
    return ""


def _attribute(place: Any, name: str) -> Any:
    try:
        return getattr(place, name, None)
    except Exception:  # a property of somebody's exception class
        return None


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MESSAGE_CHARACTERS]
    except Exception:  # somebody's __str__
        return ""
