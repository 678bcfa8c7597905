"""These tests run in an environment of their own: grafana-client brings an urllib3 that is not everybody's (`make test`)."""

from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.standins.grafana import Standin, serve

collect_ignore_glob = [] if find_spec("grafana_client") else ["test_*.py"]


@pytest.fixture
def grafana() -> Iterator[Standin]:
    """A Grafana to push to, empty."""
    with serve() as standin:
        yield standin
