"""Every processor, as one literal table: what runs between Kafka and ClickHouse. To add one, write its file and name it here.

`roles` says which of them run in the low-priority process for scoring.
"""

from llmtower_processors.cost import calls_processor
from llmtower_processors.drift.embedders import Embedder
from llmtower_processors.pricing import PriceBook
from llmtower_processors.quality import quality_processor
from llmtower_processors.runtime.model import Processor
from llmtower_processors.signals import signals_processor
from llmtower_processors.sketches import sketches_processor
from llmtower_processors.toxic.strong import Strong
from llmtower_processors.toxicity import toxicity_processor


def build_processors(price_book: PriceBook, embedder: Embedder | None = None, strong: Strong | None = None) -> dict[str, Processor]:
    """Give every processor by its name; without an embedder texts are embedded by their hashed words, without a strong model the linear
    one alone scores toxicity."""
    return {
        "calls": calls_processor(price_book),
        "signals": signals_processor(),
        "sketches": sketches_processor(embedder),
        "quality": quality_processor(embedder),
        "toxicity": toxicity_processor(strong),
    }
