"""The `quality` processor: what can be said of every question and answer by looking at its text, on all traffic and without a model."""

from llmtower_processors.runtime.model import Processor
from llmtower_processors.scoring.process import scoring_processor
from llmtower_processors.scoring.refusals import Refusals

NAME = "quality"


def quality_processor() -> Processor:
    """Build the processor."""
    return scoring_processor(NAME, (Refusals(),))
