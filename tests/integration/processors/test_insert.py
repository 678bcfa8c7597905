"""What processors make of examples and of bad input goes through the real writer into the real engine and comes back the same."""

import random
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import clickhouse_connect
import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.processors.batches import batch, record

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.roles import PIPELINE
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.edges import TopicPartition
from llmtower_processors.runtime.model import Block
from llmtower_processors.runtime.work import key_columns, without
from llmtower_schemas.codec import encode, encode_event
from llmtower_schemas.examples import AT_NS, EXAMPLES
from llmtower_schemas.export import TOPIC_OF
from llmtower_schemas.settings import RetentionSettings
from llmtower_schemas.topics import SIGNALS

pytestmark = pytest.mark.integration

PROCESSORS = build_processors(PriceBook())
KEEP_ALL = RetentionSettings(calls_days=0, contents_days=0, requests_days=0, heartbeats_days=0, dead_letter_bytes_days=0, rollup_1m_days=0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@pytest.fixture
def options(engine: EngineProcess, database: str) -> Iterator[dict[str, Any]]:
    """Client options of a fresh, migrated database."""
    password = engine.credentials.password(Role.WRITER)
    address: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value, "password": password}
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**address, database=database) as client:
            migrate(client, KEEP_ALL)
        yield address | {"database": database}
        server.command(f"DROP DATABASE {database}")


@pytest.fixture
def store(options: dict[str, Any]) -> Iterator[ClickHouseStore]:
    """The worker's own store."""
    store = ClickHouseStore(options)
    yield store
    store.close()


@pytest.fixture
def client(options: dict[str, Any]) -> Iterator[Client]:
    """For reading back."""
    with clickhouse_connect.get_client(**options) as client:
        yield client


def insert(store: ClickHouseStore, name: str, lines: list[bytes], topic: str = "") -> dict[str, Any]:
    topic = topic or PROCESSORS[name].topics[0]
    blocks = PROCESSORS[name].function(batch(record(encode(lines), offset=11, topic=topic), processor=name))
    for block in blocks:
        store.insert(block, f"inc:{name}:{topic}:3:11-11")
    return {block.table: block for block in blocks}


