"""Each contract test runs on the edges in memory and on the real ones."""

from collections.abc import Iterator

import pytest

from tests.contract.backends import ClickHouseBackend, KafkaCluster, LogBackend, MemoryBackend, MemoryCluster, StoreBackend

_REAL = pytest.mark.integration


@pytest.fixture(params=["memory", pytest.param("clickhouse", marks=_REAL)])
def backend(request: pytest.FixtureRequest, database: str) -> Iterator[StoreBackend]:
    """A store with empty tables."""
    if request.param == "memory":
        yield MemoryBackend()
        return
    real = ClickHouseBackend(request.getfixturevalue("engine"), database)
    yield real
    real.close()


@pytest.fixture(params=["memory", pytest.param("kafka", marks=_REAL)])
def cluster(request: pytest.FixtureRequest, topic_prefix: str) -> LogBackend:
    """A cluster; the test closes it inside its event loop."""
    if request.param == "memory":
        return MemoryCluster()
    return KafkaCluster(request.getfixturevalue("kafka"), f"{topic_prefix}group")
