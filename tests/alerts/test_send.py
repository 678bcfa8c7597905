"""Senders against a real HTTP receiver: what arrives, how it is signed, and what is said when it does not."""

import asyncio
import logging
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from pydantic import SecretStr
from tests.alerts.receiver import notification, receiving

from llmtower_processors.alerts.message import digest_of
from llmtower_processors.alerts.model import SendError
from llmtower_processors.alerts.rules import Route
from llmtower_processors.alerts.send.alertmanager import LASTS_S, AlertmanagerSender, alert
from llmtower_processors.alerts.send.build import ManySender, UnableSender, build_senders, routes_of
from llmtower_processors.alerts.send.chat import AppriseSender
from llmtower_processors.alerts.send.http import MOST_WAIT_S, post
from llmtower_processors.alerts.send.webhook import WebhookSender, signature, verify
from llmtower_schemas.settings import AlertSettings

SECRET = SecretStr("k3y")
NOW_S = 1_795_000_000.0


def webhook(url: str, secret: SecretStr | None = SECRET) -> WebhookSender:
    return WebhookSender(SecretStr(url), secret, lambda: NOW_S)


def refusal(sending: Awaitable[Any]) -> SendError:
    async def run() -> None:
        await sending

    with pytest.raises(SendError) as caught:
        asyncio.run(run())
    return caught.value


def test_a_webhook_is_signed_and_carries_its_key() -> None:
    with receiving() as receiver:
        asyncio.run(webhook(receiver.url).send(notification()))
    (request,) = receiver.taken
    header = request.headers["x-llmtower-signature"]
    assert verify(header, "k3y", request.body, NOW_S)
    assert not verify(header, "other", request.body, NOW_S)
    assert not verify(header, "k3y", request.body + b" ", NOW_S)
    assert not verify(header, "k3y", request.body, NOW_S + 301), "an old one cannot be played again"
    assert not verify("", "k3y", request.body, NOW_S)
    assert request.headers["idempotency-key"] == "chat-1"
    assert request.value["dedup_key"] == "key-chat"


def test_the_signature_is_what_any_receiver_can_compute() -> None:
    """Fixed for ever: receivers are written against it. `printf '1.{}' | openssl dgst -sha256 -hmac secret` gives the same."""
    assert signature("secret", b"{}", 1) == "t=1,v1=1122767b193110cfec322b6f199b599edbf608ed087f2d27afb0b97d99523908"


