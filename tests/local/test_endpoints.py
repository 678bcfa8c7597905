import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from llmtower_processors.local.endpoints import DataDirLock, Endpoints, find_endpoints, remove_endpoints, write_endpoints
from llmtower_processors.local.errors import DataDirBusyError, LocalStackError

RUNNING = Endpoints(kafka="127.0.0.1:9092", clickhouse="http://127.0.0.1:8123", pids={"up": os.getpid(), "kafka": 17})


def test_endpoints_of_a_running_up_are_found(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    assert find_endpoints(tmp_path) is None
    write_endpoints(tmp_path, RUNNING)
    assert find_endpoints(tmp_path) == RUNNING
    assert json.loads((tmp_path / "endpoints.json").read_text()) == {
        "kafka": "127.0.0.1:9092",
        "clickhouse": "http://127.0.0.1:8123",
        "web": None,
        "gateway": None,
        "pids": {"up": os.getpid(), "kafka": 17},
    }
    remove_endpoints(tmp_path)
    assert find_endpoints(tmp_path) is None
    lock.release()


def test_endpoints_left_behind_by_a_killed_up_are_not_believed(tmp_path: Path) -> None:
    lock = DataDirLock(tmp_path)
    write_endpoints(tmp_path, RUNNING)
    lock.release()  # what the kernel does at kill -9; the pid may be alive because another process got it since
    assert find_endpoints(tmp_path) is None


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kafka": 1', '{"kafka": "a", "clickhouse": "b", "pids": {}}', "\udcff"])
def test_a_broken_file_counts_as_none(tmp_path: Path, content: str) -> None:
    lock = DataDirLock(tmp_path)
    (tmp_path / "endpoints.json").write_bytes(content.encode("utf-8", "surrogateescape"))
    assert find_endpoints(tmp_path) is None
    lock.release()


def test_a_folder_that_does_not_exist_has_none(tmp_path: Path) -> None:
    assert find_endpoints(tmp_path / "nowhere") is None


def test_a_second_claim_on_a_folder_is_refused_while_the_first_lives(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    program = (
        "import sys; from pathlib import Path; from llmtower_processors.local.endpoints import DataDirLock; "
        "lock = DataDirLock(Path(sys.argv[1])); print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout
        assert first.stdout.readline() == "held\n"
        with pytest.raises(
            DataDirBusyError, match=rf"^another llmtower up or demo \(pid {first.pid}\) runs on .*data: stop it, or choose another"
        ):
            DataDirLock(folder)
        first.kill()
        first.wait()
        DataDirLock(folder).release()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(LocalStackError, match=r"^cannot write to .*file/data \(Not a directory\): choose another --data-dir$"):
        DataDirLock(tmp_path / "file" / "data")
