"""The prompts of the registry, as commands read and write them: a job on the store, names checked, errors as sentences."""

import asyncio
import getpass
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from llmtower_processors.connection import kafka_settings, load_settings
from llmtower_processors.errors import LlmtowerError, NotConfigured, Unreachable

if TYPE_CHECKING:
    from llmtower_schemas.prompt_store import PromptStore
    from llmtower_schemas.prompts import Version
    from llmtower_schemas.settings import Settings

T = TypeVar("T")


def run(data_dir: Path, job: "Callable[[PromptStore], Awaitable[T]]") -> T:
    """Run a job on the registry of the settings. Raises LlmtowerError."""
    return asyncio.run(_on_store(load_settings(data_dir), lambda store, _: job(store)))


def run_allowed(data_dir: Path, label: str, key: str, job: "Callable[[PromptStore, str], Awaitable[T]]") -> T:
    """Run a job that moves a label, with the id of the key that allows it. Raises LlmtowerError."""
    from llmtower_schemas.promotion import NotAllowedError, allowed_by, known_keys

    settings = load_settings(data_dir)
    shown = key or (settings.prompts.key.get_secret_value() if settings.prompts.key else "")

    async def allowed(store: "PromptStore", records: Any) -> T:
        try:
            key_id = allowed_by(label, protected=settings.prompts.protected, keys=known_keys(records), shown=shown)
        except NotAllowedError as error:
            raise LlmtowerError(str(error)) from error
        return await job(store, key_id)

    return asyncio.run(_on_store(settings, allowed))


async def _on_store(settings: "Settings", job: "Callable[[PromptStore, Any], Awaitable[T]]") -> T:
    from llmtower_schemas.prompt_store import PromptError, PromptStore
    from llmtower_schemas.registry_log import KafkaRegistryLog, RegistryUnavailable

    log = KafkaRegistryLog(kafka_settings(settings))
    store = PromptStore(log)
    try:
        records = await log.read()
        store.book.learn(records)
        return await job(store, records)
    except PromptError as error:
        raise LlmtowerError(str(error)) from error
    except RegistryUnavailable as error:
        raise Unreachable(str(error)) from error
    finally:
        await log.close()


async def find(store: "PromptStore", title: str) -> "Version":
    """Give the version that `name`, `name@7` or `name@label` names. Raises PromptError, NotConfigured."""
    from llmtower_schemas.prompt_store import PromptError

    name, _, which = title.partition("@")
    book, name = await store.refresh(), named(name)
    if not which or which.isdecimal():
        return store.need(name, int(which) if which else book.newest(name))
    pointed = book.pointed(name, labelled(which))
    if pointed is None:
        store.need(name, book.newest(name))
        raise PromptError(f"{name} has no label {which}; it has: {', '.join(sorted(book.labels(name))) or 'none'}.")
    return store.need(name, pointed)


def named(name: str) -> str:
    """Check a prompt's name. Raises NotConfigured."""
    from llmtower_schemas.prompts import prompt_name

    try:
        return prompt_name(name)
    except ValueError as error:
        raise NotConfigured(f"{name!r} {error}.") from error


def labelled(label: str) -> str:
    """Check a label. Raises NotConfigured."""
    from llmtower_schemas.prompts import label_name

    try:
        return label_name(label)
    except ValueError as error:
        raise NotConfigured(f"{label!r} {error}.") from error


def user() -> str:
    """Give the user of this machine; empty where there is none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):
        return ""


def moment(at_ms: int) -> str:
    """Write a time."""
    from datetime import UTC, datetime

    return f"{datetime.fromtimestamp(at_ms / 1e3, UTC):%Y-%m-%d %H:%M:%S} UTC"
