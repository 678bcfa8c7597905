"""Prometheus Alertmanager, API v2: it knows an alert by its labels, so they never change during an incident."""

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from pydantic import SecretStr

from llmtower_processors.alerts.message import amount, text, title
from llmtower_processors.alerts.model import Notification, SendError
from llmtower_processors.alerts.send.http import post

_NOT_A_NAME: Final = re.compile(r"[^a-zA-Z0-9_]")
LASTS_S: Final = 26 * 3_600.0
"""Longer than a day: alerts are told again before, and a leader that changes meanwhile ends nothing."""


class AlertmanagerSender:
    """POSTs to `/api/v2/alerts`; what fires is kept, to be sent again by `resend` (an Alertmanager that restarted knows nothing)."""

    def __init__(self, url: SecretStr, now_s: Callable[[], float]) -> None:
        self._url = url
        self._now_s = now_s
        self._firing: dict[str, Notification] = {}

    async def send(self, notification: Notification) -> None:
        """Tell of one."""
        await self.send_many([notification])

    async def send_many(self, notifications: Sequence[Notification]) -> None:
        """Tell of several at once; Alertmanager groups them itself."""
        await self._post(notifications)
        for one in notifications:
            if one.transition.to_state == "firing":
                self._firing[one.transition.dedup_key] = one
            else:
                self._firing.pop(one.transition.dedup_key, None)

    async def tell(self, head: str, body: str) -> None:
        """Refuse: Alertmanager knows alerts alone."""
        raise SendError("Alertmanager takes alerts only. Choose a webhook or an apprise address.")

    def keep(self, notification: Notification) -> None:
        """Tell of this too from now on: an earlier leader has told it."""
        self._firing.setdefault(notification.transition.dedup_key, notification)

    async def resend(self) -> None:
        """Tell again of all that fires."""
        if self._firing:
            await self._post(list(self._firing.values()))

    def forget(self) -> None:
        """Another leads."""
        self._firing.clear()

    async def _post(self, notifications: Sequence[Notification]) -> None:
        url = self._url.get_secret_value().rstrip("/")
        address = url if url.endswith("/api/v2/alerts") else f"{url}/api/v2/alerts"
        body = orjson.dumps([alert(one, self._now_s()) for one in notifications])
        await post(address, body, {"Content-Type": "application/json", "User-Agent": "llmtower"}, whom="Alertmanager")


def alert(notification: Notification, now_s: float) -> dict[str, Any]:
    """Write one alert of API v2. Severity is an annotation: as a label, an escalation would be another alert beside the first."""
    told = notification.transition
    renotify = notification.rule.renotify if notification.rule else 0.0
    ends = now_s + max(LASTS_S, 2 * renotify) if told.to_state == "firing" else told.at_us / 1e6
    labels = {f"group_{_NOT_A_NAME.sub('_', name)}": value for name, value in told.group.items() if value}
    return {
        "labels": labels | {"alertname": told.rule, "source": "llmtower", "incident": told.dedup_key},
        "annotations": {
            "severity": told.severity,
            "summary": title(notification),
            "description": text(notification),
            "value": amount(told.value, told.unit),
        }
        | ({"runbook_url": told.runbook} if told.runbook else {}),
        "startsAt": _iso(told.since_us / 1e6),
        "endsAt": _iso(max(ends, told.since_us / 1e6 + 1)),
    } | ({"generatorURL": notification.links["panel"]} if "panel" in notification.links else {})


def _iso(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
