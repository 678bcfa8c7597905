"""One slice of offsets: find the suspects, weigh the evidence, mend it if asked to, and look again."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import Final

from llmtower_processors.audit.evidence import Case, Scene, findings, gather, hour_of
from llmtower_processors.audit.inspect import gaps, orphans, overlaps, states
from llmtower_processors.audit.mend import BeforeDelete, mend
from llmtower_processors.audit.model import HOUR_S, Finding, Span, describe
from llmtower_processors.audit.records import ranges
from llmtower_processors.runtime.model import Record

CASES_AT_ONCE: Final = 200
BYTES_AT_ONCE: Final = 8 << 20
ATTEMPTS: Final = 3
"""A merge may move a row between the look at it and its deletion."""

Found = Counter[tuple[str, int, int]]
"""How many events are wrong, by (check, hour, offset)."""


@dataclass(frozen=True, slots=True)
class Repair:
    """How to mend: a token that no audit had before, what to call before calls are deleted, and what raises when another repairs."""

    token: str
    before_delete: BeforeDelete
    alone: Callable[[], None]


def audit_slice(scene: Scene, span: Span, repair: Repair | None) -> tuple[list[Finding], set[int]]:
    """Give what is wrong in a slice, and the hours whose calls were changed. What counts as repaired is what a second look misses."""
    hours: set[int] = set()
    found, mendable = _examine(scene, span, None, hours)
    left = found
    for attempt in range(ATTEMPTS if repair else 0):
        if repair and mendable:
            _examine(scene, span, replace(repair, token=f"{repair.token}:{attempt}"), hours)
            left, mendable = _examine(scene, span, None, hours)
    return _summed(span, found, left), hours


def _summed(span: Span, found: Found, left: Found) -> list[Finding]:
    offsets: dict[tuple[str, int], list[int]] = defaultdict(list)
    for check, hour, offset in sorted({*found, *left}):
        offsets[check, hour].append(offset)
    result = []
    for (check, hour), where in offsets.items():
        now = sum(left[check, hour, offset] for offset in where)
        count = max(now, sum(found[check, hour, offset] for offset in where))
        result.append(Finding(check, hour, span.place.processor, count, describe(span.place, where), count - now))
    return result


def _examine(scene: Scene, span: Span, repair: Repair | None, hours: set[int]) -> tuple[Found, bool]:
    """Give what is wrong, and whether any of it can be mended."""
    found: Found = Counter()
    mendable = False
    for number, cases in enumerate(_batches(_cases(scene, span, found))):
        evidence = gather(scene, span, cases)
        seen = findings(evidence)
        found += seen
        mendable = mendable or (bool(seen) and evidence.mendable)
        if repair and seen:
            repair.alone()
            place = span.place
            token = f"{repair.token}:{place.processor}:{place.topic}:{place.partition}:{span.first}:{number}"
            hours |= mend(scene, span, evidence, token, repair.before_delete)
    return found, mendable


def _cases(scene: Scene, span: Span, found: Found) -> Iterator[Case]:
    """Give every suspect with its record, if Kafka has it; offsets that nobody can look at any more go to `found`."""
    suspects = {
        state.offset: Case(state.offset, _hour(scene, state.minute), state.expected, lost_texts=state.lost_texts)
        for state in states(scene.client, scene.ledgered, span, texts_since=scene.texts_since)
    }
    for twice in overlaps(scene.client, span, scene.incarnation):
        suspect = suspects.get(twice.offset, Case(twice.offset, 0))
        suspects[twice.offset] = replace(suspect, hour=_hour(scene, twice.minute), doubled=twice.doubled)
    for offset, minute, events in orphans(scene.client, span):
        suspects.setdefault(offset, Case(offset, _hour(scene, minute), events))
    stepped_over = {offset: _hour(scene, gap.minute) for gap in gaps(scene.client, span) for offset in range(gap.first, gap.last + 1)}
    start = _readable_from(scene, span)
    for offset, hour in stepped_over.items():
        if offset < start:
            found["expired_records", hour, offset] += 1
    yield from _with_records(scene, span, suspects, stepped_over, start)


def _with_records(scene: Scene, span: Span, suspects: dict[int, Case], stepped_over: dict[int, int], start: int) -> Iterator[Case]:
    place, seen = span.place, set[int]()
    wanted = sorted(offset for offset in {*suspects, *stepped_over} if offset >= start)
    reads = (scene.records.read(place.topic, place.partition, first, last) for first, last in ranges(wanted))
    for record in chain.from_iterable(reads):
        offset = record.offset
        if offset in suspects or offset in stepped_over:
            seen.add(offset)
            yield _case(suspects.get(offset), record, in_ledger=offset not in stepped_over)
    yield from (case for offset, case in suspects.items() if offset not in seen)


def _case(suspect: Case | None, record: Record, *, in_ledger: bool) -> Case:
    if suspect is None:
        return Case(record.offset, hour_of(record.timestamp_ms), record=record)
    hour = suspect.hour if in_ledger else hour_of(record.timestamp_ms)
    return replace(suspect, hour=hour, record=record)


def _readable_from(scene: Scene, span: Span) -> int:
    """Give the first offset Kafka still has of this incarnation; behind the span's end when it has none."""
    if span.place.incarnation != scene.incarnation:
        return span.last + 1
    ends = scene.records.ends(span.place.topic).get(span.place.partition)
    return ends.start if ends else span.last + 1


def _hour(scene: Scene, minute: int) -> int:
    return minute // HOUR_S * HOUR_S if minute else scene.fallback_hour


def _batches(cases: Iterator[Case]) -> Iterator[list[Case]]:
    batch: list[Case] = []
    size = 0
    for case in cases:
        batch.append(case)
        size += len(case.record.value or b"") if case.record else 0
        if len(batch) == CASES_AT_ONCE or size > BYTES_AT_ONCE:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
