"""Small Go programs that tests need because what is tested against is Go: built here, with the modules that their go.sum pins."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def build(source: Path, factory: pytest.TempPathFactory, purpose: str) -> Path:
    """Build one, once for all processes of a test run, or skip the test and say what is not tested. Go keeps what it has compiled."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"NOT TESTED: {purpose}: there is no `go` on this machine")
    mine = factory.getbasetemp()
    shared = mine.parent if "PYTEST_XDIST_TESTRUNUID" in os.environ else mine
    binary = shared / f"go-{source.name}"
    with (shared / f"go-{source.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if binary.exists():
            return binary
        built = subprocess.run([go, "build", "-o", binary, "."], cwd=source, capture_output=True, text=True, check=False)
    if built.returncode and "dial tcp" in built.stderr:
        pytest.skip(f"NOT TESTED: {purpose}: the modules of {source.name} are neither cached nor reachable")
    assert built.returncode == 0, built.stderr
    return binary
