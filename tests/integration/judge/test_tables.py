"""What the judge asks of the real engine: candidates, picks, texts, spend, and how far it agrees with people."""

import time
import uuid
from collections.abc import Iterator, Sequence
from typing import Any

import clickhouse_connect
import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.judge.world import FAITHFULNESS, HELPFULNESS, RELEVANCE
from tests.processors.batches import record

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.judge.agreement import agreements, kappa
from llmtower_processors.judge.events import score_line
from llmtower_processors.judge.model import APP, Pick, Round, Verdict
from llmtower_processors.judge.sampling import Quota, quota
from llmtower_processors.judge.tables import ClickHouseCalls
from llmtower_processors.migrate import create_database, migrate
from llmtower_processors.pricing import PriceBook
from llmtower_processors.registry import build_processors
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.runtime.model import Batch
from llmtower_schemas.settings import RetentionSettings

pytestmark = pytest.mark.integration

PROCESSORS = build_processors(PriceBook())
NOW_MS = time.time_ns() // 1_000_000
SPAN = (NOW_MS - 3_600_000, NOW_MS)
DAY_NS = 86_400_000_000_000


@pytest.fixture(scope="module")
def options(engine: EngineProcess) -> Iterator[dict[str, Any]]:
    """Client options of a migrated database of this file."""
    password = engine.credentials.password(Role.WRITER)
    address: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value, "password": password}
    database = f"t{uuid.uuid4().hex[:12]}"
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**address, database=database) as client:
            migrate(client, RetentionSettings())
        yield address | {"database": database}
        server.command(f"DROP DATABASE {database}")


@pytest.fixture
def client(options: dict[str, Any]) -> Iterator[Client]:
    """A client; the tables are empty again afterwards."""
    with clickhouse_connect.get_client(**options) as client:
        yield client
        for table in ("calls", "contents", "scores", "feedback", "judge_rounds"):
            client.command(f"TRUNCATE TABLE {table}")


def call(number: int, **more: Any) -> dict[str, Any]:
    return {
        "type": "response",
        "project": "shop",
        "app": "bot",
        "call_id": f"00000000-0000-4000-8000-{number:012d}",
        "request_model": "gpt-4o",
        "provider": "openai",
        "response_id": f"r{number}",
        "trace_id": f"t{number // 2}",
        "started_at_ns": (NOW_MS - 1_800_000 + number) * 1_000_000,
        "duration_us": 1_000,
        "usage": {"input_tokens": 10, "output_tokens": 5},
        "usage_source": "provider",
        "input": [{"role": "system", "content": "be kind"}, {"role": "user", "content": f"question {number}"}],
        "output": f"answer {number}",
    } | more


def local(number: int, value: float, name: str = "relevance") -> dict[str, Any]:
    return {
        "type": "score",
        "project": "shop",
        "app": "bot",
        "score_id": str(uuid.uuid4()),
        "at_ns": NOW_MS * 1_000_000,
        "target_id": call(number)["call_id"],
        "name": name,
        "value": value,
        "started_at_ns": call(number)["started_at_ns"],
    }


def feedback(kind: str, target: str, score: float | None, user: str, *, at_ns: int = NOW_MS * 1_000_000, **more: Any) -> dict[str, Any]:
    said = {"type": "feedback", "project": "shop", "app": "bot", "feedback_id": str(uuid.uuid4()), "at_ns": at_ns}
    return said | {"target_kind": kind, "target_id": target, "score": score, "user_id": user} | more


def store(options: dict[str, Any], events: Sequence[dict[str, Any]]) -> None:
    """Through the processors and the worker's own writer, as records from Kafka."""
    into = ClickHouseStore(options)
    for name, kinds in (("calls", {"response"}), ("signals", {"score", "feedback"})):
        lines = [orjson.dumps(event) for event in events if event["type"] in kinds]
        if lines:
            made = record(b"\n".join(lines))._replace(timestamp_ms=NOW_MS + 900_000)
            for block in PROCESSORS[name].function(Batch(name, "cluster.topic", made.topic, 3, 0, 0, made.timestamp_ms, [made])):
                assert not block.table.startswith("dead_letter")
                into.insert(block, str(uuid.uuid4()))
    into.close()


