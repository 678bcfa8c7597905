"""Commands as a user types them, on the real Kafka and the real engine: what they print, and what they leave behind."""

import asyncio
import csv
import io
import json
import re
import subprocess
import sys

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from tests.integration.cli.conftest import Command

from llmtower_schemas.codec import decode
from llmtower_schemas.events import DeployEvent
from llmtower_schemas.migrations import migrations
from llmtower_schemas.topics import SIGNALS, TOPICS

pytestmark = pytest.mark.integration


def test_migrate_says_first_what_it_would_do(command: Command) -> None:
    code, out, _ = command("migrate", "--dry-run")
    assert code == 0
    assert all(f"-- {found.number:04} {found.name}\n" in out for found in migrations())
    assert out.endswith(f"-- {len(migrations())} migration(s) pending, 0 retention change(s)\n")
    code, out, _ = command("query", "SELECT count() FROM system.tables WHERE database = currentDatabase()", "--format", "csv")
    assert (code, out.splitlines()[1:]) != (0, ["1"]), "a dry run creates nothing"
    code, out, _ = command("migrate")
    assert (code, out.splitlines()[0]) == (0, "applying 0001 calls")
    assert command("migrate") == (0, "The tables are current.\n", "")
    assert command("migrate", "--dry-run")[1] == "-- 0 migration(s) pending, 0 retention change(s)\n"


def test_a_command_that_inserts_loads_no_pandas(command: Command) -> None:
    """`migrate` writes its books; the driver alone would load pandas for that, in the worker too."""
    migrate = "from llmtower_processors.cli.app import build; build()(['migrate'], standalone_mode=False)"
    code = f"import sys; {migrate}; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.splitlines()[-1] == "False", done.stderr


def test_topics_say_first_what_they_would_do(command: Command) -> None:
    command("topics", "create")
    assert command("topics", "create") == (0, "created: nothing, all are there\n", "")
    assert command("topics", "create", "--dry-run") == (0, "would create: nothing\n", "")
    assert command("topics", "check") == (0, "0 difference(s)\n", "")


def test_a_result_is_printed_for_people_and_for_programs(command: Command) -> None:
    command("migrate")
    sql = "SELECT 'a \"b\", c' AS text, toDateTime(0, 'UTC') AS at, CAST(NULL AS Nullable(Int64)) AS cost, 7 AS n"
    code, out, _ = command("query", sql)
    assert code == 0
    assert re.search(r"text +at +cost +n", out)
    assert re.search(r'a "b", c +1970-01-01 00:00:00(\+00:00)? +unknown +7', out), "unknown is not 0"
    (row,) = map(json.loads, command("query", sql, "--format", "json")[1].splitlines())
    assert (row["text"], row["cost"], row["n"]) == ('a "b", c', None, 7)
    head, row = csv.reader(io.StringIO(command("query", sql, "--format", "csv")[1]))
    assert (head, row[0], row[3]) == (["text", "at", "cost", "n"], 'a "b", c', "7")


def test_a_wrong_statement_is_one_sentence(command: Command) -> None:
    command("migrate")
    code, out, err = command("query", "SELECT nothing FROM calls")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"ClickHouse says: .*\n", err)


def test_a_deploy_is_marked(command: Command, settings: dict[str, str]) -> None:
    command("topics", "create")
    version = settings["LLMTOWER_CLICKHOUSE__DATABASE"]
    words = [sys.executable, "-m", "llmtower_processors.cli", "mark", "deploy", "--app", "bot", "--version", version, "--note", "why"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, f"marked: bot {version} in production\n"), done.stderr
    (event,) = [event for event in asyncio.run(_events(settings["LLMTOWER_KAFKA__BOOTSTRAP_SERVERS"])) if event.version == version]
    assert (event.app, event.environment, event.note, event.project) == ("bot", "production", "why", "default")


async def _events(bootstrap: str) -> list[DeployEvent]:
    partitions = [TopicPartition(SIGNALS, number) for number in range(TOPICS[SIGNALS].partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        found = []
        while any([await consumer.position(partition) < end for partition, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [event for record in records for event in decode(record.value or b"") if isinstance(event, DeployEvent)]
    return found


LETTER = """
INSERT INTO {table} ({columns}incarnation, topic, partition, offset, event_index, at)
SELECT {values}'c.t', '{topic}', 0, number, 0, now64(3) FROM numbers(2)
"""


def test_dead_letters_are_listed_shown_and_sent_again_once(command: Command, kafka: str, topic_prefix: str) -> None:
    topic = f"{topic_prefix}calls"
    asyncio.run(_create(kafka, topic))
    command("migrate")
    assert command("dead-letters", "list") == (0, "No dead letters: every event was stored.\n", "")
    assert command("query", "SELECT count() FROM dead_letters", "--format", "csv")[1] == "count()\n0\n"
    _write(topic, "dead_letters", "processor, project, app, reason, bytes, ", "'calls', 'default', 'bot', 'no JSON', 9, ")
    _write(topic, "dead_letter_bytes", "raw, ", "'{\"private', ")
    code, out, _ = command("dead-letters", "list")
    assert code == 0
    assert re.search(r"default +bot +no JSON +2 +18 ", out)
    assert out.endswith("2 dead letter(s), 0 sent again.\n")
    shown = command("dead-letters", "show", "--app", "bot", "--limit", "1")[1]
    assert f"{topic}:0:" in shown
    assert "private" not in shown
    assert "private" in command("dead-letters", "show", f"{topic}:0:1:0", "--raw")[1]
    assert command("dead-letters", "replay", "--app", "other")[1] == "0 sent again and marked.\n"
    assert command("dead-letters", "replay", "--app", "bot")[1] == "2 sent again and marked.\n"
    assert command("dead-letters", "replay")[1] == "0 sent again and marked.\n"
    assert command("dead-letters", "list")[1].endswith("2 dead letter(s), 2 sent again.\n")
    code, out, err = command("dead-letters", "show", f"{topic}:0:99:0")
    assert (code, out) == (1, "")
    assert f"{topic}:0:99:0" in err


async def _create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, 1, 1)])
    await admin.close()


def _write(topic: str, table: str, columns: str, values: str) -> None:
    import clickhouse_connect

    from llmtower_processors.connection import load_settings

    with clickhouse_connect.get_client(**load_settings(role="writer").clickhouse.client_options()) as client:
        client.command(LETTER.format(topic=topic, table=table, columns=columns, values=values))
