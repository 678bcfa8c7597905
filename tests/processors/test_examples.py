"""Every example through encode → decode → process → the columns of its tables, as the real writer encodes them."""

import pytest

from llmtower_processors.audit.model import AUDITED
from llmtower_processors.columns import USUALLY_EMPTY, USUALLY_NULL
from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.roles import PIPELINE, SCORING
from llmtower_processors.runtime.model import Processor
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import EXAMPLES
from llmtower_schemas.export import TOPIC_OF
from llmtower_schemas.tables import TABLES
from llmtower_schemas.topics import TOPICS
from tests.processors.batches import batch, record
from tests.processors.blocks import ddl
from tests.processors.blocks import encode as encode_block

PROCESSORS = build_processors(PriceBook())
BY_TOPIC = {PROCESSORS[name].topics[0]: PROCESSORS[name] for name in PIPELINE}


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_fits_its_tables(name: str) -> None:
    event = EXAMPLES[name]
    topic = TOPIC_OF[event.type]
    processor = BY_TOPIC[topic]
    blocks = processor.function(batch(record(encode_event(event), topic=topic), processor=processor.name))
    assert blocks
    for block in blocks:
        assert block.table in processor.tables
        assert not block.table.startswith("dead")
        assert len({len(column) for column in block.columns.values()}) == 1
        assert encode_block(block)


@pytest.mark.parametrize("chosen", PROCESSORS.values(), ids=PROCESSORS)
def test_every_column_of_every_table_is_filled(chosen: Processor) -> None:
    lines = [encode_event(event) for event in EXAMPLES.values() if TOPIC_OF[event.type] in chosen.topics]
    blocks = chosen.function(batch(record(encode([*lines, b"{"]), topic=chosen.topics[0]), processor=chosen.name))
    assert {block.table for block in blocks} == set(chosen.tables)
    for block in blocks:
        missing = set(ddl()[block.table]) - set(block.columns)
        assert missing <= USUALLY_EMPTY | USUALLY_NULL
        assert not set(block.columns) - set(ddl()[block.table])
        assert encode_block(block)


def test_the_audit_knows_every_table_of_what_it_audits() -> None:
    for one in AUDITED:
        assert {*one.homes, *one.sides} == set(PROCESSORS[one.processor].tables)


def test_every_event_type_has_an_example() -> None:
    assert {event.type for event in EXAMPLES.values()} == set(TOPIC_OF)


def test_processors_name_what_exists_and_each_has_its_process() -> None:
    assert tuple(PROCESSORS) == (*PIPELINE, *SCORING)
    for name, processor in PROCESSORS.items():
        assert processor.name == name
        assert set(processor.tables) <= set(TABLES)
        assert set(processor.topics) <= set(TOPICS)
