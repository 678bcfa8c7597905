"""The `toxicity` processor: every question and answer through the cascade, into rows of `call_scores`."""

from collections.abc import Sequence
from functools import partial

from llmtower_processors.columns import blocks
from llmtower_processors.runtime.model import Batch, Block, Processor
from llmtower_processors.scoring.late import late_calls, scored
from llmtower_processors.scoring.process import RANGE_S, TABLES, TOPICS, responses, score_columns
from llmtower_processors.scoring.spoken import spoken
from llmtower_processors.toxic.cascade import Cascade
from llmtower_processors.toxic.linear import load_linear
from llmtower_processors.toxic.share import parameter_for, share_in
from llmtower_processors.toxic.strong import Strong
from llmtower_schemas import topics

NAME = "toxicity"


def toxicity_processor(strong: Strong | None = None) -> Processor:
    """Build the processor; without a strong model the linear one alone gives the scores."""
    function = partial(process_toxicity, cascade=Cascade(load_linear, strong))
    return Processor(NAME, TOPICS, TABLES, function, parameter=parameter_for if strong else None, range_s=RANGE_S)


def process_toxicity(batch: Batch, *, cascade: Cascade) -> Sequence[Block]:
    """Turn one batch into at most one block, all its texts together, so that the strong model's batches are full."""
    is_late = batch.topic == topics.SIGNALS
    found = late_calls(batch) if is_late else responses(batch)
    if found is None:
        return ()
    scores = cascade.score(list(map(spoken, found.events)), share_in(batch.parameter))
    return blocks([("call_scores", score_columns(batch, found, scored(scores) if is_late else scores))])
