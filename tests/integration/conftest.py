"""What several folders of integration tests share."""

import shutil
import subprocess
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def goclient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program in engine/goclient, built: clickhouse-go over HTTP, as Grafana's plugin uses it."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("NOT TESTED: clickhouse-go (so Grafana's plugin) against the engine: there is no `go` on this machine")
    binary = tmp_path_factory.mktemp("go") / "goclient"
    source = Path(__file__).parent / "engine" / "goclient"
    built = subprocess.run([go, "build", "-o", binary, "."], cwd=source, capture_output=True, text=True, check=False)
    if built.returncode and "dial tcp" in built.stderr:
        pytest.skip("NOT TESTED: clickhouse-go against the engine: its modules are neither cached nor reachable")
    assert built.returncode == 0, built.stderr
    return binary
