"""The prompt library and the stages of models, as the page reads and moves them. Edge: a connection lives as long as one read or move."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal, Protocol, TypeVar

from llmtower_schemas.chains import RegistryRecord
from llmtower_schemas.model_store import ModelError, Models
from llmtower_schemas.promotion import NotAllowedError, allowed_by, known_keys
from llmtower_schemas.prompt_book import PromptBook
from llmtower_schemas.prompt_store import PromptError, PromptStore, moved_to
from llmtower_schemas.registry_log import KafkaRegistryLog, RegistryLog, RegistryUnavailable
from llmtower_schemas.settings import KafkaSettings

T = TypeVar("T")

FRESH_S: Final = 3.0
"""What was read serves all browsers for so long."""
BY: Final = "live page"
_KEY: Final = "Enter a key of the scope promote at /key to move labels and models here."


@dataclass(frozen=True, slots=True)
class Step:
    """A move that somebody asks for: what they saw is part of it, so that nothing newer is overwritten."""

    kind: Literal["promote", "rollback"]
    name: str
    label: str
    version: int
    """To promote."""
    seen: int
    """What the label pointed to on their screen; 0 = nothing."""


@dataclass(frozen=True, slots=True)
class StageStep:
    """A move of a registered model that somebody asks for, and the stage they saw it in."""

    model: str
    stage: str
    seen: str


class NotMovedError(Exception):
    """A label or a model was not moved, or the library cannot be read; the message says why and what to do."""


class Shelf(Protocol):
    """The prompts and the registered models."""

    async def book(self) -> PromptBook:
        """Give what is there. Raises NotMovedError."""

    async def move(self, step: Step, *, key_id: str) -> str:
        """Move a label, and say what was done. Raises NotMovedError.

        `key_id` is of the key of the scope promote that the browser showed ("" = none): looked up anew, and written with the move.
        """

    async def stage(self, step: StageStep, *, key_id: str) -> str:
        """Move a model to a stage, under the same rules, and say what was done. Raises NotMovedError."""


class LogShelf:
    """Prompts and models of a registry. `open_moves`: whoever reads the page may move, as long as no key of the scope promote exists."""

    def __init__(self, open_log: Callable[[], RegistryLog], *, open_moves: bool) -> None:
        self._open_log = open_log
        self._open_moves = open_moves
        self._book: PromptBook | None = None
        self._read_at = float("-inf")
        self._reading = asyncio.Lock()

    async def book(self) -> PromptBook:
        """Read anew where that was long ago."""
        async with self._reading:
            if self._book is None or time.monotonic() - self._read_at >= FRESH_S:
                self._book = await self._with(lambda store, _: store.refresh())
                self._read_at = time.monotonic()
            return self._book

    async def move(self, step: Step, *, key_id: str) -> str:
        """Read, check, move by compare-and-set."""

        async def job(store: PromptStore, records: list[RegistryRecord]) -> str:
            used = self._allowed(records, key_id)
            if step.kind == "promote":
                await store.promote(step.name, step.version, label=step.label, by=BY, key_id=used, seen=step.seen)
                return f"{step.label} of {step.name} points to {step.version}."
            entry = await store.rollback(step.name, label=step.label, by=BY, key_id=used, seen=step.seen)
            return f"{step.label} of {step.name} is back at {moved_to(entry)}."

        said = await self._with(job)
        self._read_at = float("-inf")
        return said

    async def stage(self, step: StageStep, *, key_id: str) -> str:
        """Read, check, move by compare-and-set."""
        log = self._open_log()
        models = Models(log)
        try:
            used = self._allowed(await models.read(), key_id)
            await models.stage(step.model, step.stage, by=BY, note="", seen=step.seen, key_id=used)
            return f"{step.model} is in stage {step.stage}."
        except (ModelError, RegistryUnavailable) as error:
            raise NotMovedError(str(error)) from error
        finally:
            await log.close()

    def _allowed(self, records: list[RegistryRecord], key_id: str) -> str:
        """Give the id of the key that allows a move at this moment; "" where none is needed."""
        keys = known_keys(records)
        held = keys.get(key_id)
        if held is not None and held.revoked_at_us is None and "promote" in held.scopes:
            return key_id
        if not self._open_moves:
            raise NotMovedError(_KEY)
        try:
            return allowed_by("any", protected="any", keys=keys, shown="")
        except NotAllowedError as error:
            raise NotMovedError(_KEY) from error

    async def _with(self, job: Callable[[PromptStore, list[RegistryRecord]], Awaitable[T]]) -> T:
        log = self._open_log()
        store = PromptStore(log)
        try:
            records = await log.read()
            store.book.learn(records)
            return await job(store, records)
        except (PromptError, RegistryUnavailable) as error:
            raise NotMovedError(str(error)) from error
        finally:
            await log.close()


def kafka_shelf(kafka: KafkaSettings, *, open_moves: bool) -> LogShelf:
    """The library in Kafka."""
    return LogShelf(lambda: KafkaRegistryLog(kafka), open_moves=open_moves)
