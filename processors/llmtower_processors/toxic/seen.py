"""Answers to texts that were asked about before, by a hash of the text: greetings and canned answers come again and again."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Generic, TypeVar

V = TypeVar("V")


class Seen(Generic[V]):
    """Bounded: two generations of at most `most` texts each; what is asked for again moves to the younger one."""

    def __init__(self, most: int = 50_000) -> None:
        self._most = most
        self._young: dict[bytes, V] = {}
        self._old: dict[bytes, V] = {}
        self.hits = 0

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def answers(self, texts: Sequence[str], ask: Callable[[list[str]], Sequence[V]]) -> list[V]:
        """Give an answer per text, asking once for each that is not known."""
        keys = [blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest() for text in texts]
        found = {key: value for key in keys if (value := self.known(key)) is not None}
        self.hits += len(keys)
        fresh = {key: text for key, text in zip(keys, texts, strict=True) if key not in found}
        self.hits -= len(fresh)
        if fresh:
            for key, value in zip(fresh, ask(list(fresh.values())), strict=True):
                found[key] = value
                self.keep(key, value)
        return [found[key] for key in keys]

    def known(self, key: bytes) -> V | None:
        """Give what is kept under a hash, None if nothing is."""
        value = self._young.get(key)
        if value is None and (value := self._old.get(key)) is not None:
            self.keep(key, value)
        return value

    def keep(self, key: bytes, value: V) -> None:
        """Keep a value under a hash."""
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[key] = value
