"""Compression both ways, and what happens to bytes that are not what they say."""

import gzip
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.engine.cityhash import cityhash128
from llmtower_processors.engine.compression import ENCODERS, accepted, decode, from_blocks, to_blocks
from llmtower_processors.engine.errors import EngineError

# Made with github.com/go-faster/city v1.0.1 (CH128) over bytes (7 i + 13 n) mod 251.
CITY = {
    0: "3df09dfc64c09a2b3cb540c392e51e29",
    7: "5184b6e9f6da070873631983dbe10927",
    8: "65baf29778ac41207b9aaeec1730e9cb",
    15: "a818320d1dfe966cbbb259e7804e7a61",
    16: "e512316cf7b5c031b81109145b27b414",
    17: "704d1e17fa0d3e55cf235999b549abfb",
    127: "f8e804c594e9a9d6abe9128c510b4375",
    143: "1f22f669bc4257ec23403974b105cc3b",
    144: "9166131bc5d1c096b7638bd577e74a8e",
    145: "ea2c7b49a4039013a443df154ce20ec2",
    300: "e286859616ac80aa16e0b8453671ef58",
    599: "ff9dfe1c87689fd9b22a8bf56af61aff",
}


@pytest.mark.parametrize(("size", "expected"), CITY.items())
def test_cityhash_equals_the_reference(size: int, expected: str) -> None:
    low, high = struct.unpack("<QQ", cityhash128(bytes((7 * index + 13 * size) % 251 for index in range(size))))
    assert f"{low:016x}{high:016x}" == expected


@given(st.binary(max_size=2000), st.sampled_from(["LZ4", "ZSTD", "NONE"]))
def test_blocks_read_back(data: bytes, method: str) -> None:
    assert from_blocks(to_blocks(data, method), limit=10_000) == data


def test_large_data_is_cut_into_blocks() -> None:
    data = bytes(range(256)) * 8200
    blocks = to_blocks(data)
    assert from_blocks(blocks, limit=len(data)) == data
    with pytest.raises(EngineError, match="larger than"):
        from_blocks(blocks, limit=len(data) - 1)


@pytest.mark.parametrize("method", ["LZ4", "ZSTD", "NONE"])
def test_damaged_blocks_are_refused(method: str) -> None:
    good = to_blocks(b"some text, some text, some text", method)
    for index in range(len(good)):
        damaged = bytearray(good)
        damaged[index] ^= 0x41
        with pytest.raises(EngineError) as caught:
            from_blocks(bytes(damaged), limit=1000)
        assert caught.value.code == 271
        if index:
            with pytest.raises(EngineError):
                from_blocks(good[:index], limit=1000)


def test_a_block_that_lies_about_its_size_is_refused() -> None:
    for method, size in ((0x82, 10**9), (0x90, 1), (0x02, 7), (0x77, 3)):
        framed = struct.pack("<BII", method, 12, size) + b"\x30abc"[:3]
        with pytest.raises(EngineError):
            from_blocks(cityhash128(framed) + framed, limit=2 * 10**9)


@pytest.mark.parametrize("name", ENCODERS)
@pytest.mark.parametrize("size", [0, 1, 5000, 3_000_000])
def test_encodings_read_back(name: str, size: int) -> None:
    data = (b"row of text\t1\n" * (size // 14 + 1))[:size]
    assert decode(ENCODERS[name](data), name, limit=max(size, 1)) == data


@pytest.mark.parametrize("name", ["gzip", "deflate", "lz4", "zstd"])
def test_streams_one_after_the_other_are_all_read(name: str) -> None:
    """clickhouse-connect compresses block by block."""
    pieces = [b"first " * 100, b"second " * 100, b"", b"third"]
    assert decode(b"".join(map(ENCODERS[name], pieces)), name, limit=10_000) == b"".join(pieces)


@pytest.mark.parametrize("name", ENCODERS)
def test_cut_garbled_or_too_large_bodies_are_refused(name: str) -> None:
    packed = ENCODERS[name](bytes(range(256)) * 40)
    for bad in (packed[:-3], packed[: len(packed) // 2], b"\x07garbage" + packed):
        with pytest.raises(EngineError) as caught:
            decode(bad, name, limit=100_000)
        assert caught.value.code == 271
    with pytest.raises(EngineError) as caught:
        decode(ENCODERS[name](b"x" * 100_000), name, limit=99_999)
    assert caught.value.code in (191, 271)


def test_several_encodings_and_unknown_ones() -> None:
    assert decode(gzip.compress(ENCODERS["zstd"](b"x")), "zstd, gzip", limit=10) == b"x"
    assert decode(b"x", "identity", limit=10) == b"x"
    assert decode(b"x", "", limit=10) == b"x"
    with pytest.raises(EngineError, match="Content-Encoding must be one of"):
        decode(b"x", "rot13", limit=10)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("lz4,zstd", "lz4"),
        ("gzip;q=0, br;q=1.0", "br"),
        ("identity", None),
        ("", None),
        ("*", None),
    ],
)
def test_what_a_client_accepts(header: str, expected: str | None) -> None:
    assert accepted(header) == expected
