"""Sums per segment and minute: what a set of texts leaves behind. Integers, so that merging them is exact in any order."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from llmtower_processors.drift.embedders import Embedder, HashedNgrams, WrongShapeError, unit
from llmtower_processors.drift.features import Integers, features, whole
from llmtower_processors.drift.language import LANGUAGES, UNKNOWN, languages
from llmtower_processors.drift.said import LONGEST
from llmtower_processors.drift.tokens import chunks, words

LONGEST_VECTOR: Final = 16_384
BUCKETS: Final = 64
COUNTS: Final = (
    "calls",
    "texts",
    "without_text",
    "bad_vectors",
    "cut",
    "characters",
    "tokens",
    "refusals",
    "tool_calls",
    "failed",
    "session_calls",
)
TIMES: Final = ("timed_us", "timed_tokens")
MAPS: Final = ("lengths", "token_times", "finish_reasons")
_EMPTY: Final[list[int]] = []

Key = TypeVar("Key", int, str)


class Segment(NamedTuple):
    """What texts are kept apart by; two texts of different embedders are never compared."""

    minute: int
    project: str
    app: str
    environment: str
    request_model: str
    prompt_name: str
    prompt_version: str
    direction: str
    language: str
    embedder: str


class Said(NamedTuple):
    """One text of one call, and what goes with it; `vector` is the event's own, if it carries one."""

    minute: int
    who: tuple[str, str, str, str, str, str]
    """project, app, environment, request_model, prompt_name, prompt_version."""
    direction: str
    text: str
    vector: Sequence[float] | None
    embedder: str
    tokens: int = 0
    timed_us: int = 0
    timed_tokens: int = 0
    refusal: bool = False
    tool_call: bool = False
    failed: bool = False
    finish_reasons: Sequence[str] = ()
    session: int = 0
    """Hash of the call's session and hour; 0 where it names none."""
    calls: int = 1
    """0 for a text that came apart from its call, which is counted where it stands."""


@dataclass(slots=True)
class Sums:
    """The sums of one segment and minute."""

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*COUNTS, *TIMES), 0))
    features: Integers | None = None
    mean: Integers | None = None
    lengths: dict[int, int] = field(default_factory=dict)
    token_times: dict[int, int] = field(default_factory=dict)
    finish_reasons: dict[str, int] = field(default_factory=dict)
    sessions: set[int] = field(default_factory=set)

    def add_vectors(self, count: int, summed: Integers, mean: Integers) -> None:
        """Add the sums of `count` vectors."""
        self.counts["texts"] += count
        self.features = summed if self.features is None else self.features + summed
        self.mean = mean if self.mean is None else self.mean + mean

    def vectors(self) -> tuple[list[int], list[int]]:
        """Give the two sums as lists; empty where no text had a vector."""
        return (_EMPTY if self.features is None else self.features.tolist(), _EMPTY if self.mean is None else self.mean.tolist())


def sum_up(said: Sequence[Said], embedder: Embedder, into: dict[Segment, Sums]) -> None:
    """Add texts to the sums of their segments."""
    found, rows = _look(said, embedder)
    carried = {index: _carried(one) for index, one in enumerate(said) if one.vector is not None}
    segments = []
    for index, one in enumerate(said):
        label = embedder.label if index not in carried else carried[index][0]
        segments.append(Segment(one.minute, *one.who, one.direction, LANGUAGES[found[index]] if one.text else UNKNOWN, label))
    for segment, one in zip(segments, said, strict=True):
        _count(into.setdefault(segment, Sums()), one)
    own = np.array([index not in carried for index in range(len(said))], dtype=np.bool_)
    spoken = own & rows.any(axis=1)
    if not isinstance(embedder, HashedNgrams):  # of hashed words a text may have none; a model has a vector for whatever is said
        for index in np.flatnonzero(own & ~spoken).tolist():
            into[segments[index]].counts["bad_vectors"] += bool(said[index].text.strip())
    _add(segments, np.flatnonzero(spoken), rows[spoken], embedder.label, embedder.dimension, into)
    _add_carried(segments, carried, into)


def _look(said: Sequence[Said], embedder: Embedder) -> tuple[list[int], npt.NDArray[np.float32]]:
    """Give each text's language, and its vector (zeros where the event has its own)."""
    texts = [one.text[:LONGEST] for one in said]
    found: list[int] = []
    parts = []
    for piece in chunks(texts):
        hashed = words(texts[piece])
        found += languages(hashed).tolist()
        if isinstance(embedder, HashedNgrams):
            parts.append(embedder.embed_words(hashed))
    if not isinstance(embedder, HashedNgrams):
        parts = [_by_model([text if one.vector is None else "" for text, one in zip(texts, said, strict=True)], embedder)]
    return found, np.concatenate(parts) if parts else np.zeros((0, embedder.dimension), dtype=np.float32)


