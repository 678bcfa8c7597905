"""Addresses on the live page that a notification points to. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from llmtower_processors.alerts.changes import link_parameters
from llmtower_schemas.alerts import Transition

_BEFORE: Final = timedelta(minutes=30)
_AFTER: Final = timedelta(minutes=10)


def links(transition: Transition, page_url: str) -> dict[str, str]:
    """Give the addresses of the panel, of example calls and of the alert itself, over the time around the window; and the runbook."""
    base = page_url.rstrip("/")
    span = [
        ("from", _iso(datetime.fromtimestamp(transition.window_start_us / 1e6, UTC) - _BEFORE)),
        ("to", _iso(datetime.fromtimestamp(transition.window_end_us / 1e6, UTC) + _AFTER)),
    ]
    query = urlencode([*span, *link_parameters(transition.group)])
    found = {
        "panel": f"{base}{'/panels/' + transition.panel if transition.panel else '/'}?{query}",
        "calls": f"{base}/calls?{query}",
        "alert": f"{base}/alerts?{urlencode([('rule', transition.rule)])}",
    }
    return found | ({"runbook": transition.runbook} if transition.runbook else {})


def _iso(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
