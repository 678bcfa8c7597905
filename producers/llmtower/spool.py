"""The disk spool: append-only segments, each owned by `flock`, so that two processes never replay the same one.

A segment is a header and entries `kind, length, CRC-32, payload`. Kind E holds an envelope (headers and place as JSON, a line feed, the
value as it was or would have been sent); kind A holds the offset of an envelope that was acknowledged since. A segment without open
envelopes is removed. Contents lie there as they would have left the process: redacted and cut, not encrypted. A torn tail (kill -9, full
disk) ends the segment; a damaged entry is skipped.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmtower.errors import LOG, SpoolFull
from llmtower.segment import SUFFIX, SUPPORTED, Entry, Segment
from llmtower.transport import Envelope


@dataclass(frozen=True, slots=True)
class Ref:
    """Where an envelope lies on the disk, and what the books need to know of it."""

    segment: Segment
    entry: Entry


class Spool:
    """One process's hold on the spool folder of its app; used from one thread."""

    def __init__(self, folder: Path, *, run: str, max_bytes: int) -> None:
        self._folder, self._run, self._max_bytes = folder, run, max_bytes
        self._segment_bytes = max(4_096, min(16 << 20, max_bytes // 4))
        self._segments: list[Segment] = []
        self._current: Segment | None = None
        self._serial = 0
        if not SUPPORTED:
            raise OSError("this platform has no flock")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def append(self, envelope: Envelope) -> Ref:
        """Write an envelope; raises SpoolFull at the limit, and when the disk takes no more."""
        description = Segment.describe(envelope)
        size = len(description) + len(envelope.value)
        if self._bytes() + size > self._max_bytes:
            raise SpoolFull
        try:
            return Ref(segment := self._writable(size), segment.append(description, envelope))
        except OSError as error:
            raise SpoolFull(f"{self._folder}: {error.strerror}") from error

    def acknowledge(self, ref: Ref) -> None:
        """Strike out an envelope; its segment goes once nothing in it is open."""
        ref.segment.acknowledge(ref.entry)
        if not ref.segment.open:
            self._retire(ref.segment)

    def read(self, ref: Ref) -> Envelope | None:
        """Read an envelope back; None when the disk no longer gives what was written."""
        return ref.segment.read(ref.entry)

    def pending(self) -> Iterator[Ref]:
        """Give what is not acknowledged, oldest segment first; nothing may be acknowledged while it is read."""
        for segment in self._segments:
            for entry in segment.open.values():
                yield Ref(segment, entry)

    def oldest_ns(self) -> int | None:
        """Give the time of the oldest envelope: the first of some segment."""
        return min((next(iter(segment.open.values())).at_ns for segment in self._segments if segment.open), default=None)

    def adopt(self) -> int:
        """Take over the segments of processes that are gone; gives the number of events in them."""
        mine = {segment.path for segment in self._segments}
        events = 0
        for path in sorted(self._folder.glob(f"*{SUFFIX}")):
            segment = None if path in mine else Segment.take_over(path)
            if segment is not None and segment.open:
                self._segments.append(segment)
                events += sum(entry.count for entry in segment.open.values() if entry.counted)
            elif segment is not None:
                segment.remove()
        if events:
            LOG.info("llmtower: %d events of an earlier run are being sent from the spool.", events)
        return events

    def close(self) -> None:
        """Let go of every segment; what is open in them waits for the next process."""
        for segment in self._segments:
            segment.remove() if not segment.open else segment.close()
        self._segments, self._current = [], None

    def abandon(self) -> None:
        """Close the files in a forked child without touching what the parent owns."""
        for segment in self._segments:
            segment.close()
        self._segments, self._current = [], None

    def _writable(self, size: int) -> Segment:
        if self._current is not None and self._current.size + size > self._segment_bytes and self._current.open:
            self._current = None
        if self._current is None:
            self._serial += 1
            self._current = Segment.create(self._folder / f"{self._run}-{os.getpid()}-{self._serial:06d}{SUFFIX}")
            self._segments.append(self._current)
        return self._current

    def _retire(self, segment: Segment) -> None:
        if segment is self._current:
            self._current = None
        if segment in self._segments:
            self._segments.remove(segment)
        segment.remove()

    def _bytes(self) -> int:
        """Count the folder's bytes: all processes of the app share one limit."""
        total = 0
        for entry in os.scandir(self._folder):
            try:
                total += entry.stat().st_size
            except OSError:  # removed meanwhile
                continue
        return total
