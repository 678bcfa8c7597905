"""An alarm is explained from what is stored: the calls, their texts, the sums and the deploys."""

import random
from dataclasses import replace
from datetime import datetime, timedelta

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.drift.conftest import CHAT, NOON, Send, made
from tests.integration.drift.test_compare import DOCTORS, ORDERS, calls

from llmtower_processors.alerts.changes import changes_query
from llmtower_processors.cost import calls_processor
from llmtower_processors.drift.alarms import explain_alarms
from llmtower_processors.drift.explain import explain
from llmtower_processors.drift.judge import Key, Verdict
from llmtower_processors.drift.models import What
from llmtower_processors.drift.slices import read_slice
from llmtower_processors.pricing import PriceBook
from llmtower_processors.runtime.clickhouse import ClickHouseStore
from llmtower_processors.signals import signals_processor
from llmtower_schemas.codec import encode_event
from llmtower_schemas.examples import EXAMPLES
from llmtower_schemas.topics import SIGNALS

pytestmark = pytest.mark.integration

LATE = orjson.loads(encode_event(EXAMPLES["late_question"]))


def ns(at: datetime) -> int:
    return int(at.timestamp()) * 10**9


def store_all(send: Send, store: ClickHouseStore, fresh_at: datetime) -> dict[str, str]:
    """Store 300 calls about orders at noon and 300 of a new version, half about health, later; gives these questions by their ids."""
    chance, store_calls = random.Random(4), calls_processor(PriceBook()).function
    usual, fresh = calls(ORDERS, "1", chance, 300), calls([*ORDERS, *DOCTORS], "2", chance, 300)
    for number, call in enumerate([*usual, *fresh]):
        call["response_model"] = f"gpt-4o-snapshot-{number // 300}"
        call["call_id"] = f"019e70a2-0001-7000-8000-{number:012d}"
    for offset, (lines, at) in enumerate([(usual, NOON), (fresh, fresh_at)]):
        send(lines, offset=offset, at=at)
        started = {"started_at_ns": int(at.timestamp()) * 10**9}
        for block in store_calls(made([orjson.dumps(CHAT | started | call) for call in lines], first=offset, at=at)):
            store.insert(block, f"calls:{offset}")
    return {str(call["call_id"]): str(call["input"]) for call in fresh}


def test_the_new_topic_its_calls_and_what_went_live_are_named(client: Client, send: Send, store: ClickHouseStore) -> None:
    by_id = store_all(send, store, NOON + timedelta(hours=2))
    client.command("INSERT INTO deploys (project, app, at, version) VALUES ('default', 'support-chat', '2026-11-20 13:30:00', '9.9')")

    a = read_slice("app=support-chat", NOON, NOON + timedelta(hours=1))
    b = read_slice("app=support-chat", NOON + timedelta(hours=2), NOON + timedelta(hours=3))
    found = explain(client, a, b, "input")
    assert found.texts == (300, 300)
    assert 0.4 < found.moved.share < 0.9
    assert len(found.examples) == 5
    assert all(any(text in by_id[example] for text in DOCTORS) for example in found.examples)
    assert found.terms[0].before == 0 < found.terms[0].now
    assert {(share.what, share.value) for share in found.shares} >= {("prompt_version", "1"), ("prompt_version", "2")}
    assert [(app, version) for _, app, version in found.deploys] == [("support-chat", "9.9")]
    assert explain(client, b, a, "output").moved.share < 0.1


def test_texts_that_came_apart_from_their_calls_are_read(client: Client, store: ClickHouseStore) -> None:
    chance = random.Random(6)
    for offset, (texts, at) in enumerate([(ORDERS, NOON), ([*ORDERS, *DOCTORS], NOON + timedelta(hours=2))]):
        said = {
            f"019e70a2-0002-7000-8000-{number:012d}": f"{chance.choice(texts)}, {chance.choice(texts)}"
            for number in range(300 * offset, 300 * offset + 300)
        }
        lines = [
            orjson.dumps(
                LATE | {"content_id": call, "call_id": call, "at_ns": ns(at), "input": {"role": "user", "content": text}, "app": "apart"}
            )
            for call, text in said.items()
        ]
        batch = replace(made(lines, first=offset, at=at), topic=SIGNALS, processor="signals")
        for block in signals_processor().function(batch):
            store.insert(block, f"signals:{block.table}:{offset}")
    a, b = (read_slice("app=apart", NOON + timedelta(hours=hours), NOON + timedelta(hours=hours + 1)) for hours in (0, 2))
    found = explain(client, a, b, "input")
    assert found.texts == (300, 300)
    assert 0.4 < found.moved.share < 0.95
    assert all(any(text in said[example] for text in DOCTORS) for example in found.examples)
    named = read_slice("app=apart,model=gpt-4o", NOON, NOON + timedelta(hours=1))
    assert explain(client, named, b, "input").texts == (0, 300), "of a model are the texts of its calls, and there are none"


