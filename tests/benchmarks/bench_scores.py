"""Scores: calls a second and core through each local scorer and through the whole processor; how right each is on the corpus."""

import gc
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import orjson

from llmtower_processors.quality import quality_processor, quality_scorers
from llmtower_processors.runtime.model import Batch
from llmtower_processors.scoring.model import Scorer, Spoken
from llmtower_processors.scoring.process import score_all
from llmtower_processors.scoring.spoken import spoken
from llmtower_processors.structs import STRUCTS
from llmtower_processors.wire import read_records
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.events import ResponseEvent
from llmtower_schemas.examples import EXAMPLES
from tests.benchmarks.figures import Figure, Samples, at_least, at_most, interleave, main
from tests.benchmarks.prose import documents
from tests.processors.batches import batch, record
from tests.scoring.corpus import HELD_OUT, TUNED, classes, false_alarms, innocents, languages, outcome

CALLS: Final = 3_000
"""Calls of a range, in envelopes of a hundred: a question of 200 characters, an answer of 1,200; every third with three documents."""
BUDGET_US: Final = 300
RATE: Final = 3_000
_ENVELOPE: Final = 100


def run(quick: bool) -> list[Figure]:
    """Measure."""
    gc.collect()
    gc.freeze()
    gc.disable()  # as the worker does
    made, rounds = _range(CALLS // 10 if quick else CALLS), 3 if quick else 9
    calls = [spoken(event) for event in read_records([one.value for one in made.records])[0] if isinstance(event, STRUCTS[ResponseEvent])]
    variants = {_name(scorer): partial(_ask, place, calls) for place, scorer in enumerate(quality_scorers())}
    again = quality_processor().function
    again(made)
    whole_ways = {"processor": lambda _: quality_processor().function(made), "again": lambda _: again(made)}
    taken = interleave({**variants, **whole_ways}, rounds)
    figures = [_figure(name, taken[name], len(calls)) for name in variants]
    whole = taken["processor"].cpu_s / len(calls) * 1e6
    note = f"{len(calls):,} calls with question and answer, a third with three documents; {taken['processor'].spread()}"
    return [
        *figures,
        at_most("all local scores of a call, record → row", whole, "µs", BUDGET_US, note),
        at_least("calls scored a second and core", 1e6 / whole, "calls/s", RATE, note),
        Figure("all local scores of a call that says what was said before", taken["again"].cpu_s / len(calls) * 1e6, "µs"),
        *_right(),
    ]


def _name(scorer: Scorer) -> str:
    return ", ".join(scorer.names)


def _ask(place: int, calls: Sequence[Spoken], _round: int) -> None:
    """Ask a new scorer, which has not seen anything."""
    score_all(calls, [quality_scorers()[place]])


def _figure(name: str, taken: Samples, count: int) -> Figure:
    return Figure(
        f"scores {name}", taken.cpu_s / count * 1e6, "µs a call", note=f"{count / taken.cpu_s:,.0f} calls/s and core; {taken.spread()}"
    )


def _right() -> list[Figure]:
    figures = []
    for corpus, named in ((HELD_OUT, "held-out texts"), (TUNED, "the texts that detectors are tuned on")):
        for name, of in classes(corpus).items():
            did = outcome(of)
            size = f"{len(of.found)} texts of the class, {len(of.clear)} beside it"
            figures.append(at_least(f"precision of {name} on {named}", did.precision, "ratio", of.precision, size))
            figures.append(at_least(f"recall of {name} on {named}", did.recall, "ratio", of.recall, size))
    for name, ordinary in innocents().items():
        share, limit = len(false_alarms(ordinary)) / len(ordinary.texts), ordinary.most / len(ordinary.texts)
        figures.append(at_most(f"false alarms: ordinary texts taken for {name}", share, "ratio", limit, f"{len(ordinary.texts)} texts"))
    texts, named_right = languages()
    figures.append(Figure("languages named rightly on held-out texts", named_right.recall, "ratio", note=f"{len(texts)} languages"))
    return figures


def _range(count: int) -> Batch:
    """Draw calls: all texts are different."""
    example = orjson.loads(encode_event(EXAMPLES["openai_chat"]))
    asked, answers = documents(count, size=200, seed=1), documents(count, size=1_200, seed=2)
    found = documents(3 * count, size=1_200, seed=3)
    lines = []
    for number in range(count):
        texts: list[dict[str, Any]] = [{"id": str(place), "score": 0.5, "text": found[3 * number + place]} for place in range(3)]
        said = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": asked[number]}]
        answer = [{"role": "assistant", "content": answers[number]}]
        lines.append(orjson.dumps(example | {"input": said, "output": answer, "retrieved": texts if number % 3 == 0 else []}))
    starts = range(0, count, _ENVELOPE)
    records = [record(encode(lines[at : at + _ENVELOPE]), offset=number, seq=at) for number, at in enumerate(starts)]
    return batch(*records, processor="quality")


if __name__ == "__main__":
    main(run)
