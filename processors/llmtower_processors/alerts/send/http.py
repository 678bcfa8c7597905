"""One POST: bounded in time, no redirects, and a verdict on what the receiver answered."""

import asyncio
import email.utils
import logging
import time
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlsplit

import httpx

from llmtower_processors.alerts.model import SendError

TIMEOUT_S: Final = 10.0
MOST_WAIT_S: Final = 900.0
_THIS_MACHINE: Final = ("all://127.0.0.1", "all://localhost", "all://[::1]")
"""Never by way of a proxy."""
REFUSED: Final = (400, 413, 415, 422)
"""The receiver will never take this body. Other refusals (a wrong key, say) can be mended there, so it is tried again."""


async def post(url: str, body: bytes, headers: Mapping[str, str], *, whom: str, timeout_s: float = TIMEOUT_S) -> None:
    """Return when the receiver has taken it. Raises SendError, which never holds more of the address than its host."""
    host = _host(url)
    quieten("httpx", "httpcore")
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(timeout=timeout_s, mounts=dict.fromkeys(_THIS_MACHINE)) as client,
            client.stream("POST", url, content=body, headers=dict(headers)) as answer,
        ):
            status, wait = answer.status_code, answer.headers.get("retry-after")
    except (TimeoutError, httpx.TimeoutException) as error:
        raise SendError(f"The {whom} at {host} did not answer within {timeout_s:g} s.") from error
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
        raise SendError(f"The {whom} at {host} cannot be reached ({type(error).__name__}).") from None
    if status < 300 or status == 409:
        return
    raise SendError(
        f"The {whom} at {host} answered {status}.", retriable=status not in REFUSED, retry_after_s=_wait(wait) if wait else None
    )


def quieten(*loggers: str) -> None:
    """Clients log whole addresses, and an address is often the secret."""
    for name in loggers:
        logging.getLogger(name).setLevel(logging.WARNING)


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or "its host"
    except ValueError:
        return "its host"


def _wait(header: str) -> float | None:
    """Read Retry-After: seconds, or a date."""
    if header.strip().isdigit():
        return min(float(header), MOST_WAIT_S)
    try:
        moment = email.utils.parsedate_to_datetime(header).timestamp()
    except ValueError:
        return None
    return min(max(0.0, moment - time.time()), MOST_WAIT_S)
