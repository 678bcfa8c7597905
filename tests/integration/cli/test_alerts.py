"""`llmtower alerts silence`, `ack`, `silences` and `unsilence` on the real Kafka and engine, the evaluator's half in between."""

import asyncio
import time
import uuid
from typing import Any

import clickhouse_connect
import pytest
from tests.integration.cli.conftest import Command

from llmtower_dashboards.web.silencing import KafkaSilencer
from llmtower_processors.alerts.rows import SilenceRecord, silence_block
from llmtower_processors.alerts.silences import KafkaSilences, Silences
from llmtower_schemas.settings import KafkaSettings

pytestmark = pytest.mark.integration


@pytest.fixture
def rule() -> str:
    """A rule that no other test has: the topic is everybody's."""
    return f"rule_{uuid.uuid4().hex[:8]}"


def heard(settings: dict[str, str], rule: str) -> list[SilenceRecord]:
    """Give what the evaluator hears of the rule, in order."""

    async def poll() -> list[SilenceRecord]:
        feed = KafkaSilences(KafkaSettings(bootstrap_servers=settings["LLMTOWER_KAFKA__BOOTSTRAP_SERVERS"]))
        try:
            return await feed.poll()
        finally:
            await feed.close()

    found: list[SilenceRecord] = []
    ours: set[str] = set()
    for record in asyncio.run(poll()):
        ours |= {record.silence.silence_id} if record.silence.rule.startswith(rule) else set()
        found += [record] if record.silence.silence_id in ours else []
    return found


def test_silence_ack_and_end(command: Command, settings: dict[str, str], rule: str) -> None:
    command("topics", "create")
    command("migrate")
    code, said, _ = command("alerts", "silence", f"{rule}*", "--group", "app=chat", "--for", "2h", "--comment", "load test", "--by", "anna")
    assert code == 0
    silenced = said.partition(":")[0]
    assert f"{silenced}: {rule}* is silenced until" in said
    code, said, _ = command("alerts", "ack", rule, "--by", "anna")
    assert code == 0
    acknowledged = said.partition(":")[0]
    assert f"{rule} is acknowledged until" in said

    records = heard(settings, rule)
    assert [(one.silence.silence_id, one.silence.kind) for one in records] == [(silenced, "silence"), (acknowledged, "acknowledge")]
    known, now_us = Silences(records), time.time_ns() // 1_000
    assert [known.covering(rule, {"app": app}, now_us) for app in ("chat", "search")] == [records[0].silence, records[1].silence]
    assert known.covering(rule, {"app": "chat"}, now_us + 2 * 3_600_000_000) == records[1].silence

    code, _, told = command("alerts", "unsilence", f"{silenced}-not")
    assert (code, f"No silence has the id {silenced}-not, so nothing was ended." in told.replace("\n", " ")) == (1, True)
    assert len(heard(settings, rule)) == 2
    for _ in range(2):
        code, said, _ = command("alerts", "unsilence", silenced)
        assert (code, said.strip()) == (0, f"{silenced} is over.")
    assert len(heard(settings, rule)) == 3, "ended once"
    page = KafkaSilencer(KafkaSettings(bootstrap_servers=settings["LLMTOWER_KAFKA__BOOTSTRAP_SERVERS"]))
    ended = records[0].silence.model_copy(update={"deleted": True})
    assert [asyncio.run(page.find(one)) for one in (silenced, acknowledged, rule)] == [ended, records[1].silence, None]
    assert Silences(heard(settings, rule)).covering(rule, {"app": "chat"}, now_us) == records[1].silence


def test_silences_lists_what_the_evaluator_has_written(command: Command, settings: dict[str, str], rule: str) -> None:
    command("topics", "create")
    command("migrate")
    command("alerts", "silence", f"{rule}-listed", "--group", "app=chat", "--comment", "load test", "--by", "anna")
    names = {"host": "HOST", "port": "PORT", "username": "USER", "password": "PASSWORD", "database": "DATABASE"}
    address: dict[str, Any] = {name: settings[f"LLMTOWER_CLICKHOUSE__{variable}"] for name, variable in names.items()}
    with clickhouse_connect.get_client(**address) as client:
        for record in heard(settings, rule):
            columns = silence_block(record).columns
            client.insert("silence_events", list(columns.values()), column_names=list(columns), column_oriented=True)
    code, said, _ = command("alerts", "silences")
    assert code == 0
    (line,) = (line for line in said.splitlines() if f"{rule}-listed" in line)
    for word in ("silence", "app=chat", "anna", "load test"):
        assert word in line
