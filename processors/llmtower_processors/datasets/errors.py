"""What can go wrong with a dataset. Messages name options, counts and positions, never texts of calls."""

from llmtower_processors.errors import LlmtowerError


class DatasetError(LlmtowerError):
    """A question that cannot be asked, a version that is not there, an export that does not fit its format."""
