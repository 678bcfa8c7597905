"""The plain Faust agent that the worker is compared with: decode, price, one row per call, inserted 5,000 rows at a time.

What a careful user would write first: `async for` over records, orjson, genai-prices per call, `clickhouse_connect.insert` of rows in a
thread. Nothing is exact: no tokens, no pending ranges. `python -m tests.benchmarks.faust_agent BOOTSTRAP URL PASSWORD DATABASE`.
"""

import asyncio
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import faust
import orjson
from genai_prices import Usage, calc_price

from llmtower_schemas.topics import CALLS

ROWS = 5_000
FIELDS = (
    *("call_id", "project", "app", "environment", "user_id", "session_id", "request_id", "route", "trace_id", "span_id"),
    *("operation", "provider", "request_model", "response_model", "response_id", "duration_us", "ttft_us", "stream"),
    *("status", "error_class", "usage_source", "prompt_name", "prompt_version"),
)
TOKENS = ("input_tokens", "cache_read_tokens", "output_tokens", "reasoning_tokens")
TABLES = {
    "calls": (*FIELDS, "started_at", *TOKENS, "cost_nano_usd"),
    "contents": ("call_id", "app", "started_at", "input", "output"),
    "requests": ("call_id", "app", "provider", "request_model", "started_at"),
}
_DEFAULTS = {"duration_us": 0, "ttft_us": None, "stream": False, "status": "ok"}


def rows(event: dict[str, Any]) -> dict[str, list[Any]]:
    """Give the rows of one event, by table."""
    started = datetime.fromtimestamp(event["started_at_ns"] / 1e9, UTC)
    if event["type"] == "request":
        return {"requests": [event["call_id"], event["app"], event["provider"], event["request_model"], started]}
    usage = event.get("usage") or {}
    call = [event.get(name, _DEFAULTS.get(name, "")) for name in FIELDS]
    texts = [orjson.dumps(event.get(name)).decode() for name in ("input", "output")]
    return {
        "calls": [*call, started, *(usage.get(name, 0) for name in TOKENS), price(event, usage, started)],
        "contents": [event["call_id"], event["app"], started, *texts],
    }


def price(event: dict[str, Any], usage: dict[str, int], at: datetime) -> int | None:
    """Give nano-USD, or None for an unknown model."""
    if not usage:
        return None
    cached = usage.get("cache_read_tokens", 0)
    counted = Usage(
        input_tokens=usage.get("input_tokens", 0) + cached,
        cache_read_tokens=cached,
        output_tokens=usage.get("output_tokens", 0) + usage.get("reasoning_tokens", 0),
    )
    try:
        found = calc_price(counted, event["request_model"], provider_id=event["provider"], genai_request_timestamp=at)
    except LookupError:
        return None
    return int(found.total_price * 1_000_000_000)


def build(bootstrap: str, url: str, password: str, database: str) -> faust.App:
    """Build the application."""
    app = faust.App("plain-agent", broker=f"kafka://{bootstrap}", store="memory://", web_enabled=False, topic_replication_factor=1)
    app.conf.datadir = Path(tempfile.mkdtemp(prefix="faust-"))
    app.conf.consumer_auto_offset_reset = "latest"
    address = urlsplit(url)
    options: dict[str, Any] = {
        "host": address.hostname,
        "port": address.port,
        "username": "writer",
        "password": password,
        "database": database,
    }
    client = clickhouse_connect.get_client(**options, autogenerate_session_id=False)
    pending: dict[str, list[list[Any]]] = {table: [] for table in TABLES}

    async def store(least: int) -> None:
        for table, columns in TABLES.items():
            if len(pending[table]) >= least:
                taken, pending[table] = pending[table], []
                await asyncio.to_thread(client.insert, table, taken, column_names=columns)

    @app.agent(app.topic(CALLS, value_type=bytes, value_serializer="raw"))
    async def process(stream: Any) -> None:
        async for value in stream:
            for line in value.split(b"\n"):
                for table, row in rows(orjson.loads(line)).items():
                    pending[table].append(row)
            await store(ROWS)

    @app.timer(1.0)  # type: ignore[untyped-decorator]  # faust ships no types
    async def flush() -> None:
        await store(1)

    return app


if __name__ == "__main__":
    bootstrap, url, password, database = sys.argv[1:]
    faust.Worker(build(bootstrap, url, password, database), loglevel="error", redirect_stdouts=False, quiet=True).execute_from_commandline()
