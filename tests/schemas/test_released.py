"""Events of every released version are still read as they were meant: `released/v<schema>.ndjson` is only ever added to."""

from pathlib import Path

import orjson
import pytest
from tests.processors.batches import batch, record

from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.roles import PIPELINE
from llmtower_schemas.codec import Malformed, decode, encode_event
from llmtower_schemas.events import SCHEMA_VERSION
from llmtower_schemas.examples import EXAMPLES
from llmtower_schemas.export import TOPIC_OF

RELEASED = sorted((Path(__file__).parent / "released").glob("v*.ndjson"))


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def test_the_current_version_has_its_examples_stored() -> None:
    assert f"v{SCHEMA_VERSION}.ndjson" in {path.name for path in RELEASED}
    assert set(lines(RELEASED[-1])) >= {encode_event(event) for event in EXAMPLES.values()}


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.name)
def test_released_events_are_read(path: Path) -> None:
    events = decode(path.read_bytes())
    assert len(events) == len(lines(path))
    assert not [event for event in events if isinstance(event, Malformed)]


@pytest.mark.parametrize("path", RELEASED, ids=lambda path: path.name)
def test_released_events_are_stored(path: Path) -> None:
    types = [orjson.loads(line)["type"] for line in lines(path)]
    known = build_processors(PriceBook())
    for processor in map(known.__getitem__, PIPELINE):
        mine = [line for line, kind in zip(lines(path), types, strict=True) if TOPIC_OF[kind] in processor.topics]
        blocks = processor.function(batch(record(b"\n".join(mine), topic=processor.topics[0]), processor=processor.name))
        tables = {block.table: block.rows for block in blocks}
        assert "dead_letters" not in tables
        assert sum(rows for table, rows in tables.items() if table != "contents") == len(mine)


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_event_of_a_newer_producer_keeps_what_we_do_not_know(name: str) -> None:
    (event,) = decode(encode_event(EXAMPLES[name])[:-1] + b',"from_the_future":{"a":[1,2]}}')
    assert not isinstance(event, Malformed)
    assert event.model_extra == {"from_the_future": {"a": [1, 2]}}
    assert b"from_the_future" in encode_event(event)
