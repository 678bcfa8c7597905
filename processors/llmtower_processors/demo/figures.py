"""What the demo reads from ClickHouse, as the dashboards' reader: figures of the live view and the stored side of the books."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import clickhouse_connect
from clickhouse_connect.driver.client import Client

WINDOW_S = 60
POLL_S = 0.5
_SQL = Path(__file__).with_name("sql")


@dataclass(frozen=True, slots=True)
class Row:
    """The last minute of one app and model."""

    app: str
    model: str
    calls: int
    errors: Mapping[str, int]
    """Failed calls by class."""
    duration_p50_us: float | None
    duration_p95_us: float | None
    ttft_p50_us: float | None
    ttft_p95_us: float | None
    input_tokens: int
    output_tokens: int
    cost_nano_usd: int | None
    """None when no call of the row has a price."""
    unpriced: int


@dataclass(frozen=True, slots=True)
class Scored:
    """How far the scores are behind the calls."""

    behind: int
    """Events that are stored as calls and not scored."""
    newest_age_s: float | None
    """Seconds since the newest scored call began; None when none of the last ten minutes is scored."""
    unsketched: int = 0
    """Events that are stored as calls and not summed up for drift."""


@dataclass(frozen=True, slots=True)
class Live:
    """One look at the tables."""

    rows: Sequence[Row]
    calls: int
    """All rows of `calls`."""
    cost_nano_usd: int
    unpriced: int
    dead_letters: int
    newest_age_s: float | None
    """Seconds since the newest stored call ended; None when none began within ten minutes."""
    scored: Scored = Scored(0, None)


@dataclass(frozen=True, slots=True)
class Stored:
    """What the tables hold of some producers' events, for one app."""

    calls: int = 0
    unique_calls: int = 0
    events: int = 0
    unique_events: int = 0
    dead_letters: int = 0
    cost_nano_usd: int = 0
    unpriced_calls: int = 0
    duration_p50_us: int | None = None
    duration_p95_us: int | None = None
    ttft_p50_us: int | None = None
    ttft_p95_us: int | None = None


def connect(url: str, *, database: str, user: str, password: str) -> Client:
    """Open a connection; `url` is http://host:port. Raises clickhouse_connect's errors."""
    host, _, port = url.removeprefix("http://").rpartition(":")
    return clickhouse_connect.get_client(
        host=host,
        port=int(port),
        username=user,
        password=password,
        database=database,
        send_receive_timeout=30,
        autogenerate_session_id=False,
    )


def read_live(client: Client, window_s: int = WINDOW_S) -> Live:
    """Read the view's figures."""
    rows = [Row(**values) for values in _ask(client, "live_rows", {"window_s": window_s})]
    totals = _ask(client, "live_totals", {})[0]
    return Live(
        rows=rows,
        calls=totals["calls"],
        cost_nano_usd=totals["cost_nano_usd"],
        unpriced=totals["unpriced"],
        dead_letters=totals["dead_letters"],
        newest_age_s=totals["newest_age_s"],
        scored=read_scored(client),
    )


def read_stored(client: Client, producers: Sequence[str]) -> dict[str, Stored]:
    """Read what is stored of these producers, by app and, under "", of all; what has no rows is missing."""
    parameters = {"producers": list(producers)}
    calls = {values["app"]: values for values in _ask(client, "stored_calls", parameters) if values["calls"]}
    events = {values["app"]: values for values in _ask(client, "stored_events", parameters) if values["events"]}
    dead = {values["app"]: values["dead_letters"] for values in _ask(client, "stored_dead", parameters) if values["dead_letters"]}
    return {app: _stored(calls.get(app, {}), events.get(app, {}), dead.get(app, 0)) for app in {*calls, *events, *dead}}


def read_arrived(client: Client, producers: Sequence[str]) -> int:
    """Count what has arrived of these producers, dead letters included: cheap enough to poll."""
    return int(_ask(client, "arrived", {"producers": list(producers)})[0]["arrived"])


def read_rollup_difference(client: Client, apps: Sequence[str]) -> int:
    """Give how far the minute rollup is from `calls`, in calls and nano-USD together; 0 = equal."""
    return int(_ask(client, "rollup_difference", {"apps": list(apps)})[0]["difference"])


def read_scored(client: Client) -> Scored:
    """Read how far the scores are."""
    return Scored(**_ask(client, "scored", {})[0])


def await_scores(client: Client, behind: Callable[[Scored], int], patience_s: float) -> Scored:
    """Read how far the scores are once nothing is `behind`, or when patience ends: scoring runs at low priority."""
    deadline = time.monotonic() + patience_s
    while behind(scored := read_scored(client)) > 0 and time.monotonic() < deadline:
        time.sleep(POLL_S)
    return scored


def read_moved(client: Client, names: Sequence[str], began: int) -> list[dict[str, Any]]:
    """Read the sums of scores and of feedback since `began` (Unix seconds) and of the week before."""
    return _ask(client, "moved", {"names": list(names), "began": began})


def _ask(client: Client, name: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    return list(client.query(_statement(name), parameters=parameters).named_results())


@cache
def _statement(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text("utf-8")


def _stored(calls: dict[str, Any], events: dict[str, Any], dead_letters: int) -> Stored:
    calls, events = dict(calls), dict(events)
    calls.pop("app", None)
    events.pop("app", None)
    return Stored(**calls, **events, dead_letters=dead_letters)
