"""`gateway` and `keys`: taking events over HTTP, and who may send them."""

import asyncio
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format, need
from llmtower_processors.connection import kafka_settings, load_settings
from llmtower_processors.errors import NotConfigured

if TYPE_CHECKING:
    from llmtower_schemas.keys import ApiKey

Host = Annotated[
    str | None, typer.Option(envvar="LLMTOWER_GATEWAY__HOST", help="Address to listen on; beyond loopback every request needs a key.")
]
Port = Annotated[
    int | None, typer.Option(envvar="LLMTOWER_GATEWAY__PORT", min=0, max=65_535, help="Port, 4318 by default; 0 = any free one.")
]


def gateway(data_dir: DataDir = DATA_DIR, host: Host = None, port: Port = None) -> None:
    """Take OTLP (traces, logs), events and feedback over HTTP; a success is answered only after Kafka has acknowledged.

    Example: `llmtower gateway --port 4318`, then `OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318` in the application.
    """
    from llmtower_processors.cli.policy import content_writer

    need("gateway", "fastapi", "opentelemetry", "uvicorn")
    from llmtower_processors.gateway.serve import run_gateway

    settings = load_settings(data_dir, role="writer")
    given = {name: value for name, value in {"host": host, "port": port}.items() if value is not None}
    settings = settings.model_copy(update={"gateway": settings.gateway.model_copy(update=given)})
    run_gateway(settings, kafka_settings(settings), partial(content_writer, settings))


def keys_create(
    scopes: Annotated[list[str], typer.Option("--scope", help="emit, feedback, read, content or promote; may be given several times.")],
    project: Annotated[str, typer.Option(help="Project that the key writes to or reads.")] = "default",
    name: Annotated[str, typer.Option(help="What it is for, so that you know which to revoke.")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Make a key and print it, this once: only its hash is kept. It holds within seconds.

    Example: `llmtower keys create --scope emit --project shop --name "checkout service"`
    """
    from llmtower_processors.registry_topic import publish
    from llmtower_schemas.keys import SCOPES, encode_key, make_key

    wrong = [scope for scope in scopes if scope not in SCOPES]
    if wrong:
        raise NotConfigured(f"No scope is called {', '.join(wrong)}. There are: {', '.join(SCOPES)}.")
    chosen = [scope for scope in SCOPES if scope in scopes]
    text, key = make_key(project, chosen, name=name, at_us=time.time_ns() // 1_000)
    asyncio.run(publish(kafka_settings(load_settings(data_dir)), key.key, encode_key(key)))
    typer.echo(text)


def keys_list(data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show the keys: what they may do, never the keys themselves.

    Example: `llmtower keys list`
    """
    from llmtower_processors.cli.data import show

    names = ("key", "project", "scopes", "name", "created", "revoked")
    rows = [
        (key.key_id, key.project, ", ".join(key.scopes), key.name, _date(key.created_at_us), _date(key.revoked_at_us))
        for key in asyncio.run(_known(data_dir)).values()
    ]
    show(names, rows, output)


def keys_revoke(
    key_id: Annotated[str, typer.Argument(help="The key's id: its second part, as `llmtower keys list` shows it.")],
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Revoke a key; it is refused within seconds.

    Example: `llmtower keys revoke 3f9a1c0b77de`
    """
    from llmtower_processors.registry_topic import publish
    from llmtower_schemas.keys import encode_key

    known = asyncio.run(_known(data_dir)).get(key_id)
    if known is None:
        raise NotConfigured(f"No key is called {key_id}. `llmtower keys list` shows those there are.")
    revoked = known.model_copy(update={"revoked_at_us": time.time_ns() // 1_000})
    asyncio.run(publish(kafka_settings(load_settings(data_dir)), revoked.key, encode_key(revoked)))
    typer.echo(f"Key {key_id} of project {known.project} is revoked.")


async def _known(data_dir: DataDir) -> "dict[str, ApiKey]":
    from llmtower_processors.registry_topic import RegistryFeed
    from llmtower_schemas.keys import decode_key

    feed = RegistryFeed(kafka_settings(load_settings(data_dir)))
    try:
        found = [decode_key(record.key, record.value) for record in await feed.poll()]
    finally:
        await feed.close()
    return {key.key_id: key for key in found if key is not None}


def _date(at_us: int | None) -> str:
    return "" if at_us is None else f"{datetime.fromtimestamp(at_us / 1e6, UTC):%Y-%m-%d %H:%M} UTC"
