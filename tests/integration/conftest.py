"""What several folders of integration tests share."""

from pathlib import Path

import pytest
from tests import gotools


@pytest.fixture(scope="session")
def goclient(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program in engine/goclient, built: clickhouse-go over HTTP, as Grafana's plugin uses it."""
    source = Path(__file__).parent / "engine" / "goclient"
    return gotools.build(source, tmp_path_factory, "clickhouse-go (so Grafana's plugin) against the engine")
