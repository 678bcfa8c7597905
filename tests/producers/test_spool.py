"""The spool: what goes in comes out, once, whatever happened to the file."""

import os
import resource
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmtower.errors import SpoolFull
from llmtower.spool import Spool
from llmtower.transport import Envelope, seal


def envelope(number: int, lines: list[bytes] | None = None, *, partition: int = 2) -> Envelope:
    sealed = seal("llmtower.calls", "p", "äpp", lines or [b'{"n":%d}' % number], producer="run", seq=number, at_ns=number)
    return sealed if partition < 0 else Envelope(**{**{f: getattr(sealed, f) for f in Envelope.__slots__}, "partition": partition})


def made(folder: Path, max_bytes: int = 1 << 20, run: str = "run") -> Spool:
    return Spool(folder, run=run, max_bytes=max_bytes)


def contents(spool: Spool) -> list[Envelope | None]:
    return [spool.read(ref) for ref in spool.pending()]


def test_an_envelope_comes_back_as_it_was(tmp_path: Path) -> None:
    spool = made(tmp_path)
    kept = [envelope(number, partition=number - 1) for number in range(3)]
    for one in kept:
        spool.append(one)

    assert contents(spool) == kept
    spool.close()
    later = made(tmp_path)
    assert later.adopt() == 3
    assert contents(later) == kept


def test_what_is_acknowledged_does_not_come_back(tmp_path: Path) -> None:
    spool = made(tmp_path)
    refs = [spool.append(envelope(number)) for number in range(3)]
    spool.acknowledge(refs[1])
    spool.close()

    later = made(tmp_path)
    assert later.adopt() == 2
    assert [one.seq for one in contents(later) if one] == [0, 2]
    for ref in list(later.pending()):
        later.acknowledge(ref)
    assert list(tmp_path.iterdir()) == []


def test_files_are_private(tmp_path: Path) -> None:
    spool = made(tmp_path / "deep" / "folder")
    spool.append(envelope(0))

    (path,) = (tmp_path / "deep" / "folder").iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_live_process_segments_are_not_taken(tmp_path: Path) -> None:
    spool = made(tmp_path)
    spool.append(envelope(0))
    rival, third = made(tmp_path, run="rival"), made(tmp_path, run="third")

    assert rival.adopt() == 0
    spool.close()
    assert rival.adopt() == 1
    assert third.adopt() == 0


def test_the_limit_holds_for_all_processes_together(tmp_path: Path) -> None:
    first, second = made(tmp_path, 20_000, "a"), made(tmp_path, 20_000, "b")
    line = [b"x" * 4_000]
    for spool in (first, second, first, second):
        spool.append(envelope(0, line))

    with pytest.raises(SpoolFull):
        first.append(envelope(0, line))
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 20_000


def test_a_torn_tail_ends_the_segment(tmp_path: Path) -> None:
    spool = made(tmp_path)
    for number in range(3):
        spool.append(envelope(number))
    spool.close()
    (path,) = tmp_path.iterdir()
    os.truncate(path, path.stat().st_size - 1)

    later = made(tmp_path)
    assert later.adopt() == 2
    later.append(envelope(9))
    assert [one.seq for one in contents(later) if one] == [0, 1, 9]


def test_a_damaged_entry_is_left_out_and_its_neighbours_kept(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    spool = made(tmp_path)
    refs = [spool.append(envelope(number, [b'{"secret":"%d"}' % number])) for number in range(3)]
    spool.close()
    (path,) = tmp_path.iterdir()
    with path.open("r+b") as file:
        file.seek(refs[1].entry.offset + 20)
        file.write(b"\xff")

    later = made(tmp_path)
    assert later.adopt() == 2
    assert [one.seq for one in contents(later) if one] == [0, 2]
    assert "1 entries" in caplog.text
    assert "secret" not in caplog.text


@pytest.mark.parametrize("foreign", [b"", b"LLMTOWER-SPOOL-9\nfuture", b"something else"])
def test_files_that_are_not_ours_are_left_alone(tmp_path: Path, foreign: bytes) -> None:
    path = tmp_path / "other.spool"
    path.write_bytes(foreign)

    assert made(tmp_path).adopt() == 0
    assert path.read_bytes() == foreign


@settings(max_examples=40)
@given(
    lines=st.lists(st.lists(st.binary(min_size=1, max_size=300), min_size=1, max_size=4), min_size=1, max_size=8),
    cut=st.integers(min_value=0, max_value=4_000),
    struck=st.sets(st.integers(min_value=0, max_value=7)),
)
def test_any_torn_file_gives_a_prefix(
    tmp_path_factory: pytest.TempPathFactory, lines: list[list[bytes]], cut: int, struck: set[int]
) -> None:
    folder = tmp_path_factory.mktemp("spool")
    spool = made(folder)
    kept = [envelope(number, parts) for number, parts in enumerate(lines)]
    refs = [spool.append(one) for one in kept]
    gone = {number for number in struck if number < len(kept)}
    if len(gone) == len(kept):
        gone.pop()
    spool.close()
    (path,) = folder.iterdir()
    os.truncate(path, max(0, path.stat().st_size - cut))

    later = made(folder)
    later.adopt()
    back = contents(later)
    assert back == kept[: len(back)]
    assert len(refs) - len(back) <= (cut > 0) * len(refs)
    for ref in [ref for number, ref in enumerate(later.pending()) if number in gone]:
        later.acknowledge(ref)
    later.close()
    last = made(folder)
    last.adopt()
    assert contents(last) == [one for number, one in enumerate(back) if number not in gone]


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from llmtower.errors import SpoolFull
from llmtower.spool import Spool
from llmtower.transport import seal
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
spool = Spool(Path(sys.argv[1]), run="full", max_bytes=1 << 30)
kept = 0
try:
    while True:
        spool.append(seal("llmtower.calls", "p", "a", [b"x" * 1_000], producer="full", seq=kept, at_ns=1))
        kept += 1
except SpoolFull as error:
    print(kept, error)
assert len([spool.read(ref) for ref in spool.pending()]) == kept
spool.acknowledge(next(iter(spool.pending())))
"""


def test_a_full_disk_leaves_the_file_whole(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, check=True)

    kept, _, reason = done.stdout.partition(" ")
    assert int(kept) > 5
    assert "File too large" in reason
    later = made(tmp_path)
    assert later.adopt() >= int(kept) - 1
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20_000
