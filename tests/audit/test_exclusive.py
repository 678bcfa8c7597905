"""Two repairs of one database are kept apart, whatever happened to an earlier one."""

import subprocess
import sys
from pathlib import Path

import pytest

from llmtower_processors.audit.exclusive import RepairRunning, exclusive, lock_path

HOLDER = """
import sys, time
from pathlib import Path
from llmtower_processors.audit.exclusive import exclusive
with exclusive(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_repair_is_refused_until_the_first_has_ended_even_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "state" / "repair.lock"
    with subprocess.Popen((sys.executable, "-c", HOLDER, str(path)), stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(RepairRunning, match="wait until it has ended"), exclusive(path):
            pass
        holder.kill()
    with exclusive(path):
        pass
    with exclusive(path):
        pass


def test_each_database_has_a_lock_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert lock_path("a:1/llmtower").is_relative_to(tmp_path)
    assert lock_path("a:1/llmtower") == lock_path("a:1/llmtower")
    assert lock_path("a:1/llmtower") != lock_path("a:2/llmtower")
