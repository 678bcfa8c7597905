"""The generic webhook: typed JSON, signed, with a key by which a receiver knows what it has already seen."""

import hashlib
import hmac
from collections.abc import Callable, Sequence

from pydantic import BaseModel, SecretStr

from llmtower_processors.alerts.message import Report, digest_of, message
from llmtower_processors.alerts.model import Notification
from llmtower_processors.alerts.send.http import post
from llmtower_schemas.alerts import digest


class WebhookSender:
    """POSTs a Message or a Digest. With a secret, `X-Llmtower-Signature: t=<seconds>,v1=<hex>` is HMAC-SHA256 of `<seconds>.<body>`."""

    def __init__(self, url: SecretStr, secret: SecretStr | None, now_s: Callable[[], float]) -> None:
        self._url = url
        self._secret = secret
        self._now_s = now_s

    async def send(self, notification: Notification) -> None:
        """Tell of one."""
        await self._post(message(notification), notification.transition.transition_id)

    async def send_many(self, notifications: Sequence[Notification]) -> None:
        """Tell of several as one."""
        found = digest_of(notifications)
        await self._post(found, digest(found.dedup_key))

    async def tell(self, head: str, body: str) -> None:
        """POST a Report."""
        await self._post(Report(title=head, text=body), digest("report", head))

    async def _post(self, what: BaseModel, key: str) -> None:
        body = what.model_dump_json().encode()
        headers = {"Content-Type": "application/json", "User-Agent": "llmtower", "Idempotency-Key": key}
        if self._secret is not None:
            headers["X-Llmtower-Signature"] = signature(self._secret.get_secret_value(), body, int(self._now_s()))
        await post(self._url.get_secret_value(), body, headers, whom="webhook")


def signature(secret: str, body: bytes, at_s: int) -> str:
    """Sign a body; the time is part of what is signed, so that an old one cannot be played again."""
    code = hmac.new(secret.encode(), b"%d." % at_s + body, hashlib.sha256).hexdigest()
    return f"t={at_s},v1={code}"


def verify(header: str, secret: str, body: bytes, now_s: float, *, tolerance_s: float = 300.0) -> bool:
    """Say whether a header signs this body and is not older than the tolerance: what a receiver does."""
    parts = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    at = parts.get("t", "")
    if not at.isdecimal() or abs(now_s - int(at)) > tolerance_s:
        return False
    return hmac.compare_digest(header.encode(), signature(secret, body, int(at)).encode())
