"""From what a failure says of itself (HTTP status, provider's code, names of exceptions) to its class; one table for SDK and gateway."""

from collections.abc import Iterable

BY_STATUS = {401: "auth", 403: "auth", 408: "timeout", 429: "rate_limit", 499: "cancelled", 504: "timeout", 529: "server"}
CONTENT_FILTER = ("content_filter", "content_policy", "responsibleaipolicy", "safety")
BY_NAME = (
    ("cancelled", ("cancelled", "abandoned")),
    ("timeout", ("timeout", "deadline")),
    ("rate_limit", ("ratelimit", "throttl", "resourceexhausted", "toomanyrequests")),
    ("auth", ("authentication", "permission", "unauthenticated", "accessdenied", "forbidden", "unauthorized")),
    ("content_filter", ("contentfilter", "contentpolicy")),
    ("network", ("connect", "network", "readerror", "writeerror", "protocolerror", "payloaderror", "transport", "ssl", "dns")),
    ("server", ("internalserver", "serviceunavailable", "overloaded", "servererror")),
    ("invalid_request", ("badrequest", "invalidrequest", "notfound", "unprocessable", "validation", "conflict")),
)
"""Class, and the words that betray it in a name (in lower case)."""


def by_code(code: str) -> str:
    """Give the class that a provider's error code says by itself, or ''."""
    return "content_filter" if any(word in code.lower() for word in CONTENT_FILTER) else ""


def by_status(status: int) -> str:
    """Give the class of an HTTP status."""
    return BY_STATUS.get(status) or ("server" if status >= 500 else "invalid_request" if status >= 400 else "other")


def by_names(names: Iterable[str]) -> str:
    """Give the class of an exception by the names of its classes, or ''; separators do not matter."""
    plain = [name.lower().replace("_", "") for name in names]
    for error_class, words in BY_NAME:
        if any(word in name for name in plain for word in words):
            return error_class
    return ""
