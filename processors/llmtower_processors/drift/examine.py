"""Whether the embedder that the settings name can be had and does what an embedder should: what `llmtower doctor` asks."""

from typing import Final

import numpy as np

from llmtower_processors.drift.embedders import HashedNgrams, load_embedder
from llmtower_processors.errors import NotConfigured
from llmtower_processors.scoring.relevance import calibration

_TRIED: Final = "Where is my parcel?"
_UNCALIBRATED: Final = "; where an answer begins to be relevant or grounded was never calibrated: such scores say `uncalibrated`"


def examine_embedder(name: str) -> tuple[str, bool]:
    """Load an embedder and embed a text with it; gives a sentence, and whether it says that something is wrong."""
    try:
        embedder = load_embedder(name)
    except NotConfigured as error:
        return str(error), True
    if isinstance(embedder, HashedNgrams):
        return f"{embedder.label} embeds texts, without a model", False
    try:
        good = bool(np.abs(embedder.embed([_TRIED])).max() > 0)
    except Exception as error:  # whatever a model raises
        raised = type(error).__name__
        return f"{embedder.label} was loaded and fails over a text ({raised}). Get another model, or this one anew.", True
    if not good:
        return f"{embedder.label} was loaded and gives no vector. Get another model, or this one anew.", True
    return f"{embedder.label} embeds texts{_UNCALIBRATED if calibration(embedder) else ''}", False
