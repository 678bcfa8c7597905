"""`wrap_chroma`: the same collection back, whose queries are retrieval steps; the calls that follow carry what was found."""

from collections.abc import Mapping
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import Any, TypeVar

from llmtower.errors import internal_error
from llmtower.methods import refuse
from llmtower.steps import Step, step

CollectionT = TypeVar("CollectionT")


def wrap_chroma(collection: CollectionT, *, texts: bool = True) -> CollectionT:
    """Record every `query` of a ChromaDB collection: ids, distances, latency, and unless `texts` is False the documents' texts.

    The score of a document is its distance: the smaller the nearer. What is found inside a step (`llmtower.step`) goes along with the
    answers of the calls in it.
    """
    try:
        query = getattr(collection, "query", None)
        if not callable(query):
            refuse("wrap_chroma", "collection of ChromaDB", collection, "chromadb", extra="chroma")
        elif not getattr(query, "__llmtower__", False):
            recorded = (_recorded_async if iscoroutinefunction(query) else _recorded)(query, _Query(collection, query, texts=texts))
            recorded.__llmtower__ = True
            collection.query = recorded  # type: ignore[attr-defined]
    except Exception:
        internal_error("wrap_chroma")
    return collection


class _Query:
    """How one collection's queries are told."""

    def __init__(self, collection: Any, query: Any, *, texts: bool) -> None:
        self._name, self._texts = str(getattr(collection, "name", "")), texts
        self._names = tuple(signature(query).parameters)

    def open(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> Step:
        """Begin the step; vectors are not kept, the question's text is."""
        told = {**dict(zip(self._names, args, strict=False)), **given}
        attributes = {"collection": self._name, "n_results": told.get("n_results", 10), "score": "distance"}
        return step("chroma.query", kind="retrieval", input=told.get("query_texts"), attributes=attributes)

    def close(self, opened: Step, found: Any) -> None:
        """End the step with what was found, all questions of the query in one list."""
        try:
            columns = [_flat(found.get(name)) for name in ("ids", "distances", "documents")]
            opened.finish(retrieved=[self._document(*row) for row in zip(*_even(columns), strict=True)])
        except Exception:
            opened.finish()
            internal_error("wrap_chroma")

    def _document(self, identity: str, distance: Any, text: Any) -> dict[str, Any]:
        document: dict[str, Any] = {"id": identity}
        if distance is not None:
            document["score"] = float(distance)
        if text is not None and self._texts:
            document["text"] = text
        return document


def _flat(column: Any) -> list[Any]:
    return [item for row in column or () for item in row or ()]


def _even(columns: list[list[Any]]) -> list[list[Any]]:
    """Fill the columns that were not asked for."""
    return [column if len(column) == len(columns[0]) else [None] * len(columns[0]) for column in columns]


def _recorded(query: Any, told: _Query) -> Any:
    @wraps(query)
    def recorded(*args: Any, **given: Any) -> Any:
        with told.open(args, given) as opened:
            found = query(*args, **given)
            told.close(opened, found)
        return found

    return recorded


def _recorded_async(query: Any, told: _Query) -> Any:
    @wraps(query)
    async def recorded(*args: Any, **given: Any) -> Any:
        with told.open(args, given) as opened:
            found = await query(*args, **given)
            told.close(opened, found)
        return found

    return recorded
