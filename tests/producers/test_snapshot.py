"""Anything an application passes becomes JSON, and later changes do not reach it."""

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest
from pydantic import BaseModel

from llmtower.snapshot import LARGE, snapshot


class Message(BaseModel):
    role: str
    content: str | None = None
    extra: list[int] = []


@dataclass
class Point:
    x: int


class Odd:
    pass


class Hostile:
    @property
    def __pydantic_fields_set__(self) -> set[str]:
        raise RuntimeError("do not look at me")


def loaded(value: Any) -> Any:
    raw = snapshot(value)
    assert isinstance(raw, bytes)
    return orjson.loads(raw)


def test_a_snapshot_does_not_change_with_its_source() -> None:
    messages = [{"role": "user", "content": "first"}]
    raw = snapshot(messages)
    messages[0]["content"] = "second"
    messages.append({"role": "user", "content": "third"})

    assert raw == b'[{"role":"user","content":"first"}]'


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([Message(role="user")], [{"role": "user", "extra": []}]),
        ([Point(1)], [{"x": 1}]),
        ([b"abc"], ["[bytes: 3 bytes]"]),
        ([{1, 2}], [[1, 2]]),
        ([Odd()], ["[Odd]"]),
        ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
        (["\ud800 lone"], ["? lone"]),
        ([float("nan")], [None]),
        ([1 << 80], [str(1 << 80)]),
        ([Hostile()], ["[Hostile]"]),
    ],
)
def test_what_json_does_not_know_becomes_a_mark(value: Any, expected: Any) -> None:
    assert loaded(value) == expected


def test_cycles_and_depth_end() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: Any = "bottom"
    for _ in range(3_000):
        deep = [deep]

    assert b"too deep" in (snapshot(cycle) or b"")
    assert b"too deep" in (snapshot(deep) or b"")


def test_text_and_nothing_are_kept_as_they_are() -> None:
    assert snapshot("text") == "text"
    assert snapshot(None) is None


def test_a_huge_value_keeps_its_shape_and_says_what_was_cut() -> None:
    shrunk = loaded([{"role": "user", "content": "ä" * 3_000_000, "point": Point(5)}, Message(role="user", content="short")])

    assert shrunk[0]["content"].endswith("…[llmtower: cut, 6000000 bytes in all]")
    assert (shrunk[0]["role"], shrunk[0]["point"]) == ("user", {"x": 5})
    assert shrunk[1]["content"] == "short"


@pytest.mark.parametrize(
    "value", [list(range(1_000_000)), ["x" * 30_000] * 1_000, [["y" * 10]] * 300_000, {str(i): i for i in range(300_000)}]
)
def test_a_huge_value_of_small_parts_keeps_its_beginning(value: Any) -> None:
    whole = orjson.dumps(value)
    kept = snapshot(value)

    assert isinstance(kept, str)
    assert len(kept) <= LARGE
    assert kept.startswith(whole[:1_000].decode())
    assert kept.endswith(f"…[llmtower: cut, {len(whole)} bytes in all]")


def test_a_huge_text_of_many_bytes_is_counted_roughly() -> None:
    kept = snapshot("ä" * 25_000_000)

    assert isinstance(kept, str)
    assert kept.endswith("+ bytes in all]")
    assert 25_000_000 <= int(kept.rpartition("cut, ")[2].partition("+")[0]) <= 50_000_000


def test_a_lone_surrogate_in_a_huge_value_is_no_fault() -> None:
    assert loaded(["a\ud800" * 200_000, "b" * 3_000_000])[0].startswith("a?a?")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads Linux's own count of resident memory")
def test_a_small_snapshot_holds_no_large_buffer() -> None:
    """What waits is counted by its length, so it must not hold more: JSON writers over-allocate."""
    usage = {"prompt_tokens": 250, "completion_tokens": 80}
    before = resident_bytes()
    kept = [snapshot(usage) for _ in range(20_000)]

    assert resident_bytes() - before < len(kept) * 1_000


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