def same(written: Any, read: Any) -> bool:
    """Whether a value came back as it was sent; times are sent as ticks, 32-bit floats lose digits, NaN is not itself."""
    if isinstance(read, datetime):
        micros = (read.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
        return written in (micros, micros // 1_000)
    if isinstance(read, float):
        return read == pytest.approx(written, rel=1e-6, nan_ok=True)
    if isinstance(read, (list, tuple)):
        return len(read) == len(written) and all(map(same, written, read))
    return bool(written == (str(read) if isinstance(written, str) else read))


def assert_stored(client: Client, blocks: dict[str, Any]) -> None:
    for table, block in blocks.items():
        names = list(block.columns)
        order = "offset, event_index" if table.startswith("dead") else "kafka_offset, event_index"
        read = client.query(f"SELECT {', '.join(names)} FROM {table} ORDER BY {order}", column_formats={"raw": "bytes"}).result_rows
        written = sorted(zip(*block.columns.values(), strict=True), key=lambda row: row[names.index("event_index")])
        assert len(read) == len(written), table
        for sent, got in zip(written, read, strict=True):
            different = {name: (a, b) for name, a, b in zip(names, sent, got, strict=True) if not same(a, b)}
            assert not different, table


@pytest.mark.parametrize("name", PIPELINE)
def test_examples_come_back_as_they_were(store: ClickHouseStore, client: Client, name: str) -> None:
    lines = [encode_event(event) for event in EXAMPLES.values() if TOPIC_OF[event.type] in PROCESSORS[name].topics]
    blocks = insert(store, name, [*lines, b"{", b"\x00\xff not utf-8"])
    assert set(blocks) == set(PROCESSORS[name].tables)
    assert_stored(client, blocks)


@pytest.mark.parametrize("name", PIPELINE)
def test_a_replay_under_the_same_token_adds_nothing(store: ClickHouseStore, client: Client, name: str) -> None:
    lines = [encode_event(event) for event in EXAMPLES.values() if TOPIC_OF[event.type] in PROCESSORS[name].topics]
    insert(store, name, lines)
    assert_stored(client, insert(store, name, lines))


def test_scores_go_through_the_real_writer_once_and_add_up_in_their_rollup(store: ClickHouseStore, client: Client) -> None:
    lines = [encode_event(event) for event in EXAMPLES.values() if event.type in ("response", "step")]
    for _ in range(2):
        blocks = insert(store, "quality", lines)
        assert_stored(client, blocks)
    names = [name for row in blocks["call_scores"].columns["names"] for name in row]
    summed = client.query("SELECT name, sum(events) FROM rollup_scores_1h GROUP BY name").result_rows
    assert {str(row[0]): int(row[1]) for row in summed} == Counter(names)
    assert {"pii", "injection", "refusal", "relevance", "groundedness", "retrieval_empty"} <= set(names)


def test_texts_that_come_late_are_scored_once_beside_their_call(store: ClickHouseStore, client: Client) -> None:
    question, answer = (orjson.loads(encode_event(EXAMPLES[name])) for name in ("late_question", "late_answer"))
    silent = orjson.loads(encode_event(EXAMPLES["openai_chat"])) | {"call_id": question["call_id"], "input": None, "output": None}
    for name in ("quality", "toxicity"):
        insert(store, name, [orjson.dumps(silent)])
        for _ in range(2):
            blocks = insert(store, name, [orjson.dumps(question), orjson.dumps(answer)], SIGNALS)
        assert blocks["call_scores"].rows == 1
    said = "SELECT name, value FROM scores_of_calls WHERE target_id = {id:String} AND isNotNull(value) AND name IN ('toxicity', 'length')"
    found = {row[0]: row[1] for row in client.query(said, parameters={"id": question["call_id"]}).result_rows}
    assert found["length"] == len("At the depot.")
    assert 0 <= found["toxicity"] < 0.5
    assert client.query("SELECT sum(scored) FROM rollup_scores_1h WHERE name = 'toxicity'").result_rows == [(1,)]


def test_scores_of_a_range_are_completed_by_rows(store: ClickHouseStore, client: Client) -> None:
    """Two processors share the table: what one has stored is none of the other's."""
    lines = [encode_event(event) for event in EXAMPLES.values() if event.type == "response"]
    (block,) = PROCESSORS["quality"].function(batch(record(encode(lines), offset=11), processor="quality"))
    others: dict[str, Any] = {**block.columns, "processor": ["another"] * block.rows}
    first = without(block, {(11, index, "quality") for index in range(3)})
    store.insert(Block("call_scores", others), "another")
    store.insert(first, "first")
    present = store.present("call_scores", key_columns(block), "cluster.topic", TopicPartition("llmtower.calls", 3), (11, 11))
    store.insert(without(block, present), "second")
    found = client.query(
        "SELECT processor, count(), uniqExact(event_index) FROM call_scores GROUP BY processor ORDER BY processor"
    ).result_rows
    assert found == [("another", block.rows, block.rows), ("quality", block.rows, block.rows)]


def test_the_rollups_have_the_same_money(store: ClickHouseStore, client: Client) -> None:
    lines = [encode_event(event) for event in EXAMPLES.values() if event.type == "response"]
    calls = insert(store, "calls", lines)["calls"]
    money = [cost for cost in calls.columns["cost_nano_usd"] if cost is not None]
    for table in ("rollup_1m", "rollup_1h"):
        row = client.query(f"SELECT sum(cost_nano_usd), sum(priced_calls), sum(unpriced_calls) FROM {table}").result_rows[0]
        assert row == (sum(money), len(money), calls.rows - len(money) - calls.columns["cost_status"].count("failed"))


def test_of_a_persons_feedback_the_last_word_counts_and_all_is_kept(store: ClickHouseStore, client: Client) -> None:
    word = orjson.loads(next(encode_event(event) for event in EXAMPLES.values() if event.type == "feedback"))
    second = 10**9
    said = [("u-1", 1.0, 5), ("u-2", 1.0, 2), ("u-1", -1.0, 9), ("u-2", None, 3), ("u-1", 1.0, 7)]
    lines = [
        orjson.dumps(word | {"feedback_id": str(uuid.UUID(int=number)), "user_id": user, "score": score, "at_ns": AT_NS + at * second})
        for number, (user, score, at) in enumerate(said, 1)
    ]
    insert(store, "signals", lines)
    rows = client.query("SELECT user_id, score, versions FROM feedback_current ORDER BY user_id").result_rows
    assert rows == [("u-1", -1.0, 3), ("u-2", None, 2)]
    assert client.query("SELECT count() FROM feedback").result_rows == [(5,)]


def test_hostile_text_comes_back_as_it_was(store: ClickHouseStore, client: Client) -> None:
    texts = ["\x00", "a\x00b", "'; DROP TABLE calls; --", "💥" * 256, "\\N", "\t\n\r", "{x:String}", "\u202e", "\x7f"]
    chat = orjson.loads(encode_event(EXAMPLES["openai_chat"]))
    lines = [orjson.dumps(chat | dict.fromkeys(("request_model", "provider", "user_id", "output"), text)) for text in texts]
    blocks = insert(store, "calls", lines)
    assert blocks["calls"].columns["request_model"] == texts
    assert_stored(client, blocks)


def test_four_hundred_days_in_one_batch_are_stored(store: ClickHouseStore, client: Client) -> None:
    chat = orjson.loads(encode_event(EXAMPLES["openai_chat"]))
    day = 86_400 * 10**9
    lines = [orjson.dumps(chat | {"started_at_ns": AT_NS - number * day}) for number in range(400)]
    random.Random(4).shuffle(lines)
    blocks = insert(store, "calls", lines)
    assert "dead_letters" not in blocks
    assert_stored(client, blocks)


def test_dead_letters_of_any_time_are_stored(store: ClickHouseStore, client: Client) -> None:
    times = [number * 31 * 86_400_000 * 20 - 5 for number in range(200)]
    records = [record(b"{", offset=number)._replace(timestamp_ms=time) for number, time in enumerate(times)]
    for block in PROCESSORS["calls"].function(batch(*records)):
        store.insert(block, "one-token")
    assert client.query("SELECT count() FROM dead_letters").result_rows == [(200,)]