def test_candidates_are_answers_with_texts_of_others_and_the_nearest_are_taken_first(options: dict[str, Any], client: Client) -> None:
    odd = [
        call(900, app=APP),
        call(901, status="error", error_class="server"),
        call(902, capture="off", input=None, output=None),
        call(903, operation="embeddings"),
        call(904, started_at_ns=(NOW_MS - 7_200_000) * 1_000_000),
        call(905, environment="experiment"),
    ]
    store(options, [*(call(number) for number in range(40)), *odd, *(local(number, number / 40) for number in range(0, 40, 2))])
    tables = ClickHouseCalls(client, "m")
    assert tables.count(RELEVANCE, SPAN) == (40, 20)
    assert tables.count(HELPFULNESS, SPAN) == (40, 0)
    taken = quota(10, population=40, scored=20, random_share=0.5)
    picks = tables.pick(RELEVANCE, SPAN, taken)
    assert {pick.call_id for pick in picks[:5]} == {call(number)["call_id"] for number in (16, 18, 20, 22, 24)}
    assert len({pick.call_id for pick in picks}) == 10
    assert [pick.weight for pick in picks] == [1.0] * 5 + [7.0] * 5
    assert picks == tables.pick(RELEVANCE, SPAN, taken), "the same ones whenever it is asked"
    assert tables.count(HELPFULNESS.model_copy(update={"apps": ("other",)}), SPAN) == (0, 0)
    material = tables.read(picks)
    number = int(picks[0].call_id[-4:])
    assert (material[0].said.question, material[0].said.answer) == (f"question {number}", f"answer {number}")


def test_faithfulness_is_asked_of_answers_with_documents(options: dict[str, Any], client: Client) -> None:
    store(options, [call(1), call(2, retrieved=[{"id": "d", "score": 0.9, "text": "It left."}, {"id": "e"}])])
    tables = ClickHouseCalls(client, "m")
    assert tables.count(FAITHFULNESS, SPAN) == (1, 0)
    (found,) = tables.read(tables.pick(FAITHFULNESS, SPAN, Quota(0, 1, 1)))
    assert found.said.documents == ("It left.",)


def test_a_score_is_found_again_and_money_is_what_the_judges_own_calls_cost(options: dict[str, Any], client: Client) -> None:
    store(options, [call(1), call(2), call(3, app=APP, reported_cost_nano_usd=70), call(4, app=APP, reported_cost_nano_usd=5)])
    tables = ClickHouseCalls(client, "m")
    picks = tables.pick(HELPFULNESS, SPAN, Quota(0, 2, 2))
    lines = [score_line(HELPFULNESS, "m", Verdict(picks[0], 0.25), NOW_MS * 1_000_000)]
    lines.append(score_line(HELPFULNESS, "m", Verdict(picks[1], reason="timeout"), NOW_MS * 1_000_000))
    store(options, [orjson.loads(line.raw) for line in lines])
    assert tables.scored(HELPFULNESS, picks) == {picks[0].call_id, picks[1].call_id}
    assert tables.scored(HELPFULNESS.model_copy(update={"version": "2"}), picks) == set()
    assert tables.spent(SPAN[0]) == 75
    assert tables.spent(NOW_MS) == 0
    row = Round(NOW_MS, "m", "judged", 1_000, 75, 2, 1, 1, 0)
    for _ in range(2):
        tables.record(row, "judge:test:1")
    assert client.query("SELECT model, state, budget_nano_usd, spent_nano_usd, scored FROM judge_rounds").result_rows == [
        ("m", "judged", 1_000, 75, 1)
    ]


