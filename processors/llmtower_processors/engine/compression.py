"""Compression both ways: HTTP content encodings, and ClickHouse's own checksummed blocks (`compress=1`, `decompress=1`)."""

import gzip
import struct
import zlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import cramjam
import lz4.block
import lz4.frame
import zstandard

from llmtower_processors.engine.cityhash import cityhash128
from llmtower_processors.engine.errors import BAD_ARGUMENTS, CANNOT_DECOMPRESS, QUERY_IS_TOO_LARGE, EngineError

MIN_SIZE: Final = 512
"""Smaller answers are sent as they are: compressing them saves nothing."""

_CHUNK: Final = 2**20
_BLOCK: Final = struct.Struct("<BII")
_CHECKSUM: Final = 16
_NONE, _LZ4, _ZSTD = 0x02, 0x82, 0x90


def _gzip(data: bytes) -> bytes:
    return gzip.compress(data, compresslevel=1, mtime=0)


def _deflate(data: bytes) -> bytes:
    return zlib.compress(data, level=1)


def _brotli(data: bytes) -> bytes:
    return bytes(cramjam.brotli.compress(data, level=1))


def _lz4(data: bytes) -> bytes:
    return bytes(lz4.frame.compress(data))


def _zstd(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=1).compress(data)


ENCODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = MappingProxyType(
    {"lz4": _lz4, "zstd": _zstd, "gzip": _gzip, "deflate": _deflate, "br": _brotli}
)
"""Content encodings, cheapest first: of those a client accepts, the first is used."""


def accepted(header: str) -> str | None:
    """The content encoding to answer with, from an Accept-Encoding header; None for as it is."""
    offered = {}
    for item in header.lower().split(","):
        name, _, quality = item.partition(";")
        offered[name.strip()] = quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return next((name for name in ENCODERS if offered.get(name)), None)


def decode(data: bytes, encoding: str, *, limit: int) -> bytes:
    """Undo one or several content encodings; never makes more than `limit` bytes. Raises EngineError."""
    for name in reversed([part.strip().lower() for part in encoding.split(",") if part.strip()]):
        if name == "identity":
            continue
        opener = _DECODERS.get(name)
        if opener is None:
            raise EngineError(BAD_ARGUMENTS, f"Content-Encoding must be one of {', '.join(_DECODERS)}.")
        try:
            data = opener(data, limit)
        except EngineError:
            raise
        except Exception as error:
            raise EngineError(CANNOT_DECOMPRESS, f"The body is not valid {name} data or ends early.") from error
    return data


def _inflate(data: bytes, limit: int, window: int) -> bytes:
    pieces: list[bytes] = []
    total = 0
    while data:
        stream = zlib.decompressobj(window)
        piece = stream.decompress(data, limit - total + 1)
        total += len(piece)
        pieces.append(piece)
        _within(total, limit)
        if not stream.eof:
            raise ValueError("truncated")
        data = stream.unused_data
    return b"".join(pieces)


def _unlz4(data: bytes, limit: int) -> bytes:
    # clickhouse-connect sends one frame per block, one after the other.
    pieces: list[bytes] = []
    total = 0
    while data:
        stream = lz4.frame.LZ4FrameDecompressor()
        piece = bytes(stream.decompress(data, max_length=limit - total + 1))
        total += len(piece)
        _within(total, limit)
        if not stream.eof:
            raise ValueError("truncated")
        pieces.append(piece)
        data = stream.unused_data or b""
    return b"".join(pieces)


def _unzstd(data: bytes, limit: int) -> bytes:
    pieces: list[bytes] = []
    total = 0
    while data:
        stream = zstandard.ZstdDecompressor().decompressobj(read_across_frames=False)
        for start in range(0, len(data), _CHUNK // 16):
            piece = stream.decompress(data[start : start + _CHUNK // 16])
            total += len(piece)
            _within(total, limit)
            pieces.append(piece)
            if stream.eof:
                data = stream.unused_data + data[start + _CHUNK // 16 :]
                break
        else:
            raise ValueError("truncated")
    return b"".join(pieces)


def _unbrotli(data: bytes, limit: int) -> bytes:
    # The decompressor stops with an error when its fixed output buffer is full.
    for size in (min(limit, max(_CHUNK, len(data) * 16)), limit):
        buffer = bytearray(size)
        try:
            count = cramjam.brotli.decompress_into(data, buffer)
        except cramjam.DecompressionError:
            continue
        return bytes(buffer[:count])
    raise ValueError("invalid or too large")


_DECODERS: Final[Mapping[str, Callable[[bytes, int], bytes]]] = MappingProxyType(
    {
        "lz4": _unlz4,
        "zstd": _unzstd,
        "gzip": lambda data, limit: _inflate(data, limit, 31),
        "deflate": lambda data, limit: _inflate(data, limit, 15),
        "br": _unbrotli,
    }
)


def _within(size: int, limit: int) -> None:
    if size > limit:
        raise EngineError(QUERY_IS_TOO_LARGE, f"The decompressed body is larger than {limit} bytes: send it in smaller pieces.")


def to_blocks(data: bytes, method: str = "LZ4") -> bytes:
    """Cut bytes into ClickHouse's compressed blocks of at most 1 MiB; `method` is LZ4, ZSTD or NONE."""
    pieces: list[bytes] = []
    for start in range(0, len(data), _CHUNK):
        plain = data[start : start + _CHUNK]
        code, packed = _pack(plain, method)
        framed = _BLOCK.pack(code, len(packed) + _BLOCK.size, len(plain)) + packed
        pieces += (cityhash128(framed), framed)
    return b"".join(pieces)


def _pack(plain: bytes, method: str) -> tuple[int, bytes]:
    if method == "ZSTD":
        return _ZSTD, _zstd(plain)
    if method == "NONE":
        return _NONE, plain
    return _LZ4, bytes(lz4.block.compress(plain, store_size=False))


def from_blocks(data: bytes, *, limit: int) -> bytes:
    """Join ClickHouse's compressed blocks; raises EngineError on a wrong checksum, an unknown method or a cut block."""
    pieces: list[bytes] = []
    total = position = 0
    while position < len(data):
        header = position + _CHECKSUM
        if header + _BLOCK.size > len(data):
            raise EngineError(CANNOT_DECOMPRESS, "The last compressed block is cut off.")
        code, packed_size, plain_size = _BLOCK.unpack_from(data, header)
        end = header + packed_size
        if packed_size < _BLOCK.size or end > len(data):
            raise EngineError(CANNOT_DECOMPRESS, "A compressed block has an impossible size or is cut off.")
        if cityhash128(data[header:end]) != data[position:header]:
            raise EngineError(CANNOT_DECOMPRESS, "Checksum doesn't match: corrupted data.")
        total += plain_size
        _within(total, limit)
        pieces.append(_unpack(code, data[header + _BLOCK.size : end], plain_size))
        position = end
    return b"".join(pieces)


def _unpack(code: int, packed: bytes, size: int) -> bytes:
    try:
        if code == _LZ4:
            plain = bytes(lz4.block.decompress(packed, uncompressed_size=size))
        elif code == _ZSTD:
            plain = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
        elif code == _NONE:
            plain = packed
        else:
            raise EngineError(CANNOT_DECOMPRESS, f"Unknown compression method of a block: {code}.")
    except (lz4.block.LZ4BlockError, zstandard.ZstdError) as error:
        raise EngineError(CANNOT_DECOMPRESS, "A compressed block cannot be read.") from error
    if len(plain) != size:
        raise EngineError(CANNOT_DECOMPRESS, "A compressed block has another size than it says.")
    return plain
