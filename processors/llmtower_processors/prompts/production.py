"""What production would say of an experiment's answers: its scorers of texts and its toxicity cascade."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
import orjson

from llmtower_processors.scoring.model import Score, Scorer, Spoken
from llmtower_processors.scoring.process import score_all
from llmtower_processors.scoring.spoken import spoken
from llmtower_processors.structs import STRUCTS
from llmtower_processors.toxic.cascade import Cascade
from llmtower_schemas.events import ResponseEvent

_DECODER: Final = msgspec.json.Decoder(STRUCTS[ResponseEvent])
_ALL: Final = 1.0
"""An experiment draws nothing: the strong model, where there is one, sees every text, or pairs would be torn."""


def response(fields: Mapping[str, Any]) -> Any:
    """Make fields of a `response` event what the worker makes of its line; ids and app may be left out."""
    return _DECODER.decode(orjson.dumps({"type": "response", "app": "experiment", "call_id": "0" * 36, **fields}))


@dataclass(frozen=True, slots=True)
class Production:
    """The scorers of the processors `quality` and `toxicity`."""

    scorers: Sequence[Scorer]
    cascade: Cascade

    def score(self, event: Any) -> tuple[dict[str, float], tuple[str, ...]]:
        """Give the scores of a `response` event, and the names of those that failed; what does not apply is in neither."""
        call: Spoken = spoken(event)
        (said,) = score_all([call], self.scorers)
        (toxic,) = self.cascade.score([call], _ALL)
        found: list[Score] = [*said, *toxic]
        scores = {one.name: one.value for one in found if one.status == "ok" and one.value is not None}
        return scores, tuple(one.name for one in found if one.status == "error")
