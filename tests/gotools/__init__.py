"""Small Go programs that tests need because what is tested against is Go: built here, with the modules that their go.sum pins."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def build(source: Path, binary: Path, purpose: str) -> Path:
    """Build one, or skip the test and say what is not tested. Go keeps what it has compiled, so that the next time takes a second."""
    go = shutil.which("go")
    if go is None:
        pytest.skip(f"NOT TESTED: {purpose}: there is no `go` on this machine")
    built = subprocess.run([go, "build", "-o", binary, "."], cwd=source, capture_output=True, text=True, check=False)
    if built.returncode and "dial tcp" in built.stderr:
        pytest.skip(f"NOT TESTED: {purpose}: the modules of {source.name} are neither cached nor reachable")
    assert built.returncode == 0, built.stderr
    return binary
