"""Reading a request's body: bounded in bytes (also after decompression), in time and, over all requests, in memory."""

import asyncio
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Final

import zstandard

from llmtower_processors.gateway.answers import Refusal

_STEP: Final = 256 << 10
RETRY_S: Final = 2


class Budget:
    """Bytes of requests that are held until Kafka has acknowledged them; what does not fit is refused at once, never queued."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0

    @contextmanager
    def hold(self) -> Iterator[Callable[[int], None]]:
        """Give a function that takes bytes as they come (Refusal 429 when there is no room); all are given back at the end."""
        mine = 0

        def take(size: int) -> None:
            nonlocal mine
            if self.held + size > self.most:
                raise Refusal(429, "The gateway holds as much as it may until Kafka has taken it. Send this again.", RETRY_S)
            mine += size
            self.held += size

        try:
            yield take
        finally:
            self.held -= mine


async def read_body(chunks: AsyncIterator[bytes], take: Callable[[int], None], *, limit: int, timeout_s: float) -> bytes:
    """Read a body as it was sent. Raises Refusal 413, 408, 429."""
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(timeout_s):
            async for chunk in chunks:
                size += len(chunk)
                if size > limit:
                    raise too_large(limit)
                take(len(chunk))
                parts.append(chunk)
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {timeout_s:g} s.") from None
    return b"".join(parts)


def too_large(limit: int) -> Refusal:
    """Say what the limit is."""
    return Refusal(413, f"The body is larger than {limit} bytes after decompression. Send smaller batches.")


def decompress(body: bytes, encoding: str, limit: int) -> bytes:
    """Undo `Content-Encoding`, never beyond `limit` bytes. Raises Refusal 400, 413, 415."""
    reader = _READERS.get(encoding.strip().lower())
    if reader is None:
        raise Refusal(415, "Content-Encoding must be gzip, zstd, deflate or identity.")
    try:
        return reader(body, limit)
    except (zlib.error, zstandard.ZstdError, EOFError) as error:
        raise Refusal(400, f"The body is no complete {encoding} stream.") from error


def _plain(body: bytes, limit: int) -> bytes:
    return body


def _gzip(body: bytes, limit: int) -> bytes:
    return _inflate(zlib.decompressobj(wbits=31), body, limit)


def _deflate(body: bytes, limit: int) -> bytes:
    return _inflate(zlib.decompressobj(), body, limit)


def _inflate(machine: "zlib._Decompress", body: bytes, limit: int) -> bytes:
    parts: list[bytes] = []
    size = 0
    while not machine.eof:
        part = machine.decompress(body, _STEP)
        body = machine.unconsumed_tail
        if not part and not body and not machine.eof:
            raise EOFError
        size += len(part)
        if size > limit:
            raise too_large(limit)
        parts.append(part)
    return b"".join(parts)


def _zstd(body: bytes, limit: int) -> bytes:
    machine = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    declared = zstandard.frame_content_size(body)
    if declared > limit:
        raise too_large(limit)
    with machine.stream_reader(body) as reader:
        made = reader.read(limit + 1)
    if len(made) > limit:
        raise too_large(limit)
    if 0 <= declared != len(made) or (not made and body):
        raise EOFError
    return made


_READERS: Final[dict[str, Callable[[bytes, int], bytes]]] = {
    "": _plain,
    "identity": _plain,
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "zstd": _zstd,
}
