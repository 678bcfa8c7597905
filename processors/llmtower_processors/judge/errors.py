"""What keeps a judge from starting."""

from llmtower_processors.errors import NotConfigured


class RubricError(NotConfigured):
    """A rubric cannot be used."""
