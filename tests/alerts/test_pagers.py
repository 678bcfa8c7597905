"""Pagers by apprise: an incident is one incident there, whoever tells it and however often, and its end closes it."""

import asyncio

import apprise
import pytest
from apprise.plugins import pagerduty
from pydantic import SecretStr
from tests.alerts.receiver import notification, receiving

from llmtower_processors.alerts.model import SendError
from llmtower_processors.alerts.send.chat import KEYED, AppriseSender, keyed

ADDRESS = "pagerduty://A1BRTD4JD@TIiajkdnlazkcOXrIdevi7F/tower/alerts"
TAKEN: tuple[int, dict[str, str]] = (202, {})
ADDRESSES = [ADDRESS, "incidentio://apikey/source", "opsgenie://apikey-1234-5678", "splunk://route@apikey", "victorops://route@apikey/x"]


def test_pagerduty_is_told_of_an_incident_under_its_key_and_its_end_closes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(*[TAKEN] * 3) as receiver:
        monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, pagerduty.PagerDutyRegion.US, receiver.url)
        begun = notification(severity="warning")
        for told in (begun, notification(possible_repeat=True), notification(sequence=2, state="resolved")):
            asyncio.run(AppriseSender(SecretStr(ADDRESS)).send(told))  # each time by a leader that knows nothing of the one before
    found = [(one.value["event_action"], one.value["dedup_key"]) for one in receiver.taken]
    assert found == [("trigger", "key-chat"), ("trigger", "key-chat"), ("resolve", "key-chat")]
    assert [one.value["payload"]["severity"] for one in receiver.taken[:2]] == ["warning", "critical"]
    assert receiver.taken[0].value["payload"]["summary"].startswith("WARNING: Many calls fail")


def test_a_pager_gets_no_digest_and_hears_nothing_twice_when_it_fails_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    many = [notification("a"), notification("b", state="resolved"), notification("c")]
    with receiving(TAKEN, (500, {}), TAKEN, TAKEN) as receiver:
        monkeypatch.setitem(pagerduty.PAGERDUTY_API_LOOKUP, pagerduty.PagerDutyRegion.US, receiver.url)

        async def story() -> None:
            sender = AppriseSender(SecretStr(ADDRESS))
            with pytest.raises(SendError, match="The pagerduty service did not take it"):
                await sender.send_many(many)
            await sender.send_many(many)

        asyncio.run(story())
    found = [(one.value["event_action"], one.value["dedup_key"]) for one in receiver.requests]
    assert found == [("trigger", "key-a"), ("resolve", "key-b"), ("resolve", "key-b"), ("trigger", "key-c")]


@pytest.mark.parametrize("address", ADDRESSES)
def test_apprise_reads_the_key_in_the_address_of_every_pager(address: str) -> None:
    scheme = address.partition(":")[0]
    service = apprise.Apprise.instantiate(keyed(address, "k-1"))
    assert [getattr(service, name) for name in (KEYED[scheme], "action")] == ["k-1", "map"]


def test_every_pager_is_tried() -> None:
    assert {address.partition(":")[0] for address in ADDRESSES} == set(KEYED)


def test_what_the_address_says_itself_stays() -> None:
    assert keyed(f"{ADDRESS}?action=trigger&dedup=mine", "k-1") == f"{ADDRESS}?action=trigger&dedup=mine"
    assert keyed(f"{ADDRESS}?image=no", "k-1") == f"{ADDRESS}?image=no&dedup=k-1&action=map"
