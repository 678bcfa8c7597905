"""The registry, read to its present end, for the time of one command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from llmtower_processors.connection import kafka_settings
from llmtower_processors.datasets.shelf import Shelf
from llmtower_processors.errors import Unreachable
from llmtower_schemas.registry_log import KafkaRegistryLog, RegistryUnavailable
from llmtower_schemas.settings import Settings

_T = TypeVar("_T")


def with_shelf(settings: Settings, work: Callable[[Shelf], Awaitable[_T]]) -> _T:
    """Do something with the shelf of datasets. Raises NotConfigured without an address, Unreachable when Kafka does not answer."""

    async def run() -> _T:
        log = KafkaRegistryLog(kafka_settings(settings))
        shelf = Shelf(log)
        try:
            await shelf.read()
            return await work(shelf)
        except RegistryUnavailable as error:
            raise Unreachable(str(error)) from error
        finally:
            await log.close()

    return asyncio.run(run())
