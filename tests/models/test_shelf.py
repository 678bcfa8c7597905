"""Models in the registry: what is written of them, their stages, and two people at once."""

import asyncio
from datetime import date
from pathlib import Path

import pytest

from llmtower_processors.cli.model_views import price_entry
from llmtower_processors.models.figures import share
from llmtower_processors.pricing.custom import read_prices
from llmtower_schemas.chains import Chains
from llmtower_schemas.keys import encode_key, make_key
from llmtower_schemas.model_store import ModelError, Models
from llmtower_schemas.models import Model
from llmtower_schemas.registry_events import registry_event
from llmtower_schemas.registry_log import MemoryRegistryLog, MemoryTopic

TUNED = Model(model="ft:a:b:c:d", base="a", dataset="failures@2", by="ada")


def models(topic: MemoryTopic) -> Models:
    return Models(MemoryRegistryLog(topic))


def test_a_model_is_registered_staged_and_registered_again() -> None:
    async def run() -> None:
        shelf = models(MemoryTopic())
        assert (await shelf.register(TUNED)).stage == "candidate"
        assert (await shelf.stage(TUNED.model, "production", by="bob", note="gate"))[0] == "candidate"
        assert (await shelf.register(TUNED.model_copy(update={"owner": "carol"}))).stage == "production"
        assert [(one.action, one.stage, one.owner) for _, one in shelf.history(TUNED.model)] == [
            ("register", "candidate", ""),
            ("stage", "production", ""),
            ("register", "production", "carol"),
        ]
        assert shelf.trained_on("failures@2") == [TUNED.model]
        assert shelf.trained_on("failures@1") == []

    asyncio.run(run())


def test_what_does_not_exist_cannot_be_staged_and_nothing_is_written() -> None:
    async def run() -> None:
        topic = MemoryTopic()
        shelf = models(topic)
        with pytest.raises(ModelError, match=r"Nobody registered x\. Register it"):
            await shelf.stage("x", "production", by="", note="")
        await shelf.register(TUNED)
        for model, stage, reason in (
            ("x", "production", "Registered are ft:a:b:c:d"),
            (TUNED.model, "prod", "candidate, production, retired"),
            (TUNED.model, "candidate", "in stage candidate already"),
        ):
            with pytest.raises(ModelError, match=reason):
                await shelf.stage(model, stage, by="", note="")
        assert len(topic.records) == 1

    asyncio.run(run())


def test_a_protected_stage_wants_a_key_to_enter_and_to_leave() -> None:
    """Until a key of the scope promote exists whoever reaches Kafka may, as with labels of prompts."""

    async def run() -> None:
        topic = MemoryTopic()
        protected: dict[str, str] = {"by": "ada", "note": "", "protected": "production, live"}
        first = models(topic)
        await first.register(TUNED)
        await first.stage(TUNED.model, "production", **protected)
        secret, promoting = make_key("default", ["promote"], name="", at_us=1)
        other, reading = make_key("default", ["read"], name="", at_us=1)
        for one in (promoting, reading):
            await MemoryRegistryLog(topic).write(one.key, encode_key(one))
        later = models(topic)
        await later.read()
        for shown, reason in (
            ("", "needs a key with the scope promote"),
            ("llmt_x", "unknown or revoked"),
            (other, "has no scope promote"),
        ):
            with pytest.raises(ModelError, match=f"The stage production is protected.*{reason}"):
                await later.stage(TUNED.model, "retired", shown=shown, **protected)
        assert later.get(TUNED.model).stage == "production"
        await later.stage(TUNED.model, "retired", shown=secret, **protected)
        assert later.get(TUNED.model).key_id == promoting.key_id
        assert (await later.stage(TUNED.model, "candidate", **protected))[0] == "retired", "the others stay open"

    asyncio.run(run())


def test_of_two_who_change_a_model_at_once_the_later_one_is_told() -> None:
    async def run() -> None:
        topic = MemoryTopic()
        first, second = models(topic), models(topic)
        await first.register(TUNED)
        await second.read()
        await first.stage(TUNED.model, "production", by="ada", note="")
        with pytest.raises(ModelError, match="was changed by ada at the same time"):
            await second.stage(TUNED.model, "retired", by="bob", note="")
        assert second.get(TUNED.model).stage == "production"

    asyncio.run(run())


def test_the_audit_trail_says_what_was_done() -> None:
    async def run() -> None:
        topic = MemoryTopic()
        shelf = models(topic)
        await shelf.register(TUNED)
        await shelf.stage(TUNED.model, "production", by="bob", note="gate")
        chains = Chains("model/")
        one, two = chains.learn(topic.records)
        events = [registry_event(one, None), registry_event(two, one)]
        assert [(e.kind, e.action, e.name, e.label, e.version, e.replaced, e.by) for e in events if e] == [
            ("model", "register", TUNED.model, "candidate", "candidate", "", "ada"),
            ("model", "stage", TUNED.model, "production", "production", "candidate", "bob"),
        ]

    asyncio.run(run())


def test_a_share_knows_how_sure_it_is() -> None:
    """Wilson's interval of 5 of 50, as tables give it: 4.35 % to 21.36 %."""
    found = share(5, 50)
    assert found.value == pytest.approx(0.1)
    assert (found.low, found.high) == pytest.approx((0.0435, 0.2136), abs=1e-4)
    assert share(0, 0).value is None
    assert share(0, 20).low == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("usd", [(3.0, 12.5), (0.0, None), (1e-7, 0.15)])
def test_the_printed_price_prices_calls(usd: tuple[float, float | None], tmp_path: Path) -> None:
    """What `register` prints is what the prices file takes: read by its own reader, exact, from that day on."""
    noted = Model(model="ft:gpt-4o-mini:acme:support:x1", provider="openai", input_usd=usd[0], output_usd=usd[1])
    file = tmp_path / "prices.yaml"
    file.write_text(price_entry(noted, date(2026, 11, 26)))
    (entry,) = read_prices(file).matching("openai", [noted.model])
    day_ns = 20_783 * 86_400 * 10**9
    assert (entry.valid_at(day_ns), entry.valid_at(day_ns - 1)) == (True, False)
    assert entry.rates is not None
    assert price_entry(Model(model="x"), date(2026, 11, 26)) == ""
