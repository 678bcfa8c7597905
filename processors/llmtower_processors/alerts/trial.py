"""Try routes before they are needed: a marked message through the senders that alerts use, or only a knock at the address."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from llmtower_processors.alerts.links import links
from llmtower_processors.alerts.model import Notification, SendError
from llmtower_processors.alerts.rules import Route
from llmtower_processors.alerts.send.build import ManySender, UnableSender
from llmtower_schemas.alerts import Severity, Transition, digest

KNOCK_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Tried:
    """How one route did."""

    route: str
    ok: bool
    sentence: str


def example(route: str, severity: Severity, now_us: int, page_url: str) -> Notification:
    """Make a notification that says of itself that it is a test; each try is an incident of its own."""
    key = digest("test", route, now_us)
    told = Transition(
        transition_id=digest(key, "sent"),
        dedup_key=key,
        sequence=1,
        rule="test",
        title="Test of the route, nothing is wrong",
        group={"route": route},
        severity=severity,
        from_state="ok",
        to_state="firing",
        cause="breach",
        value=0.123,
        threshold=0.1,
        unit="ratio",
        sample=1000,
        completeness=1.0,
        window_start_us=now_us - 300_000_000,
        window_end_us=now_us,
        at_us=now_us,
        since_us=now_us - 60_000_000,
        reason="Sent by `llmtower alerts test-route`.",
        routes=(route,),
        notify=True,
    )
    return Notification(told, None, route, links=links(told, page_url))


def ended(notification: Notification, now_us: int) -> Notification:
    """Give the end of the test's incident, so that no pager rings on."""
    told = notification.transition
    over = {"transition_id": digest(told.dedup_key, "ended"), "sequence": 2, "from_state": "firing", "to_state": "resolved"}
    transition = told.model_copy(update=over | {"cause": "recovered", "at_us": now_us, "value": 0.01})
    return Notification(transition, None, notification.route, links=notification.links)


async def try_route(name: str, sender: ManySender, notification: Notification) -> Tried:
    """Send a beginning and an end once each, without retries."""
    began = time.perf_counter()
    try:
        await sender.send(notification)
        await sender.send(ended(notification, notification.transition.at_us + 1_000_000))
    except SendError as error:
        return Tried(name, ok=False, sentence=str(error))
    return Tried(name, ok=True, sentence=f"took a test alert and its end in {time.perf_counter() - began:.1f} s")


async def knock(routes: Mapping[str, Route], senders: Mapping[str, ManySender], addresses: Mapping[str, str]) -> list[Tried]:
    """Say of each route whether it can be built and its host answers; nothing is sent."""
    return [await _knock(name, senders[name], addresses.get(name, "")) for name in routes]


async def _knock(name: str, sender: ManySender, address: str) -> Tried:
    if isinstance(sender, UnableSender):
        return Tried(name, ok=False, sentence=sender.reason)
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return Tried(name, ok=True, sentence="can be built (not sent anything)")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        async with asyncio.timeout(KNOCK_S):
            _, writer = await asyncio.open_connection(parts.hostname, port)
            writer.close()
    except (OSError, TimeoutError) as error:
        return Tried(name, ok=False, sentence=f"{parts.hostname}:{port} does not answer ({type(error).__name__})")
    return Tried(name, ok=True, sentence=f"{parts.hostname}:{port} answers")
