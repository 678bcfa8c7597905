"""Everything that apprise knows: Slack, Teams, Discord, mail, PagerDuty and a hundred more."""

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, Final

import apprise
from pydantic import SecretStr

from llmtower_processors.alerts.message import digest_of, text, title
from llmtower_processors.alerts.model import Notification, SendError
from llmtower_processors.alerts.send.http import quieten

TIMEOUT_S: Final = 30.0


class AppriseSender:
    """Sends title and text to one apprise address. Apprise tells only yes or no, so no is tried again."""

    def __init__(self, url: SecretStr) -> None:
        logging.getLogger("apprise").setLevel(logging.CRITICAL + 1)  # it writes addresses, and what receivers answer
        quieten("urllib3", "requests", "slack_sdk", "paho")
        self._apprise: Any = apprise.Apprise()
        self._schema = url.get_secret_value().partition(":")[0]
        if not self._apprise.add(url.get_secret_value()):
            raise SendError(f"apprise does not understand the address ({self._schema}://…): see its list of services.")
        for service in self._apprise if "overflow=" not in url.get_secret_value() else ():
            service.overflow_mode = apprise.OverflowMode.SPLIT  # a digest longer than a chat takes would be refused for ever

    async def send(self, notification: Notification) -> None:
        """Tell of one."""
        told = notification.transition
        kind = "success" if told.to_state != "firing" else "failure" if told.severity == "critical" else "warning"
        await self._notify(title(notification), text(notification), kind)

    async def send_many(self, notifications: Sequence[Notification]) -> None:
        """Tell of several as one."""
        found = digest_of(notifications)
        firing = any(one.transition.to_state == "firing" for one in notifications)
        await self._notify(found.title, found.text, "failure" if firing else "success")

    async def tell(self, head: str, body: str) -> None:
        """Tell something that is no alert."""
        await self._notify(head, body, "info")

    async def _notify(self, head: str, body: str, kind: str) -> None:
        try:
            async with asyncio.timeout(TIMEOUT_S):
                taken = await self._apprise.async_notify(title=head, body=body, notify_type=kind, body_format="text")
        except TimeoutError as error:
            raise SendError(f"The {self._schema} service did not answer within {TIMEOUT_S:g} s.") from error
        if not taken:
            raise SendError(f"The {self._schema} service did not take it.")
