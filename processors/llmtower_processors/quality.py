"""The `quality` processor: what can be said of every question and answer by their texts alone, on all traffic, without a download."""

from llmtower_processors.drift.embedders import Embedder, HashedNgrams
from llmtower_processors.runtime.model import Processor
from llmtower_processors.scoring.attacks import Attacks
from llmtower_processors.scoring.model import Scorer
from llmtower_processors.scoring.personal import PersonalData
from llmtower_processors.scoring.process import scoring_processor
from llmtower_processors.scoring.refusals import Refusals
from llmtower_processors.scoring.relevance import relevance
from llmtower_processors.scoring.repeats import Repeats
from llmtower_processors.scoring.retrieval import Retrieval, of_step
from llmtower_processors.scoring.shape import Languages, Shape
from llmtower_processors.scoring.support import groundedness

NAME = "quality"


def quality_scorers(embedder: Embedder | None = None) -> tuple[Scorer, ...]:
    """Give the scorers, in the order of their scores within a row; without an embedder words are hashed."""
    return (*text_scorers(embedder or HashedNgrams()), Retrieval())


def text_scorers(embedder: Embedder) -> tuple[Scorer, ...]:
    """Give those that read nothing but what was said and why it ended: they are not asked again about what comes again."""
    return (PersonalData(), Attacks(), Refusals(), Shape(), Languages(), relevance(embedder), groundedness(embedder))


def quality_processor(embedder: Embedder | None = None) -> Processor:
    """Build the processor."""
    return scoring_processor(NAME, (Repeats(text_scorers(embedder or HashedNgrams())), Retrieval()), of_step)
