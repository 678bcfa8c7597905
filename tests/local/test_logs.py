import stat
from pathlib import Path

import pytest

from llmtower_processors.local.logs import bound_log, last_line, open_log


def test_a_long_log_is_moved_aside_under_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "logs" / "worker.log"
    with open_log(path) as log:
        log.write(b"x" * 100)
        log.flush()
        bound_log(path, max_bytes=99)
        log.write(b"and on")
    assert path.read_bytes() == b"and on"
    assert path.with_name("worker.log.1").read_bytes() == b"x" * 100
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_short_log_is_left_alone_and_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    for word in (b"one\n", b"two\n"):
        with open_log(path) as log:
            log.write(word)
    assert path.read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize(
    ("content", "line"),
    [(b"", ""), (b"\n\n", ""), (b"first\nlast\n\n", "last"), (b"\xff bad\n", "\ufffd bad"), (b"a" * 9000 + b"\nend", "end")],
)
def test_the_last_line_is_found(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "worker.log"
    path.write_bytes(content)
    assert last_line(path) == line


def test_a_log_that_is_not_there_has_no_last_line(tmp_path: Path) -> None:
    assert last_line(tmp_path / "absent.log") == ""