def test_texts_that_came_apart_belong_to_their_environment(client: Client, store: ClickHouseStore) -> None:
    """Production asks about orders, staging about health, in the same hour."""
    for offset, (environment, texts) in enumerate([("production", ORDERS), ("staging", DOCTORS)]):
        lines = [
            orjson.dumps(
                LATE
                | {"content_id": call, "call_id": call, "at_ns": ns(NOON), "app": "two", "environment": environment}
                | {"input": {"role": "user", "content": texts[number % len(texts)]}}
            )
            for number in range(40)
            for call in [f"019e70a2-0003-7000-8000-{40 * offset + number:012d}"]
        ]
        for block in signals_processor().function(replace(made(lines, first=offset, at=NOON), topic=SIGNALS, processor="signals")):
            store.insert(block, f"two:{block.table}:{offset}")
    a, b = (read_slice(f"app=two,environment={environment}", NOON, NOON + timedelta(hours=1)) for environment in ("production", "staging"))
    assert explain(client, a, b, "input").texts == (40, 40)
    assert explain(client, a, replace(b, where={"app": "two"}), "input").texts == (40, 80)


def test_an_alarm_is_explained_once_an_hour_by_ids_and_shares(client: Client, send: Send, store: ClickHouseStore) -> None:
    tomorrow = NOON + timedelta(days=1)
    by_id = store_all(send, store, tomorrow)
    went_live = "('default', 'support-chat', 'production', '2026-11-21 11:30:00', '9.9')"
    client.command(f"INSERT INTO deploys (project, app, environment, at, version) VALUES {went_live}")
    key = Key("default", "support-chat", "production", "gpt-4o", "support", "2", "input", "hashed-words@1:256")
    far = Verdict("drift", "", 9.0, 2.0, 0.4, 300, 3_000, 200.0, 1.0, 0.3)
    alarms = [(What(key, 10, name, "other versions"), far) for name in ("length", "embedding")]
    calm = (What(key._replace(direction="output"), 10, "embedding", "trailing"), replace(far, status="ok"))
    end = int(tomorrow.timestamp()) + 600
    assert explain_alarms(client, [*alarms, calm], end, "a") == 1
    assert explain_alarms(client, alarms, end, "a") == explain_alarms(client, alarms, end + 3_000, "b") == 0
    names = "direction, metric, moved, examples, texts_before, texts_now, characters_before, shares, deploys"
    (row,) = client.query(f"SELECT {names} FROM drift_explanations").result_rows
    found = dict(zip(names.split(", "), row, strict=True))
    assert (found["direction"], found["metric"], found["texts_before"], found["texts_now"]) == ("input", "embedding", 300, 300)
    assert 0.4 < found["moved"] < 0.9
    assert 20 < found["characters_before"] < 80
    assert len(found["examples"]) == 5
    assert all(any(text in by_id[example] for text in DOCTORS) for example in found["examples"])
    changed = {("prompt_version", "1", 1.0, 0.0), ("prompt_version", "2", 0.0, 1.0)}
    changed |= {("response_model", "gpt-4o-snapshot-0", 1.0, 0.0), ("response_model", "gpt-4o-snapshot-1", 0.0, 1.0)}
    assert {tuple(share.values()) for share in found["shares"]} == changed
    assert found["deploys"] == ["support-chat 9.9"]
    assert explain_alarms(client, alarms, end + 3_601, "c") == 1, "an alarm that lasts is explained anew"

    query = changes_query((end + 60) * 1_000_000)
    found_changes = client.query(query.sql, parameters=dict(query.parameters)).result_rows
    told = {kind: what for kind, _, app, what, _ in found_changes if app == key.app}
    share, example = f"{100 * found['moved']:.0f} % lie elsewhere", f"such as call {found['examples'][0]}"
    assert told["drift"] == f"of embedding (input, gpt-4o, support, 2), {share}, {example}"
    assert told["snapshot"] == "gpt-4o → gpt-4o-snapshot-1"
    assert (told["deploy"], told["prompt"]) == ("support-chat 9.9", "support 2")


def test_a_lasting_alarm_is_a_change_only_when_it_begins(client: Client) -> None:
    """Explanations of four hours, then after more than a day again; of another segment within it."""
    begun = int(NOON.timestamp())
    rows = [["default", "shop", "input", "embedding", begun + hour * 3_600] for hour in (0, 1, 2, 3, 40, 41)]
    rows.append(["default", "shop", "output", "length", begun + 7_000])
    client.insert("drift_explanations", rows, ["project", "app", "direction", "metric", "at"])

    def told(at: int) -> list[tuple[str, int]]:
        query = changes_query(at * 1_000_000)
        found = client.query(query.sql, parameters=dict(query.parameters)).result_rows
        return sorted((what, (int(when) // 1_000_000 - begun)) for kind, _, _, what, when in found if kind == "drift")

    first, other, again = ("of embedding (input)", 0), ("of length (output)", 7_000), ("of embedding (input)", 40 * 3_600)
    assert [told(begun + seconds) for seconds in (-1, 60, 7_200)] == [[], [first], [first, other]]
    assert [told(begun + seconds) for seconds in (7_201, 10_801)] == [[other]] * 2, "two hours after it began it is no news"
    assert [told(begun + hours * 3_600) for hours in (20, 41)] == [[], [again]]
