"""From texts to vectors of length 1. An embedder's label (name, version, dimension) is part of every segment: no two are ever compared."""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from llmtower_processors.drift.tokens import Hashes, Index, Words, chunks, grams, pairs, words
from llmtower_processors.errors import NotConfigured

Vectors = npt.NDArray[np.float32]
"""One row a text; a row of zeros for a text in which there is nothing to embed."""


class Embedder(Protocol):
    """Turns texts into vectors; the same text gives the same vector, for ever, under one label."""

    @property
    def label(self) -> str:
        """Name, version and dimension: `hashed-words@1:256`."""

    @property
    def dimension(self) -> int:
        """Numbers in a vector."""

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Give one row of length 1 (or 0) a text."""


class TakesWords(Protocol):
    """An embedder that works on hashed words, which are then found only once."""

    def embed_words(self, found: Words) -> Vectors:
        """Give one row a text."""


@dataclass(frozen=True, slots=True)
class HashedNgrams:
    """Hashed word 1- and 2-grams (or character n-grams too) under a sparse signed random projection; no download, nothing fitted.

    Each n-gram adds ±weight to `_SPREAD` coordinates that its hash chooses (Kane & Nelson 2014, sparser Johnson-Lindenstrauss). Short words
    weigh less: they are the commonest in every language with spaces, and say least.
    """

    characters: bool = False
    dimension: int = 256

    @property
    def label(self) -> str:
        """Name, version, dimension."""
        return f"hashed-{'characters' if self.characters else 'words'}@1:{self.dimension}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Embed, in chunks that fit the processor's cache."""
        parts = [self.embed_words(words(texts[piece])) for piece in chunks(texts)]
        return np.concatenate(parts) if parts else np.zeros((0, self.dimension), dtype=np.float32)

    def embed_words(self, found: Words) -> Vectors:
        """Embed texts whose words have been found."""
        count = found.starts.size
        weight = np.clip((found.length - 1) / 5, 0.2, 1.0)
        total = self._project(found.hashes, found.text, weight, count)
        hashes, text = pairs(found)
        total += self._project(hashes, text, None, count)
        if self.characters:
            for size in (3, 4, 5):
                total += self._project(*grams(found, size), None, count)
        return unit(total)

    def _project(self, hashes: Hashes, text: Index, weight: npt.NDArray[np.float64] | None, count: int) -> npt.NDArray[np.float64]:
        total = np.zeros(count * self.dimension)
        base = text * self.dimension
        for turn in range(_SPREAD):
            bits = hashes >> np.uint64(16 * turn)
            sign = 1.0 - 2.0 * (bits & np.uint64(1)).astype(np.float64)
            place = base + ((bits >> np.uint64(1)) & np.uint64(0x7FFF)).astype(np.int64) % self.dimension
            total += np.bincount(place, weights=sign if weight is None else sign * weight, minlength=total.size)
        return total.reshape(count, self.dimension)


_SPREAD: Final = 2


def unit(rows: npt.NDArray[Any]) -> Vectors:
    """Scale rows to length 1; rows of zeros, and rows that are not finite, become zeros."""
    rows = np.asarray(rows, dtype=np.float64)
    with np.errstate(over="ignore", invalid="ignore"):
        length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    good = np.isfinite(length) & (length > 0)
    rows = np.where(good[:, None], rows, 0.0)
    scaled: Vectors = (rows / np.where(good, length, 1.0)[:, None]).astype(np.float32)
    return scaled


class Encoder(Protocol):
    """What model2vec and sentence-transformers have in common."""

    def encode(self, sentences: list[str]) -> Any:
        """Give an array with one row a text."""


class WrongShapeError(ValueError):
    """A model gave another number or length of rows than it should: it is not the one that its label says, whatever the texts are."""


