"""The `quality` processor: what can be said of every question and answer by looking at its text, on all traffic and without a model."""

from llmtower_processors.runtime.model import Processor
from llmtower_processors.scoring.attacks import Attacks
from llmtower_processors.scoring.model import Scorer
from llmtower_processors.scoring.personal import PersonalData
from llmtower_processors.scoring.process import scoring_processor
from llmtower_processors.scoring.refusals import Refusals
from llmtower_processors.scoring.shape import Languages, Shape

NAME = "quality"


def quality_scorers() -> tuple[Scorer, ...]:
    """Give the scorers, in the order of their scores within a row."""
    return (PersonalData(), Attacks(), Refusals(), Shape(), Languages())


def quality_processor() -> Processor:
    """Build the processor."""
    return scoring_processor(NAME, quality_scorers())
