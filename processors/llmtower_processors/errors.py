"""What can go wrong, by cause. Messages say what was wrong, where, and what to do; never payload text."""


class LlmtowerError(Exception):
    """Base of all errors of the server side; the CLI prints its message and exits 1."""

    retriable = False


class NotConfigured(LlmtowerError):  # noqa: N818 - reads as a state
    """An address or a setting that is needed is not there."""


class Unreachable(LlmtowerError):  # noqa: N818 - reads as a state
    """Kafka or ClickHouse does not answer."""

    retriable = True


def root(error: BaseException) -> str:
    """Name what a chain of exceptions began with: `ConnectionRefusedError`, say."""
    while cause := error.__cause__ or error.__context__:
        error = cause
    return type(error).__name__
