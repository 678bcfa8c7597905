"""The registry, read to its present end, for the time of one command."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from llmtower_processors.connection import kafka_settings
from llmtower_processors.datasets.shelf import Shelf
from llmtower_processors.errors import Unreachable
from llmtower_schemas.model_store import Models
from llmtower_schemas.registry_log import KafkaRegistryLog, RegistryLog, RegistryUnavailable
from llmtower_schemas.settings import Settings

_T = TypeVar("_T")


class _Book(Protocol):
    async def read(self) -> object: ...


_B = TypeVar("_B", bound=_Book)


def with_shelf(settings: Settings, work: Callable[[Shelf], Awaitable[_T]]) -> _T:
    """Do something with the shelf of datasets. Raises NotConfigured without an address, Unreachable when Kafka does not answer."""
    return _with(settings, Shelf, work)


def with_models(settings: Settings, work: Callable[[Models], Awaitable[_T]]) -> _T:
    """Do something with the registered models. Raises as `with_shelf`."""
    return _with(settings, Models, work)


def _with(settings: Settings, make: Callable[[RegistryLog], _B], work: Callable[[_B], Awaitable[_T]]) -> _T:
    async def run() -> _T:
        log = KafkaRegistryLog(kafka_settings(settings))
        book = make(log)
        try:
            await book.read()
            return await work(book)
        except RegistryUnavailable as error:
            raise Unreachable(str(error)) from error
        finally:
            await log.close()

    return asyncio.run(run())