def _by_model(texts: Sequence[str], embedder: Embedder) -> npt.NDArray[np.float32]:
    """Embed; texts over which a model breaks have no vector, and their neighbours theirs. What is not a text's fault is raised."""
    try:
        return embedder.embed(texts)
    except Exception as error:
        if not _of_a_text(error):
            raise
        if len(texts) < 2:
            return np.zeros((len(texts), embedder.dimension), dtype=np.float32)
        middle = len(texts) // 2
        return np.concatenate([_by_model(texts[:middle], embedder), _by_model(texts[middle:], embedder)])


def _of_a_text(error: Exception) -> bool:
    """Whether the same text would break the same model again, on any machine: then a replay gives the same rows.

    Memory, devices, files and everything else that passes is not that; nor is a model of another shape. A tokenizer (tokenizers, in Rust)
    raises plain Exception.
    """
    of_values = isinstance(error, (ValueError, TypeError, LookupError, ArithmeticError)) or type(error) is Exception
    return of_values and not isinstance(error, WrongShapeError)


def _carried(one: Said) -> tuple[str, npt.NDArray[np.float32] | None]:
    """Give the label under which an event's own vector is summed, and the vector; None for one that cannot be used.

    The producer may declare the dimension (`minilm@2:384`); a vector of another length is then a bad one.
    """
    vector = one.vector or ()
    name, _, declared = one.embedder.rpartition(":")
    declares = bool(name) and declared.isdigit()
    label = one.embedder if declares else f"{one.embedder or 'carried'}:{len(vector)}"
    if not 2 <= len(vector) <= LONGEST_VECTOR or (declares and int(declared) != len(vector)):
        return (one.embedder if declares else f"{one.embedder or 'carried'}:0"), None
    row = unit(np.asarray([vector], dtype=np.float64))
    return label, (row[0] if row.any() else None)


def _add_carried(
    segments: Sequence[Segment], carried: dict[int, tuple[str, npt.NDArray[np.float32] | None]], into: dict[Segment, Sums]
) -> None:
    by_label: dict[str, list[int]] = {}
    for index, (label, vector) in carried.items():
        if vector is None:
            into[segments[index]].counts["bad_vectors"] += 1
        else:
            by_label.setdefault(label, []).append(index)
    for label, indexes in by_label.items():
        rows = np.stack([vector for index in indexes if (vector := carried[index][1]) is not None])
        _add(segments, np.array(indexes), rows, label, rows.shape[1], into)


def _add(
    segments: Sequence[Segment],
    indexes: npt.NDArray[np.int64],
    rows: npt.NDArray[np.float32],
    label: str,
    dimension: int,
    into: dict[Segment, Sums],
) -> None:
    """Add vectors of one embedder to their segments."""
    if not indexes.size:
        return
    drawn = features(label, dimension)
    vectors = drawn.vectors(rows)
    numbers: dict[Segment, int] = {}
    group = np.array([numbers.setdefault(segments[index], len(numbers)) for index in indexes])
    order = np.argsort(group, kind="stable")
    begins = np.searchsorted(group[order], np.arange(len(numbers)))
    summed = np.add.reduceat(whole(drawn.of(vectors))[order], begins, axis=0, dtype=np.int64)
    means = np.add.reduceat(whole(vectors)[order], begins, axis=0, dtype=np.int64)
    counts = np.bincount(group)
    for segment, number in numbers.items():
        into[segment].add_vectors(int(counts[number]), summed[number], means[number])


def _count(sums: Sums, one: Said) -> None:
    counts = sums.counts
    counts["calls"] += one.calls
    counts["tokens"] += one.tokens
    counts["timed_us"] += one.timed_us
    counts["timed_tokens"] += one.timed_tokens
    counts["refusals"] += one.refusal
    counts["tool_calls"] += one.tool_call
    counts["failed"] += one.failed
    if one.session:
        counts["session_calls"] += 1
        sums.sessions.add(one.session)
    if one.timed_tokens:
        _tally(sums.token_times, bucket(one.timed_us // one.timed_tokens))
    for reason in one.finish_reasons:
        _tally(sums.finish_reasons, reason)
    if not one.text:
        counts["without_text"] += 1
        return
    length = len(one.text)
    counts["characters"] += length
    counts["cut"] += length > LONGEST
    _tally(sums.lengths, bucket(length))


def bucket(value: int) -> int:
    """Give the bits of the square of a value: buckets that grow by a factor of 1.41."""
    return min(BUCKETS - 1, (value * value).bit_length())


def _tally(counts: dict[Key, int], key: Key) -> None:
    counts[key] = counts.get(key, 0) + 1


def rows(into: dict[Segment, Sums]) -> dict[str, list[Any]]:
    """Give the sums as columns, in the order in which the segments were first seen."""
    vectors = [sums.vectors() for sums in into.values()]
    columns: dict[str, list[Any]] = dict(zip(Segment._fields, map(list, zip(*into, strict=True)), strict=True))
    columns |= {name: [sums.counts[name] for sums in into.values()] for name in (*COUNTS, *TIMES)}
    columns["features"] = [summed for summed, _ in vectors]
    columns["mean"] = [mean for _, mean in vectors]
    columns["sessions"] = [sorted(sums.sessions) for sums in into.values()]
    return columns | {name: [getattr(sums, name) for sums in into.values()] for name in MAPS}
