"""Versions in the registry: numbered in order, never overwritten, found by name; what cannot be read is not there."""

import asyncio
import functools
from collections.abc import Callable, Coroutine
from functools import partial

import pytest

from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.shelf import Shelf
from llmtower_schemas.chains import entry_key
from llmtower_schemas.datasets import Manifest, chain_of
from llmtower_schemas.registry_log import MemoryRegistryLog, MemoryTopic, RegistryUnavailable


def runs(test: Callable[[], Coroutine[None, None, None]]) -> Callable[[], None]:
    """Make an asynchronous test one that pytest runs."""

    @functools.wraps(test)
    def run() -> None:
        asyncio.run(test())

    return run


def manifest(name: str, version: int, note: str = "") -> Manifest:
    return Manifest(name=name, version=version, build_id="b", created_at_us=1, start_us=0, end_us=1, sha256="0" * 64, note=note)


@runs
async def test_two_who_publish_at_once_get_two_versions() -> None:
    topic = MemoryTopic()
    shelves = [Shelf(MemoryRegistryLog(topic)) for _ in range(2)]
    for shelf in shelves:
        await shelf.read()
    await asyncio.gather(*(shelf.publish("d", partial(manifest, "d", note=note)) for note, shelf in zip("01", shelves, strict=True)))
    await shelves[0].read()
    assert [(one.version, one.note) for one in shelves[0].all()] == [(1, "0"), (2, "1")]


@runs
async def test_a_version_is_found_by_its_reference_and_a_missing_one_says_what_there_is() -> None:
    shelf = Shelf(MemoryRegistryLog(MemoryTopic()))
    with pytest.raises(DatasetError, match=r"no dataset d\. Build one"):
        shelf.get("d")
    for _ in range(3):
        await shelf.publish("d", lambda version: manifest("d", version))
    assert (shelf.get("d").version, shelf.get("d@2").version) == (3, 2)
    for reference, reason in {"d@4": "the last is 3", "e": "There are: d", "d@x": "names no dataset", "": "names no dataset"}.items():
        with pytest.raises(DatasetError, match=reason):
            shelf.get(reference)


@runs
async def test_what_cannot_be_read_is_left_out_and_its_number_stays_taken() -> None:
    topic = MemoryTopic()
    log = MemoryRegistryLog(topic)
    await log.write(entry_key(chain_of("d"), 1, "a" * 32), b"{}")
    await log.write(entry_key(chain_of("d"), 2, "b" * 32), manifest("other", 2).model_dump_json().encode())
    shelf = Shelf(MemoryRegistryLog(topic))
    await shelf.read()
    assert shelf.all() == []
    assert (await shelf.publish("d", lambda version: manifest("d", version))).version == 3


@runs
async def test_without_kafka_nothing_is_published() -> None:
    topic = MemoryTopic()
    shelf = Shelf(MemoryRegistryLog(topic))
    topic.reachable = False
    with pytest.raises(RegistryUnavailable):
        await shelf.publish("d", lambda version: manifest("d", version))
    assert topic.records == []
