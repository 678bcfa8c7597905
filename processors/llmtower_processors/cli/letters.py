"""`llmtower dead-letters`: print what `dead_letters` gives."""

import asyncio
import time

import typer

from llmtower_processors import dead_letters
from llmtower_processors.cli.data import show
from llmtower_processors.connection import clickhouse_client, kafka_settings
from llmtower_schemas.settings import Settings

_SUMMARY = ("project", "app", "reason", "events", "bytes", "first", "last", "sent again")
_LETTER = ("id", "app", "reason", "bytes", "at", "producer", "number", "sent again")


def list_letters(settings: Settings, output: str) -> None:
    """Count dead letters by app and reason."""
    found = dead_letters.summarize(clickhouse_client(settings))
    rows = [(s.project, s.app, s.reason, s.count, s.size, _at(s.first_at), _at(s.last_at), s.replayed) for s in found]
    if rows or output != "table":
        show(_SUMMARY, rows, output)
    if output == "table":
        total, again = sum(s.count for s in found), sum(s.replayed for s in found)
        typer.echo(f"{total:,} dead letter(s), {again:,} sent again." if found else "No dead letters: every event was stored.")


def show_letters(settings: Settings, *, letter: str, app: str, limit: int, raw: bool, output: str) -> None:
    """Print single dead letters. Raises NoSuchLetter."""
    client = clickhouse_client(settings)
    found = [dead_letters.show(client, letter, raw=raw)] if letter else dead_letters.find(client, app=app, limit=limit, raw=raw)
    rows = [(d.id, d.app, d.reason, d.size, _at(d.at), d.producer, d.producer_seq, d.replayed) for d in found]
    if not raw:
        show(_LETTER, rows, output)
        return
    texts = [d.raw.decode("utf-8", "backslashreplace") if d.raw is not None else None for d in found]
    show((*_LETTER, "raw"), [(*row, text) for row, text in zip(rows, texts, strict=True)], output)


def replay_letters(settings: Settings, *, app: str, reason: str) -> None:
    """Send dead letters again and say how many. Raises Unreachable."""
    done = asyncio.run(_replay(settings, app, reason))
    typer.echo(f"{done.sent:,} sent again and marked.")
    if done.without_bytes:
        typer.echo(f"{done.without_bytes:,} left alone: their bytes are past retention.")
    if done.too_many_lines:
        typer.echo(f"{done.too_many_lines:,} left alone: they would be refused as they were.")


async def _replay(settings: Settings, app: str, reason: str) -> dead_letters.Replay:
    client = clickhouse_client(settings)
    async with dead_letters.KafkaSender(kafka_settings(settings)) as sender:
        return await dead_letters.replay(client, sender, time.time_ns() // 1_000_000, app=app, reason=reason)


def _at(moment: object) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S}"
