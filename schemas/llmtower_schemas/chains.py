"""Compare-and-set over a compacted topic, by chains of numbered entries: the first one written under a number counts. Pure.

Kafka compares nothing, so everybody writes and every reader decides alike. An entry's key is `<chain>/<number>/<attempt>`. A writer reads
the chain, writes the next number under an attempt of its own, and reads on to where that stands: it has won if its attempt is what the
chain now has there. No two attempts share a key, so compaction never takes a winner away, and whether an entry counts depends on keys
and their order alone: readers of other versions, who cannot read a value, still agree.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

_ATTEMPT: Final = re.compile(r"[0-9a-f]{32}")
MAX_NUMBER: Final = 1 << 31


class RegistryRecord(NamedTuple):
    """One record of the topic `llmtower.registry`, and where it is."""

    incarnation: str
    offset: int
    at_ms: int
    key: bytes | None
    value: bytes | None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a chain."""

    chain: str
    number: int
    """Begins at 1."""
    attempt: str
    offset: int
    at_ms: int
    value: bytes


def entry_key(chain: str, number: int, attempt: str) -> str:
    """Give the key of an entry; `attempt` is a UUID's 32 hexadecimal digits."""
    return f"{chain}/{number}/{attempt}"


def split_key(key: bytes) -> tuple[str, int, str] | None:
    """Give chain, number and attempt; None for what is no key of an entry."""
    head, _, attempt = key.rpartition(b"/")
    chain, _, number = head.rpartition(b"/")
    if not chain or not number.isdigit() or len(number) > 10:
        return None
    try:
        found = (chain.decode(), int(number), attempt.decode())
    except UnicodeDecodeError:
        return None
    return found if 1 <= found[1] <= MAX_NUMBER and _ATTEMPT.fullmatch(found[2]) else None


class Chains:
    """The chains whose names begin with one of some prefixes, as far as they were read."""

    def __init__(self, *prefixes: str) -> None:
        self._prefixes = tuple(prefix.encode() for prefix in prefixes)
        self._chains: dict[str, list[Entry]] = {}
        self._below: dict[str, list[str]] = {}

    def learn(self, records: Iterable[RegistryRecord]) -> list[Entry]:
        """Take in records in the order of their offsets, each once or again, and give the entries that count."""
        return [entry for record in records if (entry := self._entry(record)) is not None]

    def _entry(self, record: RegistryRecord) -> Entry | None:
        if not record.key or not record.value or not record.key.startswith(self._prefixes):
            return None
        found = split_key(record.key)
        if found is None:
            return None
        chain, number, attempt = found
        entries = self._chains.setdefault(chain, [])
        if entries and number <= entries[-1].number:
            return None
        if not entries:
            self._below.setdefault(chain.rpartition("/")[0], []).append(chain)
        entries.append(Entry(chain, number, attempt, record.offset, record.at_ms, record.value))
        return entries[-1]

    def names(self, prefix: str = "") -> list[str]:
        """Give the names of the chains, sorted."""
        return sorted(name for name in self._chains if name.startswith(prefix))

    def below(self, folder: str) -> list[str]:
        """Give the names of the chains directly below a folder, sorted, without looking at all others."""
        return sorted(self._below.get(folder, ()))

    def entries(self, chain: str) -> tuple[Entry, ...]:
        """Give the entries of a chain, oldest first."""
        return tuple(self._chains.get(chain, ()))

    def head(self, chain: str) -> Entry | None:
        """Give the last entry; None while there is none."""
        entries = self._chains.get(chain)
        return entries[-1] if entries else None

    def before(self, entry: Entry) -> Entry | None:
        """Give the entry that stood before one; None before the first."""
        earlier = [one for one in self._chains.get(entry.chain, ()) if one.number < entry.number]
        return earlier[-1] if earlier else None

    def entry(self, chain: str, number: int) -> Entry | None:
        """Give the entry of a number."""
        return next((entry for entry in reversed(self._chains.get(chain, ())) if entry.number == number), None)
