"""The evaluator on the real Kafka and the real engine."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from llmtower_processors.alerts.levels import Budget
from llmtower_processors.alerts.listing import alerts, silences
from llmtower_processors.alerts.load import load_rules, parse_rules
from llmtower_processors.alerts.measure import Meter
from llmtower_processors.alerts.model import MemoryRouter
from llmtower_processors.alerts.news import News
from llmtower_processors.alerts.questions import Moment
from llmtower_processors.alerts.rules import Rules
from llmtower_processors.alerts.silences import publish_silence
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.leader import Firing
from llmtower_processors.watermark import Backlog, KafkaBacklog, update_watermarks
from llmtower_schemas.silences import Silence

pytestmark = pytest.mark.integration

RULES = """
rules:
  - name: error_rate
    metric: error_rate
    group_by: [project, app]
    window: 5m
    levels: {warning: {above: 0.1}, critical: {above: 0.4}}
    min_sample: 20
    recover_for: 0s
"""


def firing() -> Firing:
    return Firing(time.time_ns() // 1_000_000, "token")


def test_calls_are_news_and_what_comes_by_the_clock_is_not(place: Callable[[], Any]) -> None:
    async def run() -> None:
        async with place() as it:
            news = News(ClickHouseTables(it.clickhouse))

            def news_at(now_us: int) -> bool:
                news.listen(now_us)
                return news.since(now_us)

            assert not news_at(1)
            it.client.command("INSERT INTO heartbeats (project, producer, at) VALUES ('default', 'p', now64(3))")
            it.client.command("INSERT INTO watermarks (project, at) VALUES ('default', now64(3))")
            assert not news_at(2)
            it.calls(1, failed=0)
            assert news_at(3)
            assert not news_at(4)

    asyncio.run(run())


def test_a_failing_application_is_told_once_and_stands_in_topic_and_tables(place: Callable[[], Any]) -> None:
    async def run() -> None:
        async with place() as it:
            router = MemoryRouter()
            service = it.service(parse_rules(RULES), router)
            await service.fire(firing())
            it.calls(60, failed=30)
            await asyncio.sleep(2)
            await service.fire(firing())
            (told,) = router.told
            assert (told.transition.rule, told.transition.group, told.transition.severity) == (
                "error_rate",
                {"project": "default", "app": "chat"},
                "critical",
            )
            assert (told.transition.value, told.transition.sample, told.transition.threshold) == (0.5, 60, 0.4)
            await asyncio.sleep(2)
            await service.fire(firing())
            assert it.rows("SELECT rule, group_text, state, severity FROM alert_states") == [
                ("error_rate", "app=chat, project=default", "firing", "critical")
            ]
            assert it.rows("SELECT count(), uniqExact(transition_id) FROM alert_events") == [(1, 1)]
            assert it.rows("SELECT route, outcome FROM alert_sends") == [("default", "sent")]
            assert len(router.told) == 1
            (listed,) = alerts(it.client)
            assert (listed.state, listed.rule, listed.group, listed.untold) == ("firing", "error_rate", "app=chat, project=default", ())
            await _silence(it, service)
            await service.resign()

    asyncio.run(run())


async def _silence(it: Any, service: Any) -> None:
    """A silence goes the way of the command line: registry, leader, table."""
    now = time.time_ns() // 1_000
    silence = Silence(silence_id="s1", rule="error*", group={"app": "chat"}, starts_at_us=now, ends_at_us=now + 3_600_000_000, by="me")
    await publish_silence(it.kafka, silence, topic=it.registry)
    await asyncio.sleep(2)
    await service.fire(firing())
    assert [row[:4] for row in silences(it.client)] == [("s1", "silence", "error*", "app=chat")]
    await publish_silence(it.kafka, silence.model_copy(update={"deleted": True}), topic=it.registry)
    await asyncio.sleep(2)
    await service.fire(firing())
    assert silences(it.client) == []


def test_every_shipped_rule_is_answered_by_the_engine(place: Callable[[], Any]) -> None:
    async def run() -> None:
        async with place() as it:
            it.calls(60, failed=30)
            router = MemoryRouter()
            service = it.service(load_rules(), router)
            await service.fire(firing())
            assert service._term is not None
            assert service._term._sight.blind() == {}
            assert {one.transition.rule for one in router.told} >= {"error_rate", "provider_errors"}
            await service.resign()

    asyncio.run(run())


async def _away_from_midnight() -> None:
    """A budget of the day knows nothing of the calls of a moment ago where that was yesterday."""
    through_s = (time.time() + 60) % 86_400
    if through_s < 70:
        await asyncio.sleep(70 - through_s)


def test_experiments_and_the_judges_own_calls_page_nobody_but_cost_money(place: Callable[[], Any], tmp_path: Path) -> None:
    """The shipped rules, and the same with the switch off."""

    def small(budget: Budget | None) -> Budget | None:
        return budget.model_copy(update={"amount": 0.05}) if budget else None

    def money(rules: Rules) -> Rules:
        return rules.model_copy(update={"rules": tuple(rule.model_copy(update={"budget": small(rule.budget)}) for rule in rules.rules)})

    async def told(rules: Rules, it: Any) -> set[tuple[str, str]]:
        router = MemoryRouter()
        service = it.service(rules, router)
        await service.fire(firing())
        assert service._term is not None
        assert service._term._sight.blind() == {}
        await service.resign()
        return {(one.transition.rule, one.transition.group.get("app", "")) for one in router.told}

    async def run() -> None:
        own = tmp_path / "alerts.yaml"
        own.write_text("include_defaults: true\nexcept: {}\n")
        async with place() as it:
            await _away_from_midnight()
            it.calls(60, failed=60, app="try-out", environment="experiment")
            it.calls(60, failed=60, app="llmtower-judge")
            money_alone = {("budget_project", ""), ("budget_app", "try-out"), ("budget_app", "llmtower-judge")}
            assert await told(money(load_rules()), it) == money_alone
            assert {("error_rate", "try-out"), ("error_rate", "llmtower-judge")} <= await told(load_rules(own), it)

    asyncio.run(run())


class NoBacklog:
    """Nothing waits in Kafka."""

    async def read(self) -> list[Backlog]:
        """Give nothing."""
        return []


def test_a_run_of_prompts_test_that_was_killed_is_no_silent_producer_that_pages(place: Callable[[], Any], tmp_path: Path) -> None:
    """From heartbeats by watermarks to the shipped rule's figure, and to the same rule's with the switch off."""
    own = tmp_path / "alerts.yaml"
    own.write_text("include_defaults: true\nexcept: {}\n")

    def figure(rules: Rules, it: Any) -> float | None:
        (rule,) = (rule for rule in rules.rules if rule.name == "producers_silent")
        meter = Meter(ClickHouseTables(it.clickhouse), [rule], period_s=2)
        try:
            return meter.measure([rule], Moment(time.time_ns() // 1_000)).readings[rule.name]["default",].value
        finally:
            meter.close()

    async def run() -> None:
        async with place() as it:
            silent_us = time.time_ns() // 1_000 - 60_000_000
            names = ["project", "producer", "app", "environment", "at"]
            killed = [["default", "p1", "experiment", "experiment", silent_us], ["default", "p2", "llmtower-judge", "", silent_us]]
            for rows, told, counted in ((killed, 0, 2), ([["default", "p3", "chat", "production", silent_us]], 1, 3)):
                it.client.insert("heartbeats", rows, column_names=names)
                (mark,) = await update_watermarks(it.client, cast(KafkaBacklog, NoBacklog()), time.time_ns() // 1_000_000, f"token {told}")
                assert mark.silent_producers == counted, "panels show all"
                assert (figure(load_rules(), it), figure(load_rules(own), it)) == (told, counted)
            at_ms = time.time_ns() // 1_000_000
            it.client.insert("watermarks", [["default", at_ms, at_ms * 1_000, 3]], ["project", "at", "watermark", "silent_producers"])
            assert figure(load_rules(), it) == 3, "rows of before do not say whose they are"

    asyncio.run(run())
