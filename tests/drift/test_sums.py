"""Vectors to sums: exact in any order, fixed for ever, and bad vectors counted instead of added."""

import random

import numpy as np
import orjson
import pytest

from llmtower_processors.drift.blocks import Blocks, chance, distances
from llmtower_processors.drift.embedders import HashedNgrams, ModelEmbedder
from llmtower_processors.drift.features import FEATURES, LARGEST, SCALE, features, mmd2, whole
from llmtower_processors.drift.sums import Said, Segment, Sums, sum_up
from llmtower_processors.sketches import process_sketches, sketches_processor
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import AT_NS, EXAMPLES
from llmtower_schemas.topics import SIGNALS
from tests.processors.batches import batch, record

CHAT = orjson.loads(encode_event(EXAMPLES["openai_chat"]))
WORDS = HashedNgrams()


def line(**fields: object) -> bytes:
    return orjson.dumps(CHAT | fields)


def rows(*lines: bytes) -> list[dict[str, object]]:
    blocks = process_sketches(batch(record(encode(list(lines)), offset=7), processor="sketches"), embedder=WORDS)
    return [dict(zip(block.columns, row, strict=True)) for block in blocks for row in zip(*block.columns.values(), strict=True)]


def total(found: list[dict[str, object]], name: str, **where: object) -> object:
    chosen = [row[name] for row in found if all(row[key] == value for key, value in where.items())]
    return np.sum([value for value in chosen if value], axis=0).tolist() if name in ("features", "mean") else sum(chosen)  # type: ignore[arg-type]


def test_a_row_holds_the_sums_of_its_minute_and_segment() -> None:
    found = rows(line(), line(output="I'm sorry, but I can't help with that."), line(started_at_ns=AT_NS + 60 * 10**9), line(app="other"))
    assert len(found) == len({(row["minute"], row["app"], row["direction"], row["language"]) for row in found})
    assert [row["event_index"] for row in found] == list(range(len(found)))
    assert {row["kafka_offset"] for row in found} == {7}
    assert total(found, "calls", direction="input", app="support-chat") == 3
    assert total(found, "refusals", direction="output") == 1
    assert total(found, "tokens", direction="input") == 4 * 3_048
    assert total(found, "timed_tokens", direction="output") == 4 * 300
    drawn = features(WORDS.label, WORDS.dimension)
    question = WORDS.embed(["Où est mon colis ?"])
    assert total(found, "features", direction="input") == (4 * whole(drawn.of(question))[0].astype(np.int64)).tolist()
    assert total(found, "mean", direction="input") == (4 * whole(question)[0].astype(np.int64)).tolist()


def test_any_cut_of_the_events_into_ranges_gives_the_same_sums() -> None:
    chance_ = random.Random(3)
    words = ["order", "parcel", "refund", "lamp", "table", "return", "broken", "late", "money", "invoice"]
    lines = [line(input=" ".join(chance_.choices(words, k=8)), output=" ".join(chance_.choices(words, k=20))) for _ in range(60)]
    whole_ = rows(*lines)
    chance_.shuffle(lines)
    pieces = [row for start in range(0, 60, 7) for row in rows(*lines[start : start + 7])]
    for name in ("features", "mean", "calls", "texts", "characters"):
        for direction in ("input", "output"):
            assert total(whole_, name, direction=direction) == total(pieces, name, direction=direction)


