"""The same call seen by two instrumentations of one process counts once, also where its spans come in exports of their own.

Within one export the outermost call wins. Children end before their parents, so in exports of their own the inner span comes first: it is
stored, and the span around it becomes a step. What was decided is remembered once Kafka has acknowledged, so that a span sent again is
decided as before.
"""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Final, Literal, NamedTuple

from llmtower_processors.otel.model import Span

Part = Literal["call", "around", "within"]
"""What a span of a call is: counted as the call, a step around one that is counted already, or left out."""
SpanKey = tuple[str, str]
"""Trace id and span id."""

REMEMBERED_S: Final = 120.0
MOST: Final = 100_000
"""Spans remembered of all projects, about two a call; the longest unseen are forgotten first."""
_DEEPEST: Final = 64


class Chain(NamedTuple):
    """A call's span and those around it as far as its export knows, the call's own first; within another call, that one's span as well."""

    app: str
    trace_id: str
    ids: tuple[str, ...]
    part: Part
    standing: str = ""


class Earlier(NamedTuple):
    """What earlier exports have decided of the spans of this one."""

    around: frozenset[SpanKey] = frozenset()
    calls: frozenset[SpanKey] = frozenset()


NOTHING: Final = Earlier()


def chains(spans: Sequence[Span], calls: Sequence[int], earlier: Earlier = NOTHING) -> dict[int, Chain]:
    """Give the chain of each call, by its position; `calls` are the positions of the spans that say they are one."""
    parents = {(span.trace_id, span.span_id): span.parent_id for span in spans}
    counted = earlier.calls | ({(spans[index].trace_id, spans[index].span_id) for index in calls} - earlier.around)
    found: dict[int, Chain] = {}
    for index in calls:
        span = spans[index]
        above = _above(span.trace_id, span.parent_id, parents)
        part: Part = "call" if (span.trace_id, span.span_id) in counted else "around"
        standing = ""
        for one in above:
            if (span.trace_id, one) in counted:
                part, standing = "within", one
        found[index] = Chain(str(span.resource.get("app", "")), span.trace_id, (span.span_id, *above), part, standing)
    return found


def _above(trace_id: str, parent: str, parents: Mapping[SpanKey, str]) -> tuple[str, ...]:
    found: list[str] = []
    while parent and len(found) < _DEEPEST:
        found.append(parent)
        parent = parents.get((trace_id, parent), "")
    return tuple(found)


class Decided:
    """What the last exports have decided, by project and application: two applications are two processes, whose calls are two."""

    def __init__(self, now_s: Callable[[], float] = time.monotonic, *, most: int = MOST) -> None:
        self._now_s, self._most = now_s, most
        self._parts: OrderedDict[int, tuple[Part, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._parts)

    def earlier(self, project: str, found: Sequence[Chain]) -> Earlier:
        """Give what of these chains was decided otherwise than their export alone would."""
        around: set[SpanKey] = set()
        calls: set[SpanKey] = set()
        oldest_s = self._now_s() - REMEMBERED_S
        for chain in found:
            inside = False
            for one in chain.ids:
                part, at_s = self._parts.get(hash((project, chain.app, chain.trace_id, one)), _UNKNOWN)
                if part == "call" and at_s >= oldest_s:
                    calls.add((chain.trace_id, one))
                elif inside or (part == "around" and at_s >= oldest_s):
                    inside = True
                    around.add((chain.trace_id, one))
        own = {(chain.trace_id, chain.ids[0]) for chain in found}
        around, calls = around & own, calls - own
        return Earlier(frozenset(around), frozenset(calls)) if around or calls else NOTHING

    def learn(self, project: str, found: Sequence[Chain]) -> None:
        """Remember what Kafka has acknowledged."""
        now_s = self._now_s()
        for app, trace_id, ids, part, _ in found:
            if part != "within":
                self._note(hash((project, app, trace_id, ids[0])), part, now_s)
                for one in ids[1:]:
                    self._note(hash((project, app, trace_id, one)), "around", now_s)

    def _note(self, key: int, part: Part, now_s: float) -> None:
        """Note a part, unless another one stands and is not forgotten yet."""
        known, at_s = self._parts.get(key, _UNKNOWN)
        if at_s >= now_s - REMEMBERED_S:
            part = known
        self._parts[key] = part, now_s
        self._parts.move_to_end(key)
        if len(self._parts) > self._most:
            self._parts.popitem(last=False)


_UNKNOWN: Final[tuple[Part, float]] = ("within", float("-inf"))
