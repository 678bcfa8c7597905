"""From the outbox to envelopes: lines of the same topic, project and app, up to 500 events or 512 kB, numbered per topic."""

from collections.abc import Callable
from math import inf
from time import perf_counter, sleep

from llmtower.contents import Policy
from llmtower.errors import internal_error
from llmtower.lines import Line, TooLarge
from llmtower.outbox import Item, Outbox
from llmtower.transport import MAX_BYTES, MAX_EVENTS, Envelope, seal

_SLICE_S = 0.0002
"""After this much work the courier gives the interpreter away, so that the host never waits long for it; more while many wait."""

_REST_S = 0.00003
"""Long enough for a waiting thread to wake up and take the interpreter: after `sleep(0)` the courier has it back before that."""

_PLENTY = 2_000
"""Waiting events that double the slice."""


class Packer:
    """Turns waiting events into envelopes; each producer run counts from 0 in each topic."""

    def __init__(self, outbox: Outbox, policy: Policy, run: str, dropped: Callable[[str], None]) -> None:
        self._outbox, self._policy, self._run, self._dropped = outbox, policy, run, dropped
        self._next: dict[str, int] = {}
        self.taken = 0
        """Events taken from the outbox so far."""

    def pack(self) -> list[Envelope]:
        """Take up to an envelope's worth of events; an empty list when none waits."""
        groups: dict[tuple[str, str, str, int], _Group] = {}
        size, since = 0, perf_counter()
        for _ in range(MAX_EVENTS):
            item = self._outbox.take()
            if item is None:
                break
            self.taken += 1
            line = self._line(item)
            if line is not None:
                groups.setdefault((line.topic, line.project, line.app, line.place), _Group()).add(line.json, item[3])
                size += len(line.json)
            if size >= MAX_BYTES:
                break
            if perf_counter() - since > self._slice_s():
                sleep(_REST_S)
                since = perf_counter()
        return [envelope for key, group in groups.items() for envelope in self._seal(*key, group)]

    def _slice_s(self) -> float:
        """Give how long to work at a stretch; a closed outbox has two seconds for everything, and nobody waits for it."""
        return inf if self._outbox.closed else _SLICE_S * (1 + len(self._outbox.items) / _PLENTY)

    def number(self, topic: str, count: int) -> int:
        """Reserve the next numbers of a topic; gives the first."""
        first = self._next.get(topic, 0)
        self._next[topic] = first + count
        return first

    def _line(self, item: Item) -> Line | None:
        try:
            line: Line = item[0](item, self._policy)
            return line
        except TooLarge:
            self._dropped("too_large")
        except Exception:
            self._dropped("internal_error")
            internal_error("packing")
        return None

    def _seal(self, topic: str, project: str, app: str, place: int, group: "_Group") -> list[Envelope]:
        sealed = []
        for lines in group.parts():
            seq = self.number(topic, len(lines))
            sealed.append(seal(topic, project, app, lines, producer=self._run, seq=seq, at_ns=group.at_ns, place=place))
        return sealed


class _Group:
    """Lines for envelopes of one topic, project and app."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []
        self.at_ns = 1 << 62

    def add(self, line: bytes, at_ns: int) -> None:
        """Add a line."""
        self._lines.append(line)
        self.at_ns = min(self.at_ns, at_ns)

    def parts(self) -> list[list[bytes]]:
        """Split so that no part but a single line exceeds an envelope's bytes."""
        parts: list[list[bytes]] = []
        size = MAX_BYTES
        for line in self._lines:
            if size + len(line) > MAX_BYTES:
                parts.append([])
                size = 0
            parts[-1].append(line)
            size += len(line) + 1
        return parts
