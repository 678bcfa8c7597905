"""Everything that apprise knows: Slack, Teams, Discord, mail, PagerDuty and a hundred more."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import apprise
from pydantic import SecretStr

from llmtower_processors.alerts.message import digest_of, text, title
from llmtower_processors.alerts.model import Notification, SendError
from llmtower_processors.alerts.send.http import quieten

TIMEOUT_S: Final = 30.0
KEYED: Final = {"pagerduty": "dedup", "incidentio": "dedup", "opsgenie": "alias", "splunk": "entity_id", "victorops": "entity_id"}
"""Pagers, by the scheme of their address, and its parameter that names an incident: told twice it is one, and its end closes it."""


class AppriseSender:
    """Sends title and text to one apprise address. Apprise tells only yes or no, so no is tried again.

    A pager is told of every incident by itself, under its key: a digest would be an incident more, which nothing ends.
    """

    def __init__(self, url: SecretStr) -> None:
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it writes addresses, and what receivers answer
        quieten("urllib3", "requests", "slack_sdk", "paho")
        self._url = url
        self._schema = url.get_secret_value().partition(":")[0].lower()
        self._apprise = self._service(url.get_secret_value())
        self._taken: set[str] = set()
        """Of several that a pager is told one after another: those it took before one failed."""

    async def send(self, notification: Notification) -> None:
        """Tell of one."""
        told = notification.transition
        kind = "success" if told.to_state != "firing" else "failure" if told.severity == "critical" else "warning"
        service = self._service(keyed(self._url.get_secret_value(), told.dedup_key)) if self._schema in KEYED else self._apprise
        await self._notify(service, title(notification), text(notification), kind)

    async def send_many(self, notifications: Sequence[Notification]) -> None:
        """Tell of several as one; a pager of each."""
        if self._schema in KEYED:
            await self._one_by_one(notifications)
            return
        found = digest_of(notifications)
        firing = any(one.transition.to_state == "firing" for one in notifications)
        await self._notify(self._apprise, found.title, found.text, "failure" if firing else "success")

    async def tell(self, head: str, body: str) -> None:
        """Tell something that is no alert."""
        await self._notify(self._apprise, head, body, "info")

    async def _one_by_one(self, notifications: Sequence[Notification]) -> None:
        for one in notifications:
            if one.transition.transition_id not in self._taken:
                await self.send(one)
                self._taken.add(one.transition.transition_id)
        self._taken.clear()

    def _service(self, url: str) -> Any:
        service: Any = apprise.Apprise()
        if not service.add(url):
            raise SendError(f"apprise does not understand the address ({self._schema}://…): see its list of services.")
        for one in service if "overflow=" not in url else ():
            one.overflow_mode = apprise.OverflowMode.SPLIT  # a digest longer than a chat takes would be refused for ever
        return service

    async def _notify(self, service: Any, head: str, body: str, kind: str) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                taken = await service.async_notify(title=head, body=body, notify_type=kind, body_format="text")
        except TimeoutError as error:
            raise SendError(f"The {self._schema} service did not answer within {TIMEOUT_S:g} s.") from error
        if not taken:
            raise SendError(f"The {self._schema} service did not take it.")


def keyed(url: str, key: str) -> str:
    """Name the incident in a pager's address, and let an end close it; what the address says itself stays."""
    own = parse_qs(urlsplit(url).query, keep_blank_values=True)
    wanted = {KEYED[urlsplit(url).scheme.lower()]: key, "action": "map"}
    added = "&".join(f"{name}={value}" for name, value in wanted.items() if name not in own)
    return f"{url}{'&' if '?' in url else '?'}{added}" if added else url
