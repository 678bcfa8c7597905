"""Fixtures of the whole suite: one real Kafka and one real engine per session, started when first asked for."""

import os
import uuid
from collections.abc import Iterator

import hypothesis
import pytest

from llmtower_processors.engine import EngineProcess
from llmtower_processors.local.kafka import KafkaProcess
from tests.spread import make_scheduler, order

pytest_xdist_make_scheduler = make_scheduler

hypothesis.settings.register_profile("suite", deadline=None)  # how long an example takes depends on what else runs here
hypothesis.settings.load_profile("suite")


def pytest_configure(config: pytest.Config) -> None:
    """Coverage is for the processes that run tests, those of `-n` included; what tests start would only be slowed down."""
    if not config.option.numprocesses:
        os.environ.pop("COVERAGE_PROCESS_CONFIG", None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With `-n`: long files first, small pieces last."""
    if config.option.numprocesses or hasattr(config, "workerinput"):
        items.sort(key=lambda item: order(item.nodeid))


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Bootstrap address of a real Kafka (LLMTOWER_TEST_KAFKA names another one); use fresh topics (`topic_prefix`)."""
    if elsewhere := os.environ.get("LLMTOWER_TEST_KAFKA"):
        yield elsewhere
        return
    with KafkaProcess(tmp_path_factory.mktemp("kafka")) as node:
        yield node.bootstrap_servers


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineProcess]:
    """A real ClickHouse engine behind HTTP (`url`, `credentials`); use a fresh `database`."""
    with EngineProcess(tmp_path_factory.mktemp("engine")) as process:
        yield process


@pytest.fixture
def topic_prefix() -> str:
    """A prefix that no other test's topics have."""
    return f"t{uuid.uuid4().hex[:12]}."


@pytest.fixture
def database() -> str:
    """A database name that no other test uses."""
    return f"t{uuid.uuid4().hex[:12]}"
