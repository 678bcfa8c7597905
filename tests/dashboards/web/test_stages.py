"""Stages of models on the page: what is offered, who may move, what a click of an older page does."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.macros import Frame
from llmtower_dashboards.registry import PANELS
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.shelf import LogShelf
from llmtower_dashboards.web.stages import PANEL, moved, registered
from llmtower_dashboards.web.state import View
from llmtower_schemas.chains import Chains
from llmtower_schemas.keys import ApiKey, encode_key, make_key
from llmtower_schemas.model_store import Models
from llmtower_schemas.models import PREFIX, Model
from llmtower_schemas.registry_events import registry_event
from llmtower_schemas.registry_log import MemoryRegistryLog, MemoryTopic

NOW = datetime(2026, 5, 4, 12, tzinfo=UTC)
LOOK = Look("/models", View(), Frame(NOW - timedelta(hours=1), NOW), NOW)
MODEL = "ft:gpt-4o:acme::1"


@pytest.fixture
def topic() -> MemoryTopic:
    """One registered model, a candidate."""
    topic = MemoryTopic()
    asyncio.run(Models(MemoryRegistryLog(topic)).register(Model(model=MODEL, by="ada")))
    return topic


def move(topic: MemoryTopic, *what: object, key_id: str = "", open_moves: bool = True) -> str:
    shelf = LogShelf(lambda: MemoryRegistryLog(topic), open_moves=open_moves)
    return asyncio.run(moved(shelf, json.dumps(what), key_id=key_id))


def history(topic: MemoryTopic) -> list[tuple[str, str, str]]:
    async def read() -> list[tuple[str, str, str]]:
        models = Models(MemoryRegistryLog(topic))
        await models.read()
        return [(one.action, one.stage, one.by) for _, one in models.history(MODEL)]

    return asyncio.run(read())


def lock(topic: MemoryTopic) -> ApiKey:
    """Make a key of the scope promote: from now on a move needs one."""
    _, key = make_key("default", ("promote",), name="", at_us=1)
    asyncio.run(MemoryRegistryLog(topic).write(key.key, encode_key(key)))
    return key


def test_each_row_offers_the_other_stages_and_asks_before_it_moves() -> None:
    panel = PANELS[PANEL]
    row: dict[str, Any] = {"model": "<b>m</b>", "stage": "production", "calls": 3}
    html = registered(panel, Answer(panel.columns, [[row.get(column.name) for column in panel.columns]], 1.0, ""), LOOK)
    assert html.count('data-do="stage"') == 2
    assert "to candidate</button>" in html
    assert "to retired</button>" in html
    assert "to production</button>" not in html
    assert 'data-confirm="Move &lt;b&gt;m&lt;/b&gt; from stage production to retired?"' in html
    assert "<b>" not in html


def test_a_move_is_written_with_who_did_it_and_becomes_a_row_of_the_audit_trail(topic: MemoryTopic) -> None:
    assert move(topic, MODEL, "production", "candidate") == f"{MODEL} is in stage production."
    assert history(topic) == [("register", "candidate", "ada"), ("stage", "production", "live page")]
    chains = Chains(PREFIX)
    (*_, entry) = chains.learn(topic.records)
    event = registry_event(entry, chains.before(entry))
    assert event is not None
    assert (event.action, event.version, event.by) == ("stage", "production", "live page")


def test_what_somebody_else_moved_meanwhile_is_not_overwritten(topic: MemoryTopic) -> None:
    move(topic, MODEL, "production", "candidate")
    assert "is in stage production, not in candidate" in move(topic, MODEL, "retired", "candidate")
    assert len(history(topic)) == 2


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (("nobody", "production", "candidate"), "Nobody registered nobody"),
        ((MODEL, "best", "candidate"), "'best' is no stage"),
        ((MODEL, "candidate", "candidate"), "in stage candidate already"),
        ((MODEL,), "older page"),
    ],
)
def test_what_cannot_be_done_is_said_and_nothing_is_written(topic: MemoryTopic, what: tuple[str, ...], said: str) -> None:
    assert said in move(topic, *what)
    assert len(history(topic)) == 1


def test_a_key_is_wanted_once_there_is_one_and_always_beyond_this_machine(topic: MemoryTopic) -> None:
    wanted = (MODEL, "production", "candidate")
    assert "key of the scope promote" in move(topic, *wanted, open_moves=False)
    key = lock(topic)
    assert "key of the scope promote" in move(topic, *wanted)
    assert len(history(topic)) == 1
    assert move(topic, *wanted, key_id=key.key_id) == f"{MODEL} is in stage production."
    chains = Chains(PREFIX)
    *_, entry = chains.learn(topic.records)
    event = registry_event(entry, chains.before(entry))
    assert event is not None
    assert (event.by, event.key_id) == ("live page", key.key_id)


@pytest.mark.parametrize("open_moves", [True, False])
def test_a_key_that_was_revoked_since_the_page_was_opened_moves_nothing(topic: MemoryTopic, open_moves: bool) -> None:
    key = lock(topic)
    lock(topic)
    revoked = key.model_copy(update={"revoked_at_us": 2})
    asyncio.run(MemoryRegistryLog(topic).write(revoked.key, encode_key(revoked)))
    said = move(topic, MODEL, "production", "candidate", key_id=key.key_id, open_moves=open_moves)
    assert "key of the scope promote" in said
    assert len(history(topic)) == 1


def test_a_registry_that_cannot_be_reached_is_said(topic: MemoryTopic) -> None:
    topic.reachable = False
    assert "unreachable" in move(topic, MODEL, "production", "candidate")