@dataclass(frozen=True, slots=True)
class ModelEmbedder:
    """A loaded model behind the protocol."""

    name: str
    version: str
    dimension: int
    encoder: Encoder

    @property
    def label(self) -> str:
        """Name, version, dimension."""
        return f"{self.name}@{self.version}:{self.dimension}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Run the model over all texts that say anything. Raises WrongShapeError for rows of another dimension."""
        rows = np.zeros((len(texts), self.dimension))
        spoken = [index for index, text in enumerate(texts) if text.strip()]
        if spoken:
            found = np.asarray(self.encoder.encode([texts[index] for index in spoken]), dtype=np.float64)
            if found.shape != (len(spoken), self.dimension):
                raise WrongShapeError(f"{self.label} gave {found.shape} for {len(spoken)} texts")
            rows[spoken] = found
        return unit(rows)


def load_model2vec(path: str) -> ModelEmbedder:
    """Load a static model of model2vec from a folder or by its name. Raises NotConfigured."""
    try:
        from model2vec import StaticModel  # type: ignore[import-not-found,unused-ignore]  # optional
    except ImportError as error:
        raise NotConfigured("The embedder model2vec is not installed. Run: pip install 'llmtower[embeddings]'") from error
    model = _loaded("model2vec", path, StaticModel.from_pretrained)
    return ModelEmbedder(_name(path), fingerprint([model.embedding]), int(model.dim), model)


def load_sentence_transformers(path: str) -> ModelEmbedder:
    """Load a model of sentence-transformers from a folder or by its name. Raises NotConfigured."""
    try:
        from sentence_transformers import SentenceTransformer  # type: ignore[import-not-found,unused-ignore]  # optional
    except ImportError as error:
        raise NotConfigured("The embedder sentence-transformers is not installed. Run: pip install 'llmtower[embeddings]'") from error
    model = _loaded("sentence-transformers", path, SentenceTransformer)
    dimension = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension  # renamed in version 6
    weights = (one.detach().cpu().float().numpy() for one in model.parameters())
    return ModelEmbedder(_name(path), fingerprint(weights), int(dimension()), model)


def _loaded(kind: str, path: str, load: Callable[[str], Any]) -> Any:
    """What these packages raise over a folder that is missing, damaged or of another kind is of many kinds."""
    if not path:
        raise NotConfigured(f"The embedder {kind} needs a model: LLMTOWER_WORKER__EMBEDDER={kind}:FOLDER")
    if path.startswith((".", "/", "~")) and not Path(path).is_dir():
        raise NotConfigured(
            f"The embedder {kind} finds no folder {path!r}, seen from {Path.cwd()}. It must be a folder with a model of {kind}."
        )
    try:
        return load(path)
    except Exception as error:
        reason = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:200]}"
        raise NotConfigured(f"The embedder {kind} cannot load {path!r} ({reason}). It must be a folder with a model of {kind}.") from error


def fingerprint(weights: Iterable[npt.NDArray[Any]]) -> str:
    """Give the version of a model: eight digits that follow from its weights, in whatever order and under whatever names they come."""
    parts = sorted(hashlib.sha256(np.ascontiguousarray(one).tobytes()).digest() for one in weights)
    return hashlib.sha256(b"".join(parts)).hexdigest()[:8]


def _name(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rsplit("/", 1)[-1]


LOADERS: Final[Mapping[str, Callable[[str], Embedder]]] = {
    "hashed-words": lambda _: HashedNgrams(),
    "hashed-characters": lambda _: HashedNgrams(characters=True),
    "model2vec": load_model2vec,
    "sentence-transformers": load_sentence_transformers,
}
"""Every embedder by the word before the colon of its name: `hashed-words`, `model2vec:./models/potion`."""


def load_embedder(name: str) -> Embedder:
    """Load an embedder by its name. Raises NotConfigured for one that is unknown or not installed."""
    kind, _, path = name.partition(":")
    if kind not in LOADERS:
        raise NotConfigured(f"No embedder is called {kind!r}. There are: {', '.join(LOADERS)}.")
    return LOADERS[kind](path)
