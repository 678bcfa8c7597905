"""One file of the spool: who holds its lock owns it."""

import os
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

import orjson

from llmtower.errors import LOG
from llmtower.transport import Envelope

try:
    import fcntl
except ImportError:  # Windows: no spool there, what cannot be delivered is dropped and counted
    fcntl = None  # type: ignore[assignment]

SUPPORTED = fcntl is not None
SUFFIX = ".spool"
_MAGIC = b"LLMTOWER-SPOOL-1\n"
_HEAD = struct.Struct("<cII")
_OFFSET = struct.Struct("<Q")
_MAX_PAYLOAD = 16 << 20


@dataclass(frozen=True, slots=True)
class Entry:
    """An envelope in a segment."""

    offset: int
    length: int
    count: int
    counted: bool
    producer: str
    at_ns: int


class Segment:
    """A segment that this process owns; it stays owned until closed."""

    def __init__(self, path: Path, descriptor: int, size: int) -> None:
        self.path, self._descriptor, self.size = path, descriptor, size
        self.open: dict[int, Entry] = {}
        """Envelopes not acknowledged, by offset."""

    @classmethod
    def create(cls, path: Path) -> "Segment":
        """Create a segment; it gets its name only once it is locked, so that nobody can take it over in between."""
        hidden = path.with_suffix(".tmp")
        descriptor = os.open(hidden, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _write(descriptor, _MAGIC, 0)
            hidden.rename(path)
        except OSError:
            os.close(descriptor)
            with suppress(OSError):
                hidden.unlink()
            raise
        return cls(path, descriptor, len(_MAGIC))

    @classmethod
    def take_over(cls, path: Path) -> "Segment | None":
        """Open another process's segment; None while that process lives, or when the file is none of ours."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            known = os.fstat(descriptor).st_nlink > 0 and os.pread(descriptor, len(_MAGIC), 0) == _MAGIC
        except OSError:
            known = False
        if not known:
            os.close(descriptor)
            return None
        segment = cls(path, descriptor, len(_MAGIC))
        segment._scan()
        return segment

    @staticmethod
    def describe(envelope: Envelope) -> bytes:
        """Give the line of an entry's payload that stands before the envelope's value."""
        meta = {
            "topic": envelope.topic,
            "partition": envelope.partition,
            "headers": [[key, value.decode()] for key, value in envelope.headers],
            "producer": envelope.producer,
            "seq": envelope.seq,
            "count": envelope.count,
            "at_ns": envelope.at_ns,
            "counted": envelope.counted,
        }
        return orjson.dumps(meta) + b"\n"

    def append(self, description: bytes, envelope: Envelope) -> Entry:
        """Write an envelope's entry; raises OSError, and then leaves the file as it was."""
        offset = self._put(b"E", description, envelope.value)
        entry = Entry(offset, len(description) + len(envelope.value), envelope.count, envelope.counted, envelope.producer, envelope.at_ns)
        self.open[offset] = entry
        return entry

    def acknowledge(self, entry: Entry) -> None:
        """Strike an envelope out; when the disk takes no more, the worst is that a later run sends it again under the same numbers."""
        self.open.pop(entry.offset, None)
        if self.open:
            with suppress(OSError):
                self._put(b"A", _OFFSET.pack(entry.offset))

    def read(self, entry: Entry) -> Envelope | None:
        """Read an envelope; None when its checksum fails."""
        with suppress(OSError, ValueError, KeyError, TypeError, struct.error):
            head = os.pread(self._descriptor, _HEAD.size, entry.offset)
            payload = os.pread(self._descriptor, entry.length, entry.offset + _HEAD.size)
            if len(payload) == entry.length and crc32(payload) == _HEAD.unpack(head)[2]:
                return _decode(payload)
        return None

    def close(self) -> None:
        """Let go of the file: the next process may take it over."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def remove(self) -> None:
        """Delete the file, then let go of it."""
        with suppress(OSError):
            self.path.unlink()
        self.close()

    def _put(self, kind: bytes, start: bytes, rest: bytes = b"") -> int:
        """Write a record; what it is made of is not copied together, because a copy would hold up the host's threads."""
        offset, length = self.size, _HEAD.size + len(start) + len(rest)
        head = _HEAD.pack(kind, len(start) + len(rest), crc32(rest, crc32(start)))
        try:
            _write(self._descriptor, head + start, offset)
            _write(self._descriptor, rest, offset + _HEAD.size + len(start))
        except OSError:
            with suppress(OSError):
                os.ftruncate(self._descriptor, offset)
            raise
        self.size += length
        return offset

    def _scan(self) -> None:
        """Read the file's entries up to its end or its torn tail."""
        length = os.fstat(self._descriptor).st_size
        damaged = 0
        while self.size + _HEAD.size <= length:
            kind, size, checksum = _HEAD.unpack(os.pread(self._descriptor, _HEAD.size, self.size))
            if size > _MAX_PAYLOAD or self.size + _HEAD.size + size > length or kind not in (b"E", b"A"):
                break
            payload = os.pread(self._descriptor, size, self.size + _HEAD.size)
            if crc32(payload) != checksum or not self._note(kind, payload):
                damaged += 1
            self.size += _HEAD.size + size
        if damaged:
            LOG.warning("llmtower: %d entries of the spool file %s are damaged and left out.", damaged, self.path.name)
        with suppress(OSError):
            os.ftruncate(self._descriptor, self.size)

    def _note(self, kind: bytes, payload: bytes) -> bool:
        if kind == b"A":
            self.open.pop(_OFFSET.unpack(payload)[0], None)
            return True
        try:
            envelope = _decode(payload)
        except (ValueError, KeyError, TypeError):
            return False
        entry = Entry(self.size, len(payload), envelope.count, envelope.counted, envelope.producer, envelope.at_ns)
        self.open[self.size] = entry
        return True


def _decode(payload: bytes) -> Envelope:
    meta, _, value = payload.partition(b"\n")
    fields = orjson.loads(meta)
    fields["headers"] = tuple((key, text.encode()) for key, text in fields["headers"])
    return Envelope(value=value, **fields)


def _write(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of it at an offset; a short write is an error of the disk."""
    view = memoryview(data)
    while view:
        written = os.pwrite(descriptor, view, offset)
        if written == 0:
            raise OSError(28, "no space left on device")
        view, offset = view[written:], offset + written
