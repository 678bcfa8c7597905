"""One POST: bounded in time, no redirects, and a verdict on what the receiver answered."""

import asyncio
import email.utils
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx

from llmtower_processors.alerts.model import SendError

TIMEOUT_S: Final = 10.0
MOST_WAIT_S: Final = 900.0
REFUSED: Final = (400, 413, 415, 422)
"""The receiver will never take this body. Other refusals (a wrong key, say) can be mended there, so it is tried again."""


async def post(url: str, body: bytes, headers: Mapping[str, str], *, whom: str) -> None:
    """Return when the receiver has taken it. Raises SendError, which never holds more of the address than its host."""
    host = urlsplit(url).hostname or "its host"
    try:
        async with (
            asyncio.timeout(TIMEOUT_S),
            httpx.AsyncClient(timeout=TIMEOUT_S) as client,
            client.stream("POST", url, content=body, headers=dict(headers)) as answer,
        ):
            status, wait = answer.status_code, answer.headers.get("retry-after")
    except TimeoutError as error:
        raise SendError(f"The {whom} at {host} did not answer within {TIMEOUT_S:g} s.") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise SendError(f"The {whom} at {host} cannot be reached ({type(error).__name__}).") from None
    if status < 300 or status == 409:
        return
    raise SendError(
        f"The {whom} at {host} answered {status}.", retriable=status not in REFUSED, retry_after_s=_wait(wait) if wait else None
    )


def _wait(header: str) -> float | None:
    """Read Retry-After: seconds, or a date."""
    if header.strip().isdigit():
        return min(float(header), MOST_WAIT_S)
    try:
        moment = email.utils.parsedate_to_datetime(header).timestamp()
    except ValueError:
        return None
    return min(max(0.0, moment - time.time()), MOST_WAIT_S)