def judged(number: int, value: float, weight: float = 1.0) -> dict[str, Any]:
    one = call(number)
    pick = Pick(one["call_id"], "shop", "bot", "production", "gpt-4o", "", "", one["started_at_ns"] // 1_000, weight)
    found: dict[str, Any] = orjson.loads(score_line(HELPFULNESS, "m", Verdict(pick, value), NOW_MS * 1_000_000).raw)
    return found


def test_feedback_finds_its_call_however_it_names_it_and_whenever_it_came(options: dict[str, Any], client: Client) -> None:
    """Before its call, days later, by call, response or trace; changed minds count once, unknown calls and neutral words not at all."""
    early, late = (NOW_MS - 7_200_000) * 1_000_000, NOW_MS * 1_000_000 + DAY_NS // 144
    words = [
        feedback("call_id", call(10)["call_id"], 1, "u1", at_ns=early),
        feedback("response_id", "r12", None, "u1", label="bad", comment="no", correction="yes", at_ns=late),
        feedback("trace_id", "t7", 1, "u1"),
        feedback("call_id", call(16)["call_id"], 1, "u1", at_ns=early),
        feedback("call_id", call(16)["call_id"], -1, "u1"),
        feedback("call_id", call(16)["call_id"], 1, "u2"),
        feedback("trace_id", "t9", -1, "u1"),
        feedback("call_id", call(20)["call_id"], 0, "u1"),
        feedback("call_id", call(999)["call_id"], -1, "u1"),
        feedback("response_id", "unheard of", 1, "u1"),
        feedback("response_id", "r40", -1, "u1"),
    ]
    days_ago = call(40)["started_at_ns"] - 3 * DAY_NS
    store(options, words)
    store(options, [*(call(number) for number in range(10, 22)), call(40, started_at_ns=days_ago)])
    store(options, [judged(number, 1.0 if number != 12 else 0.0) for number in (10, 12, 14, 16, 18, 19, 20)])
    store(options, [judged(40, 1.0) | {"started_at_ns": days_ago}])
    found = client.query("SELECT toUInt32(right(call, 4)), user_id, judge_bad, person_bad FROM judged_feedback ORDER BY 1, 2").result_rows
    assert found == [(10, "u1", 0, 0), (12, "u1", 1, 1), (14, "u1", 0, 0), (16, "u1", 0, 1), (16, "u2", 0, 0), (40, "u1", 0, 1)]
    between = [sum(one.pairs for one in agreements(client, from_ms=NOW_MS - 1_800_000 + number)) for number in (10, 14, 16, 19)]
    assert between == [5, 3, 2, 0], "of 18 and 19, one trace, nobody knows which was meant, also where only 19 is in the range"
    stored = client.query(
        "SELECT count(), countIf(kind = 'feedback' AND comment = 'no' AND correction = 'yes') FROM contents WHERE kind = 'feedback'"
    )
    assert stored.result_rows == [(1, 1)]
    assert client.query("SELECT count() FROM feedback").result_rows == [(len(words),)], "everything that was said is kept"


def test_agreement_is_weighted_kappa(options: dict[str, Any], client: Client) -> None:
    events = []
    for number in range(60):
        bad, disagrees = number % 3 == 0, number % 7 == 0
        events += [call(number), judged(number, 0.0 if bad else 1.0, 1.0 if number % 2 else 4.0)]
        events.append(feedback("response_id", f"r{number}", -1 if bad != disagrees else 1, "u"))
    store(options, events)
    (found,) = agreements(client, from_ms=SPAN[0])
    cells = [0.0] * 4
    for number in range(60):
        bad = number % 3 == 0
        person = bad != (number % 7 == 0)
        cells[(0 if person else 1) if bad else (2 if person else 3)] += 1 if number % 2 else 4
    weight, squares = 30 * 1 + 30 * 4, 30 * 1 + 30 * 16
    expected = kappa((cells[0], cells[1], cells[2], cells[3]), weight**2 / squares)
    assert (found.name, found.version, found.pairs) == ("judge_helpfulness", "1/m", 60)
    assert (found.kappa, found.low, found.high) == pytest.approx(expected)
    assert found.agreed == pytest.approx((cells[0] + cells[3]) / weight)
    assert agreements(client, from_ms=SPAN[0], names=["judge_relevance"]) == []
    assert agreements(client, from_ms=SPAN[0], apps=["other"]) == []
