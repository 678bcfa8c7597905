"""The demo's receiver takes what is signed by our worker, and nothing else."""

import asyncio
import io
import time

import httpx
import pytest
from pydantic import SecretStr
from rich.console import Console
from tests.alerts.receiver import notification

from llmtower_processors.alerts.load import load_rules
from llmtower_processors.alerts.model import SendError
from llmtower_processors.alerts.send.webhook import WebhookSender
from llmtower_processors.demo.scenario import PHASES
from llmtower_processors.demo.summary import render_alerts
from llmtower_processors.demo.told import Told, behind, receiving, scenes_told


def test_what_the_worker_sends_arrives_with_how_soon_and_a_digest_counts_as_what_it_holds() -> None:
    with receiving() as inbox:
        environment = inbox.environment()
        url, secret = (SecretStr(environment[f"LLMTOWER_ALERTS__WEBHOOK_{name}"]) for name in ("URL", "SECRET"))
        sender = WebhookSender(url, secret, time.time)
        now_us = time.time_ns() // 1_000
        asyncio.run(sender.send(notification(window_end_us=now_us - 5_000_000)))
        asyncio.run(sender.send_many([notification("a"), notification("b", state="resolved")]))
        assert [(one.firing, one.critical) for one in inbox.told] == [(True, True), (True, True), (False, True)]
        assert inbox.told[0].title == "CRITICAL: Many calls fail (app=chat, project=default)"
        assert inbox.told[0].measured == "Value 43.2 %, level 30 %, from 1,234 events"
        assert 5 <= inbox.told[0].behind_s < 60
        assert [(one.group, one.value, one.message) for one in inbox.told[:2]] == [("chat", "43.2 %", 1), ("a", "43.2 %", 2)]
        assert behind(inbox.told[:1]) == (inbox.told[0].behind_s,) * 2
    assert inbox.secret not in repr(inbox)


def test_what_is_not_signed_is_refused_and_counted() -> None:
    with receiving() as inbox:
        with pytest.raises(SendError, match="answered 401"):
            asyncio.run(WebhookSender(SecretStr(inbox.url), SecretStr("other"), time.time).send(notification()))
        assert httpx.post(inbox.url, content=b"{}", trust_env=False).status_code == 401
        assert inbox.told == []
        assert inbox.refused == 2
    assert behind(inbox.told) is None


def test_of_each_scene_that_a_rule_can_tell_of_it_is_said_how_soon_it_did() -> None:
    def told(rule: str, arrived_s: float, *, firing: bool = True) -> Told:
        return Told(title="", measured="", firing=firing, critical=False, behind_s=1.0, rule=rule, arrived_s=arrived_s)

    began = {"error burst": 100.0, "slow model": 110.0, "toxic answers": 120.0}
    arrived = [
        told("error_rate", 99.0),
        told("unpriced_traffic", 101.0),
        told("error_rate", 107.5),
        told("error_rate", 104.0, firing=False),
    ]
    assert scenes_told(arrived, began) == {"error burst": 7.5, "toxic answers": None}
    assert scenes_told(arrived, {}) == {}
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(render_alerts(arrived, began))
    said = console.export_text()
    assert "error burst: told 7.5 s after it began" in said
    assert "toxic answers: no alert before the demo ended" in said


def test_the_rules_that_scenes_name_are_shipped() -> None:
    assert {rule for phase in PHASES for rule in phase.rules} <= {rule.name for rule in load_rules().active()}
