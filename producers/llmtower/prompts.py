"""The prompt library: `llmtower.prompt` for applications, and `push`, `promote`, `rollback` for scripts.

    prompt = llmtower.prompt("support/answer", label="production", fallback="Answer briefly: {{ question }}")
    with llmtower.context(prompt=prompt):
        client.chat.completions.create(model="gpt-4o", messages=prompt.render(question="Where is my parcel?"))

`prompt` costs a look into a mapping: ask for it per request, and a promotion is there within a second or two, without a restart.
"""

import asyncio
import atexit
import os
import threading
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from llmtower import state
from llmtower.errors import faults_of, warn_once
from llmtower.library import Library
from llmtower.prompt_cache import PromptCache
from llmtower.rendering import Fallback, LoadedPrompt, PromptUnusableError, Source, checked, fallback_prompt
from llmtower_schemas.chains import Entry
from llmtower_schemas.promotion import NotAllowedError, allowed_by, known_keys
from llmtower_schemas.prompt_store import PromptError, PromptStore, moved_to
from llmtower_schemas.prompts import Message, Prompt, Variable, label_name, prompt_name
from llmtower_schemas.registry_log import KafkaRegistryLog, RegistryLog, RegistryUnavailable

if TYPE_CHECKING:
    from llmtower_schemas.settings import Settings

__all__ = [
    "LoadedPrompt",
    "NotAllowedError",
    "Prompt",
    "PromptError",
    "PromptUnusableError",
    "RegistryUnavailable",
    "Source",
    "promote",
    "prompt",
    "push",
    "rollback",
    "stop",
    "use",
]

T = TypeVar("T")

_library: Library | None = None
_fallbacks: dict[tuple[str, str], tuple[Any, LoadedPrompt]] = {}
_installed = False


def prompt(
    name: str, *, label: str = "production", version: int | None = None, fallback: Fallback | None = None, wait_s: float | None = None
) -> LoadedPrompt:
    """Give a prompt by what a label points to now, or by its number; `.source` says whether the registry, the cache or the fallback had it.

    Never waits for a Kafka that is away: then the cache on the disk answers, then `fallback`. With `wait_s` it waits so long for the
    registry itself. Raises PromptUnusableError when nobody has the prompt and there is no fallback.
    """
    library = _library if _library is not None and _library.pid == os.getpid() else _open()
    name = name if name.isascii() else prompt_name(name)
    found = library.get((name, label if version is None else "", version), wait_s)
    if found is not None:
        return found
    if fallback is None:
        wanted = f"{name}@{version}" if version else f"{name} {label}"
        raise PromptUnusableError(
            f"No prompt {wanted}: neither the registry nor the cache has it, and there is no fallback. `llmtower prompts list` shows those "
            "there are; give fallback= for a start without Kafka."
        )
    kept = _fallbacks.get((name, label))
    if kept is None or kept[0] != fallback:
        kept = _fallbacks[name, label] = (fallback, fallback_prompt(name, fallback))
    return kept[1]


def push(
    name: str,
    text: str = "",
    *,
    messages: Sequence[Mapping[str, str]] = (),
    variables: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    tools: Sequence[Mapping[str, Any]] = (),
    author: str = "",
    note: str = "",
    message: str = "",
) -> int:
    """Store the next version of a prompt, and give its number; what says the same as the newest gives that one's.

    `variables` are names with a type (`"string"`) or a mapping of `type`, `default`, `description`. Raises PromptUnusableError,
    PromptError, RegistryUnavailable.
    """
    declared = {title: {"type": one} if isinstance(one, str) else one for title, one in (variables or {}).items()}
    made = Prompt(
        form="chat" if messages else "text",
        text=text,
        messages=tuple(Message.model_validate(dict(one)) for one in messages),
        variables={title: Variable.model_validate(one) for title, one in declared.items()},
        parameters=dict(parameters or {}),
        tools=tuple(dict(tool) for tool in tools),
        author=author,
        note=note,
        message=message,
    )
    title = prompt_name(name)
    pushed = _write(lambda log: PromptStore(log).push(title, checked(title, made)))
    return pushed.version.number


def promote(name: str, version: int, *, label: str, by: str, note: str = "", seen: int | None = None) -> int:
    """Point a label to a version; with `seen` only if it points there now. Gives the version.

    Raises PromptError, RegistryUnavailable, and NotAllowedError where a protected label needs the key LLMTOWER_PROMPTS__KEY.
    """
    title, to = prompt_name(name), label_name(label)
    move = partial(PromptStore.promote, name=title, number=version, label=to, by=by, note=note, seen=seen)
    return moved_to(_write(partial(_moving, to, move)))


def rollback(name: str, *, label: str, by: str, note: str = "", seen: int | None = None) -> int:
    """Point a label to what it pointed to before, and give that version. Raises as `promote`."""
    title, to = prompt_name(name), label_name(label)
    return moved_to(_write(partial(_moving, to, partial(PromptStore.rollback, name=title, label=to, by=by, note=note, seen=seen))))


async def _moving(label: str, move: Callable[..., Awaitable[Entry]], log: RegistryLog) -> Entry:
    """Move a label if the settings' key may."""
    store, records, given = PromptStore(log), await log.read(), _settings().prompts
    store.book.learn(records)
    shown = given.key.get_secret_value() if given.key else ""
    return await move(store, key_id=allowed_by(label, protected=given.protected, keys=known_keys(records), shown=shown))


def use(open_log: Callable[[], RegistryLog] | None, *, cache_dir: Path | None = None, servers: str = "") -> None:
    """Take prompts from another registry than the settings' (None: from none at all), and keep them elsewhere: for tests."""
    global _library
    stop()
    _library = Library(open_log, PromptCache(cache_dir, servers) if cache_dir else None, servers=servers)


def stop() -> None:
    """End the thread that follows the registry; the next `prompt` begins anew."""
    global _library
    library, _library = _library, None
    _fallbacks.clear()
    if library is not None and library.pid == os.getpid():
        library.stop()


def _open() -> Library:
    """Begin with the settings of `configure`, else of the environment; with settings that cannot be read, from nothing."""
    global _library, _installed
    try:
        library = _library_of(_settings())
    except ValidationError as error:
        warn_once("prompt settings", "llmtower: prompts come from their fallbacks only: %s", faults_of(error))
        library = Library(None, None)
    _library = library
    if not _installed:
        _installed = True
        atexit.register(stop)
    return library


def _library_of(settings: "Settings") -> Library:
    servers, kept = settings.kafka.bootstrap_servers or "", state.folder()
    folder = settings.sdk.prompts_dir or (kept / "prompts" if kept else None)
    opens = (lambda: KafkaRegistryLog(settings.kafka)) if settings.enabled and servers else None
    return Library(opens, PromptCache(folder, servers) if folder else None, servers=servers)


def _settings() -> "Settings":
    from llmtower_schemas.settings import Settings

    if state.client is not None and isinstance(state.client.identity[0], Settings):
        return state.client.identity[0]
    return Settings()


def _write(job: Callable[[RegistryLog], Awaitable[T]]) -> T:
    """Run a job in a loop and thread of its own: callers may have a running loop."""
    found: list[Any] = []

    async def work() -> None:
        log = KafkaRegistryLog(_settings().kafka)
        try:
            found.append(await job(log))
        finally:
            await log.close()

    def run() -> None:
        try:
            asyncio.run(work())
        except Exception as error:
            found.append(error)

    thread = threading.Thread(target=run, name="llmtower-prompts-write")
    thread.start()
    thread.join()
    if isinstance(found[-1], Exception):
        raise found[-1]
    result: T = found[-1]
    return result
