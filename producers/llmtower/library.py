"""The prompts of a process: a thread follows the registry, callers read what it has; before it has anything, the cache answers.

Nothing here waits longer than it must: without an open port at Kafka's address a caller goes on after PROBE_S.
"""

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import orjson

from llmtower.errors import internal_error, warn_once
from llmtower.prompt_cache import Held, PromptCache
from llmtower.rendering import LoadedPrompt, PromptUnusableError
from llmtower_schemas.prompt_book import PromptBook
from llmtower_schemas.prompts import LATEST, Prompt, Version
from llmtower_schemas.registry_log import RegistryLog, RegistryUnavailable

PROBE_S: Final = 0.03
"""So long a caller waits for a port of Kafka's to open; a start with everything down takes little more."""
WAIT_S: Final = 2.0
"""So long it waits for a registry that has given a sign of life."""
_FOLLOW_S: Final = 5.0
_KEEP_S: Final = 0.2
"""So long names are gathered before the disk is written: an application may ask for thousands, one after the other."""
_BACKOFF_S: Final = (0.2, 5.0)
_STOP_S: Final = 0.5

Wanted = tuple[str, str, int | None]
"""Name, label, and the number where one was asked for."""


class Library:
    """What a process knows of prompts."""

    def __init__(self, open_log: Callable[[], RegistryLog] | None, cache: PromptCache | None, *, servers: str = "") -> None:
        self._open_log, self._cache, self._servers = open_log, cache, servers
        self.pid = os.getpid()
        self._book: PromptBook | None = None
        self._held: Held | None = None
        self._loaded: dict[Wanted, LoadedPrompt] = {}
        self._asked: set[str] = set()
        self._current: dict[Wanted, LoadedPrompt] = {}
        self._knocked, self._settled = threading.Event(), threading.Event()
        """Whether something listens at Kafka's address is known; the registry is read, or will not be for now."""
        self._starting = threading.Lock()
        self._waits_until = 0.0
        """Until then callers wait for a registry that is silent: all together WAIT_S, not each."""
        self._keeping = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._stopping = False

    def get(self, wanted: Wanted, wait_s: float | None = None) -> LoadedPrompt | None:
        """Give a prompt; None when neither the registry nor the cache has it.

        Waits only where nothing at all is known yet, and only while something listens at Kafka's address; with `wait_s` so long at most
        for the registry's own word, whatever the cache has.
        """
        found = self._current.get(wanted)
        if found is not None:
            return found
        self._start()
        waits = self._book is None and self._open_log is not None and (wait_s is not None or self._cached(wanted) is None)
        if waits and self._knocked.wait(PROBE_S if wait_s is None else wait_s):
            self._settled.wait(max(0.0, self._waits_until - time.monotonic()) if wait_s is None else wait_s)
        found = self._resolve(wanted)
        if wanted[0] not in self._asked:
            self._asked.add(wanted[0])
            self._keep()
        return found

    def _resolve(self, wanted: Wanted) -> LoadedPrompt | None:
        current, book = self._current, self._book  # what comes meanwhile has another `_current`: nothing old is kept in it
        found = self._from_book(book, wanted) if book is not None else None
        if found is None:
            return self._loaded.get(wanted) or self._cached(wanted)
        current[wanted] = self._loaded[wanted] = found
        return found

    def _from_book(self, book: PromptBook, wanted: Wanted) -> LoadedPrompt | None:
        name, label, number = wanted
        pointed = number or book.pointed(name, label)
        version = book.version(name, pointed) if pointed else None
        if version is None:
            if pointed and book.newest(name):
                warn_once(f"prompt {name}@{pointed}", "llmtower: prompt %s@%d cannot be read; the last good version stays.", name, pointed)
            return None
        before = self._loaded.get(wanted)
        if before is not None and before.version == str(version.number) and before.source == "registry":
            return before
        return _usable(LoadedPrompt(name, str(version.number), version.prompt, source="registry", label=label))

    def _cached(self, wanted: Wanted) -> LoadedPrompt | None:
        if self._held is None:
            self._held = self._cache.read() if self._cache is not None else {}
        name, label, number = wanted
        try:
            held = self._held.get(name, {})
            pointed = number or held["labels"].get(label)
            prompt = Prompt.model_validate(held["versions"][str(pointed)])
        except (KeyError, TypeError, AttributeError, ValueError):
            return None
        return _usable(LoadedPrompt(name, str(pointed), prompt, source="cache", label=label))

    def _start(self) -> None:
        if self._thread is None and self._open_log is not None and self._starting.acquire(blocking=False):
            self._waits_until = time.monotonic() + WAIT_S
            self._thread = threading.Thread(target=self._main, name="llmtower-prompts", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """End the thread; bounded in time."""
        self._stopping = True
        loop, thread = self._loop, self._thread
        if loop is not None and thread is not None and thread is not threading.current_thread():
            with suppress(RuntimeError):  # closed meanwhile
                loop.call_soon_threadsafe(_cancel_all, loop)
            thread.join(_STOP_S)

    def _main(self) -> None:
        loop = self._loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(self._follow())
        except asyncio.CancelledError:
            pass
        except Exception:
            internal_error("prompts")
        finally:
            if self._keeping:
                self._kept()
            loop.close()

    async def _follow(self) -> None:
        assert self._open_log is not None  # noqa: S101 - started only then
        pause = _BACKOFF_S[0]
        while not self._stopping:
            if not await self._knock():
                await asyncio.sleep(pause)
                pause = min(pause * 2, _BACKOFF_S[1])
                continue
            log = self._open_log()
            try:
                await self._read(log)
            except RegistryUnavailable as error:
                warn_once("prompts", "llmtower: %s Prompts come from the last state known.", error)
            except Exception:
                internal_error("prompts")
            finally:
                self._settled.set()
                await log.close()
            await asyncio.sleep(pause)

    async def _knock(self) -> bool:
        """Ask whether anything listens at Kafka's address, before its client is even loaded."""
        places = [place.rpartition(":") for place in self._servers.split(",") if place.strip()]
        knocks = [_opens(host.strip("[] "), int(port)) for host, _, port in places if port.isdigit()]
        opened = not places or any(await asyncio.gather(*knocks))
        if not opened:
            self._settled.set()
        self._knocked.set()
        return opened

    async def _read(self, log: RegistryLog) -> None:
        """Read all into a new book, put it in the place of the old one, and follow."""
        book = PromptBook()
        book.learn(await log.read())
        self._replace(book)
        while not self._stopping:
            accepted = book.learn(await log.read(_FOLLOW_S))
            if accepted:
                self._replace(book)

    def _replace(self, book: PromptBook) -> None:
        """Let callers resolve anew; what they use already is kept on the disk."""
        self._book = book
        self._current = {}
        self._settled.set()
        for wanted in list(self._loaded):
            self._resolve(wanted)
        if self._cache is not None and (held := _to_hold(book, sorted(self._asked))) and held != self._written():
            self._held = {**(self._held or {}), **held}
            self._cache.write(held)

    def _written(self) -> Held:
        return {name: found for name, found in (self._held or {}).items() if name in self._asked}

    def _keep(self) -> None:
        """Write what was asked for to the disk, in the thread, if the registry is known."""
        if self._loop is not None and self._book is not None and not self._keeping:
            self._keeping = True
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._loop.call_later, _KEEP_S, self._kept)

    def _kept(self) -> None:
        self._keeping = False
        if self._book is not None:
            self._replace(self._book)


def _usable(prompt: LoadedPrompt) -> LoadedPrompt | None:
    """Give a prompt whose templates compile; another is passed over, so that the last good one stays."""
    try:
        prompt.compile()
    except PromptUnusableError as error:
        if "pip install" in str(error):
            return prompt
        warn_once(f"prompt {prompt.name}@{prompt.version}", "llmtower: %s The last good version stays.", error)
        return None
    return prompt


def _to_hold(book: PromptBook, names: list[str]) -> Held:
    held: Held = {}
    for name in names:
        labels = {**book.labels(name), LATEST: book.newest(name)}
        versions = {number: book.version(name, number) for number in set(labels.values()) if number}
        if found := {str(number): _plain(one) for number, one in versions.items() if one is not None}:
            held[name] = {"labels": labels, "versions": found}
    return held


def _plain(version: Version) -> dict[str, Any]:
    return dict(orjson.loads(version.prompt.model_dump_json(exclude_defaults=True)))


async def _opens(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _cancel_all(loop: asyncio.AbstractEventLoop) -> None:
    for task in asyncio.all_tasks(loop):
        task.cancel()