def test_no_log_holds_the_secret_part_of_an_address(caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver, caplog.at_level(logging.DEBUG):
        asyncio.run(webhook(f"{receiver.url}/T0PSECRET").send(notification()))
    assert len(receiver.taken) == 1
    assert "T0PSECRET" not in caplog.text


def test_a_repeat_carries_the_same_key_as_the_first() -> None:
    with receiving() as receiver:
        for again in (False, True):
            asyncio.run(webhook(receiver.url).send(notification(possible_repeat=again)))
        for _ in range(2):
            asyncio.run(webhook(receiver.url).send_many([notification("a"), notification("b")]))
    keys = [request.headers["idempotency-key"] for request in receiver.taken]
    assert keys[0] == keys[1] != keys[2] == keys[3]
    assert [request.value["possible_repeat"] for request in receiver.taken] == [False, True, False, False]
    assert receiver.taken[2].value["kind"] == "digest"


@pytest.mark.parametrize(
    ("status", "retriable"), [(500, True), (503, True), (429, True), (401, True), (404, True), (301, True), (400, False), (422, False)]
)
def test_what_a_receiver_refuses_is_tried_again_unless_it_is_our_body(status: int, retriable: bool) -> None:
    with receiving((status, {"Location": "http://127.0.0.1:9/"})) as receiver:
        error = refusal(webhook(f"{receiver.url}/T0PSECRET").send(notification()))
    assert error.retriable is retriable
    assert str(error) == f"The webhook at 127.0.0.1 answered {status}."
    assert len(receiver.requests) == 1, "redirects are not followed"


@pytest.mark.parametrize("status", [200, 202, 204, 409])
def test_success_and_already_known_are_taken(status: int) -> None:
    with receiving((status, {})) as receiver:
        asyncio.run(webhook(receiver.url).send(notification()))


def test_the_receivers_wish_to_wait_is_read_in_seconds_and_as_a_date_and_is_bounded() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    wishes = ["7", "999999", "soon", date]
    found = []
    for wish in wishes:
        with receiving((429, {"Retry-After": wish})) as receiver:
            found.append(refusal(webhook(receiver.url).send(notification())).retry_after_s)
    assert found[:3] == [7.0, MOST_WAIT_S, None]
    assert found[3] == pytest.approx(60, abs=5)


def test_down_slow_and_wrong_tls_are_one_sentence_without_the_secret_part_of_the_address() -> None:
    with receiving(delay_s=2.0) as receiver:
        slow = refusal(post(f"{receiver.url}/T0PSECRET", b"{}", {}, whom="webhook", timeout_s=0.2))
        tls = refusal(webhook(receiver.url.replace("http:", "https:") + "/T0PSECRET").send(notification()))
    down = refusal(webhook(f"{receiver.url}/T0PSECRET?key=T0PSECRET").send(notification()))
    broken = refusal(webhook("http://[T0PSECRET/").send(notification()))
    assert str(slow) == "The webhook at 127.0.0.1 did not answer within 0.2 s."
    assert str(down) == str(tls) == "The webhook at 127.0.0.1 cannot be reached (ConnectError)."
    for error in (slow, down, tls, broken):
        assert error.retriable
        assert "T0PSECRET" not in f"{error!r} {error}"
        assert error.__cause__ is None or "T0PSECRET" not in repr(error.__cause__)


def test_an_address_on_this_machine_never_goes_through_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with receiving() as receiver:
        asyncio.run(webhook(receiver.url).send(notification()))
    assert len(receiver.taken) == 1


def test_alertmanager_knows_an_incident_by_labels_that_never_change() -> None:
    first = alert(notification(severity="warning"), NOW_S)
    graver = alert(notification(sequence=2, value=0.9), NOW_S)
    over = alert(notification(state="resolved", sequence=3), NOW_S)
    assert first["labels"] == graver["labels"] == over["labels"]
    assert first["labels"] | {"group_app": "chat", "incident": "key-chat", "alertname": "error_rate"} == first["labels"]
    assert (first["annotations"]["severity"], graver["annotations"]["severity"]) == ("warning", "critical")
    assert first["startsAt"] == over["startsAt"] == "2026-11-18T11:04:00.000000Z"
    assert datetime.fromisoformat(first["endsAt"]).timestamp() == pytest.approx(NOW_S + LASTS_S, abs=1)
    assert over["endsAt"] == "2026-11-18T11:07:02.000000Z"
    odd = alert(notification(group={"x y-z": "1"}), NOW_S)
    assert odd["labels"]["group_x_y_z"] == "1"


def test_alertmanager_is_told_again_of_what_fires_also_after_a_new_leader() -> None:
    async def story(url: str) -> None:
        first = AlertmanagerSender(SecretStr(url), lambda: NOW_S)
        await first.send_many([notification("a"), notification("b")])
        await first.send(notification("b", state="resolved", sequence=2))
        await first.resend()
        heir = AlertmanagerSender(SecretStr(f"{url}/api/v2/alerts"), lambda: NOW_S)
        heir.keep(notification("a"))
        await heir.resend()
        heir.forget()
        await heir.resend()

    with receiving() as receiver:
        asyncio.run(story(receiver.url.removesuffix("/hook")))
    assert {request.path for request in receiver.taken} == {"/api/v2/alerts"}
    assert [[one["labels"]["group_app"] for one in request.value] for request in receiver.taken] == [["a", "b"], ["b"], ["a"], ["a"]]


def test_apprise_tells_a_json_service_title_and_text(caplog: pytest.LogCaptureFixture) -> None:
    with receiving() as receiver, caplog.at_level(logging.DEBUG):
        sender = AppriseSender(SecretStr(receiver.url.replace("http:", "json:") + "/T0PSECRET"))
        asyncio.run(sender.send(notification()))
        asyncio.run(sender.send_many([notification("a"), notification("b")]))
    one, many = (request.value for request in receiver.taken)
    assert one["title"].startswith("CRITICAL: Many calls fail")
    assert "Example calls: http" in one["message"]
    assert many["title"] == "Llmtower: 2 alerts (2 firing)"
    assert "T0PSECRET" not in caplog.text


def test_apprise_says_which_kind_of_service_did_not_take_it_and_nothing_more() -> None:
    with receiving((500, {})) as receiver:
        sender = AppriseSender(SecretStr(receiver.url.replace("http:", "json:") + "/T0PSECRET"))
        error = refusal(sender.send(notification()))
    assert str(error) == "The json service did not take it."
    assert error.retriable
    with pytest.raises(SendError, match="apprise does not understand the address"):
        AppriseSender(SecretStr("nothing://T0PSECRET"))


def test_a_route_that_cannot_be_built_says_what_to_do_and_holds_nobody_up() -> None:
    routes = {
        "pager": Route(url_env="PAGER_URL", secret_env="PAGER_KEY"),
        "empty": Route(),
        "odd": Route(kind="apprise", url_env="ODD"),
        "good": Route(kind="alertmanager", url="http://127.0.0.1:9093"),
    }
    found = build_senders(routes, AlertSettings(), {"PAGER_URL": "http://127.0.0.1:1/", "ODD": "nothing://x"})
    reasons = {name: sender.reason for name, sender in found.items() if isinstance(sender, UnableSender)}
    assert set(reasons) == {"pager", "empty", "odd"}
    assert "environment variable PAGER_KEY" in reasons["pager"]
    assert "give it url or url_env" in reasons["empty"]
    assert refusal(found["pager"].send(notification())).retriable


def test_the_settings_webhook_is_the_default_route_unless_the_file_has_one() -> None:
    settings = AlertSettings(webhook_url=SecretStr("http://127.0.0.1:1/"), webhook_secret=SECRET)
    assert set(routes_of({}, settings)) == {"default"}
    own = {"default": Route(kind="alertmanager", url="http://127.0.0.1:2/")}
    assert routes_of(own, settings) == own
    assert isinstance(build_senders({}, settings, {})["default"], WebhookSender)
    assert "k3y" not in repr(settings)


FACTS = (
    "43.2 %",
    "30 %",
    "1,234",
    "98.7 %",
    "app=chat",
    "2026-11-18 11:04:00 UTC",
    "deploy chat 1.4.2",
    "/latency?app=chat",
    "/calls?app=chat",
)
"""Value, threshold, sample, completeness, group, since when, the coincident change, links to the panel and to example calls."""


def test_every_channel_says_every_fact_alone_and_in_a_digest() -> None:
    """Of what a receiver gets, the words: title and text of webhook and apprise, annotations of Alertmanager."""
    texts: dict[str, str] = {}
    with receiving() as receiver:
        senders: dict[str, ManySender] = {
            "webhook": webhook(receiver.url),
            "apprise": AppriseSender(SecretStr(receiver.url.replace("http:", "json:"))),
            "alertmanager": AlertmanagerSender(SecretStr(receiver.url), lambda: NOW_S),
        }
        for name, sender in senders.items():
            for what, told in (("one", [notification()]), ("digest", [notification(), notification("search")])):
                asyncio.run(sender.send(told[0]) if len(told) == 1 else sender.send_many(told))
                texts[f"{name} {what}"] = _words(receiver.taken[-1].value)
    assert len(texts) == 6
    for which, text in texts.items():
        assert [fact for fact in FACTS if fact not in text] == [], which


def _words(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(_words(one) for one in value)
    words = value.get("annotations", value)
    return "\n".join(str(words.get(name, "")) for name in ("title", "summary", "text", "message", "description"))


def test_what_is_longer_than_a_chat_takes_is_told_in_parts_unless_the_address_says_otherwise() -> None:
    address = "discord://123456789012345678/abcdefghijklmnopqrstuvwxyz"
    (service,) = AppriseSender(SecretStr(address))._apprise
    many = digest_of([notification(f"app-{number}") for number in range(10)])
    parts = service._apply_overflow(many.text, title=many.title)
    assert len(parts) > 1
    assert all(len(part["body"]) <= service.body_maxlen for part in parts)
    (own,) = AppriseSender(SecretStr(f"{address}?overflow=truncate"))._apprise
    assert len(own._apply_overflow(many.text, title=many.title)) == 1