def test_a_session_counts_once_an_hour_whatever_ranges_its_calls_come_in() -> None:
    def sessions(found: list[dict[str, object]]) -> set[int]:
        return {one for row in found for one in row["sessions"]}  # type: ignore[attr-defined]

    lines = [line(session_id=f"s{number % 4}", started_at_ns=AT_NS + (number // 8) * 3_600 * 10**9) for number in range(16)]
    found = rows(*lines, line(session_id=""))
    assert len(sessions(found)) == 4 * 2
    assert total(found, "session_calls", direction="input") == 16
    assert total(found, "session_calls", direction="output") == 0
    assert sessions(rows(*lines[:5])) | sessions(rows(*lines[5:])) == sessions(found)


QUESTION, ANSWER = (orjson.loads(encode_event(EXAMPLES[name])) for name in ("late_question", "late_answer"))


def late(*events: dict[str, object]) -> list[dict[str, object]]:
    """Rows of texts that came apart from their calls."""
    made = batch(record(encode(list(map(orjson.dumps, events))), offset=9, topic=SIGNALS), processor="sketches")
    blocks = process_sketches(made, embedder=WORDS)
    return [dict(zip(block.columns, row, strict=True)) for block in blocks for row in zip(*block.columns.values(), strict=True)]


def test_texts_that_come_apart_add_what_they_would_have_within_their_call() -> None:
    """But the call is counted where it says what it used; so the two together are what one event would have been."""
    refused = {"message": {"role": "assistant", "content": "I'm sorry, but I can't help with that."}, "finish_reason": "stop"}
    apart = late(QUESTION, ANSWER | {"output": refused})
    assert {(row["kafka_topic"], row["kafka_offset"]) for row in apart} == {(SIGNALS, 9)}
    silent = rows(line(input=None, output=None))
    told = rows(line(input="Where is my parcel?", output="I'm sorry, but I can't help with that."))
    for name in ("calls", "texts", "characters", "refusals", "tokens", "timed_tokens", "features", "mean", "tool_calls", "session_calls"):
        for direction in ("input", "output"):
            assert total(silent + apart, name, direction=direction) == total(told, name, direction=direction), (name, direction)
    assert [row["lengths"] for row in apart] == [{9: 1}, {11: 1}]
    assert total(apart, "texts") == 2
    assert {row["minute"] for row in apart} == {row["at_ns"] // 60_000_000_000 * 60 for row in (QUESTION, ANSWER)}


@pytest.mark.parametrize(
    "event",
    [
        QUESTION | {"capture": "hash", "input": {"sha256": "0" * 64, "bytes": 3}},
        QUESTION | {"capture": "off", "input": None},
        QUESTION | {"input": {"role": "system", "content": "You are kind."}},
        ANSWER | {"output": {"message": {"role": "assistant", "tool_calls": [{"id": "1"}]}}},
        orjson.loads(encode_event(EXAMPLES["heartbeat"])),
    ],
    ids=["hashed", "off", "system prompt", "tool call", "no text at all"],
)
def test_what_came_apart_and_is_no_text_adds_nothing(event: dict[str, object]) -> None:
    assert late(event) == []


def test_a_replay_gives_the_same_rows() -> None:
    lines = [line(input=f"question {number} of the user") for number in range(30)]
    assert rows(*lines) == rows(*lines)


def test_a_range_of_requests_and_broken_lines_has_no_rows() -> None:
    assert rows(encode_event(EXAMPLES["request"]), b"{", b"\x00\xff") == []


@pytest.mark.parametrize(
    "fields", [{"capture": "off", "input": None, "output": None}, {"capture": "hash", "input": {"sha256": "ab", "bytes": 3}}]
)
def test_content_that_was_not_captured_is_counted(fields: dict[str, object]) -> None:
    found = rows(line(**fields))
    assert total(found, "without_text") == 2
    assert total(found, "texts") == 0
    assert all(row["features"] == [] for row in found)


def test_a_long_text_is_cut_and_counted() -> None:
    found = rows(line(input="word " * 60_000))
    assert (total(found, "cut"), total(found, "characters", direction="input")) == (1, 300_000)


@pytest.mark.parametrize(
    ("vector", "embedder", "label", "bad"),
    [
        ([0.5, 0.5, 0.0], "mine@1:3", "mine@1:3", 0),
        ([0.5, 0.5], "mine@1:3", "mine@1:3", 1),
        ([0.5, 0.5], "mine", "mine:2", 0),
        ([0.5, 0.5], "", "carried:2", 0),
        ([0.0, 0.0], "mine", "mine:2", 1),
        ([1.0], "mine", "mine:0", 1),
        ([], "mine@1:3", "mine@1:3", 1),
        ([1e30, -1e30], "mine", "mine:2", 0),
    ],
)
def test_a_vector_of_the_event_stands_under_its_own_label(vector: list[float], embedder: str, label: str, bad: int) -> None:
    found = [row for row in rows(line(embedding=vector, embedder=embedder)) if row["direction"] == "input"]
    assert [(row["embedder"], row["bad_vectors"], row["texts"]) for row in found] == [(label, bad, 1 - bad)]


def test_a_long_vector_is_shortened_and_one_with_nan_is_a_dead_letter_of_calls() -> None:
    found = rows(line(embedding=[0.1] * 1_536, embedder="large"), line(embedding=[0.2] * 1_536, embedder="large"))
    (row,) = [row for row in found if row["embedder"] == "large:1536"]
    assert len(row["mean"]) == LARGEST  # type: ignore[arg-type]
    assert row["texts"] == 2
    assert rows(line().replace(b'"app"', b'"embedding":[NaN],"app"')) == []


class Moody:
    """An encoder that breaks over one text and gives what is no number for another."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def encode(self, sentences: list[str]) -> list[list[float]]:
        if any("bomb" in one for one in sentences):
            raise self.error
        return [[float("nan") if "odd" in one else 1.0, float(len(one)), 0.0] for one in sentences]


class OutOfMemoryError(RuntimeError):
    """As torch has it."""


@pytest.mark.parametrize("error", [MemoryError(), OutOfMemoryError("CUDA out of memory"), RuntimeError("CUDA error"), OSError(5, "disk")])
def test_what_another_try_may_do_is_no_bad_vector(error: Exception) -> None:
    """Or the rows would depend on how much memory there was."""
    said = [Said(60, ("p", "a", "e", "m", "n", "1"), "input", text, None, "") for text in ("one", "a bomb")]
    with pytest.raises(type(error)):
        sum_up(said, ModelEmbedder("moody", "1", 3, Moody(error)), {})


def test_a_model_of_another_dimension_is_an_error_not_a_bad_text() -> None:
    said = [Said(60, ("p", "a", "e", "m", "n", "1"), "input", text, None, "") for text in ("one", "two")]
    with pytest.raises(ValueError, match=r"moody@1:7 gave \(2, 3\) for 2 texts"):
        sum_up(said, ModelEmbedder("moody", "1", 7, Moody(ValueError())), {})


@pytest.mark.parametrize("error", [ValueError("too long"), IndexError("index out of range in self"), Exception("WordPiece error")])
def test_texts_that_a_model_breaks_over_are_counted_and_their_neighbours_summed(error: Exception) -> None:
    embedder = ModelEmbedder("moody", "1", 3, Moody(error))
    texts = ["one", "two", "a bomb", "three", "an odd one", "  ", "four"]
    said = [Said(60, ("p", "a", "e", "m", "n", "1"), "input", text, None, "") for text in texts]
    into: dict[Segment, Sums] = {}
    sum_up(said, embedder, into)
    assert sum(sums.counts["bad_vectors"] for sums in into.values()) == 2
    assert sum(sums.counts["texts"] for sums in into.values()) == 4
    kept: dict[Segment, Sums] = {}
    sum_up([one for one in said if one.text in ("one", "two", "three", "four")], embedder, kept)
    features = [[sums.features.tolist() for sums in made.values() if sums.features is not None] for made in (into, kept)]
    assert np.sum(features[0], axis=0).tolist() == np.sum(features[1], axis=0).tolist()


def test_features_are_those_of_the_first_release() -> None:
    """Old sums would not merge with new ones."""
    drawn = features("hashed-words@1:256", 256)
    assert drawn.directions.shape == (256, FEATURES // 2)
    assert float(drawn.directions[0, 0]) == pytest.approx(GOLDEN[0], abs=1e-6)
    assert float(drawn.directions[255, 127]) == pytest.approx(GOLDEN[1], abs=1e-6)
    assert not np.array_equal(features("hashed-words@2:256", 256).directions, drawn.directions)


GOLDEN = (-3.2060032, -0.9300342)


def test_the_processor_is_named_and_has_one_table() -> None:
    processor = sketches_processor()
    assert (processor.name, processor.tables) == ("sketches", ("drift_ranges",))
    assert processor.topics == ("llmtower.calls", "llmtower.signals")


def gaussian(rng: np.random.Generator, count: int, shift: float = 0.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    rows_ = rng.standard_normal((count, 64)) + shift * np.eye(64)[0]
    return features("test", 64).of((rows_ / np.linalg.norm(rows_, axis=1, keepdims=True)).astype(np.float32))


def test_the_distance_is_the_one_over_all_pairs() -> None:
    rng = np.random.default_rng(1)
    a, b = gaussian(rng, 30), gaussian(rng, 40, 1.0)
    half = FEATURES / 2
    aa, bb, ab = (x.astype(float) @ y.T.astype(float) / half for x, y in ((a, a), (b, b), (a, b)))
    expected = (aa.sum() - np.trace(aa)) / (30 * 29) + (bb.sum() - np.trace(bb)) / (40 * 39) - 2 * ab.mean()
    sums = [whole(one).sum(axis=0, dtype=np.int64) / SCALE for one in (a, b)]
    assert mmd2(sums[0], 30, sums[1], 40) == pytest.approx(expected, abs=1e-5)
    assert np.isnan(mmd2(sums[0], 1, sums[1], 40))


def test_the_distance_is_unbiased_where_nothing_differs() -> None:
    rng = np.random.default_rng(2)
    found = [mmd2(gaussian(rng, 20).sum(axis=0), 20, gaussian(rng, 25).sum(axis=0), 25) for _ in range(400)]
    assert abs(np.mean(found)) < 3 * np.std(found) / 20


def test_chance_is_even_where_nothing_differs_and_small_where_something_does() -> None:
    rng = np.random.default_rng(3)

    def blocks(shift: float) -> Blocks:
        return Blocks.of([gaussian(rng, 30, shift).sum(axis=0).tolist() for _ in range(12)], [30] * 12)

    even = [chance(blocks(0), blocks(0), rounds=199, seed=number) for number in range(60)]
    assert 0.25 < sum(value is not None and value <= 0.5 for value in even) / 60 < 0.75
    assert sum(value is not None and value <= 0.05 for value in even) < 10
    assert chance(blocks(0), blocks(1.0)) == pytest.approx(0.001)
    assert chance(Blocks.of([], []), blocks(0)) is None


def test_distances_of_slices_to_the_rest() -> None:
    rng = np.random.default_rng(4)
    sums = np.stack([gaussian(rng, 10).sum(axis=0) for _ in range(3)]).astype(float)
    found = distances(sums, np.full(3, 10.0), sums.sum(axis=0), 30.0)
    assert found[0] == pytest.approx(mmd2(sums[0], 10, sums[1] + sums[2], 20))
