"""Clients whose public methods are recorded as they are (ollama, google-genai, boto3): one value, a generator, or a stream object back.

Nothing is patched globally: the function is set on the client's own object.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import wraps
from importlib.util import find_spec
from inspect import isawaitable, iscoroutinefunction, signature
from typing import Any, NamedTuple

from llmtower import scope
from llmtower.calls import Call, call
from llmtower.errors import internal_error, warn_once
from llmtower.streams import Facts, Reader, Record, conclude, generated


class Asked(NamedTuple):
    """What a call asks for, from the method's arguments."""

    model: Any
    input: Any
    parameters: dict[str, Any]
    stream: bool = False


def _nothing(_: Any) -> dict[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class Method:
    """How the calls of one method are read."""

    operation: str
    asked: Callable[[Mapping[str, Any]], Asked]
    """Reads the arguments, by their names."""
    whole: Callable[[Any], Facts]
    """Reads an answer that came in one piece."""
    reader: Callable[[], Reader]
    """Makes the reader of a stream."""
    details: Callable[[Any], dict[str, Any]] = field(default=_nothing)
    """Reads what stands beside an answer, or on an exception: retries, the HTTP status."""
    watch: Callable[[Any, Record], Any] = field(default=generated)
    """Records a streamed answer while it is read; gives what the caller gets."""


def record_methods(owner: Any, methods: Mapping[str, Method], provider: str, instrumentation: str) -> None:
    """Record an object's methods, once; those it does not have are passed over."""
    for title, method in methods.items():
        function = getattr(owner, title, None)
        if callable(function) and not getattr(function, "__llmtower__", False):
            watcher = _Watcher(function, method, provider, instrumentation)
            recorded = (_recorded_async if iscoroutinefunction(function) else _recorded)(function, watcher)
            recorded.__llmtower__ = True  # type: ignore[attr-defined]
            setattr(owner, title, recorded)


def refuse(title: str, kind: str, given: Any, package: str, *, extra: str) -> None:
    """Say once that an object is no client of that kind, and whether its package is missing."""
    try:
        missing = "" if find_spec(package) else f" {package} is not installed: pip install 'llmtower[{extra}]'."
    except ModuleNotFoundError:  # the parent package is missing
        missing = f" {package} is not installed: pip install 'llmtower[{extra}]'."
    warn_once(title, "llmtower.%s: %s is no %s; left as it is.%s", title, type(given).__name__, kind, missing)


class _Watcher:
    """One method of one client: opens calls and settles them."""

    def __init__(self, function: Callable[..., Any], method: Method, provider: str, instrumentation: str) -> None:
        self._method, self._provider, self._instrumentation = method, provider, instrumentation
        self._names = tuple(signature(function).parameters)

    def open(self, args: tuple[Any, ...], given: Mapping[str, Any]) -> Call | None:
        """Open the call, unless an outer instrumentation records it already."""
        if scope.within_call():
            return None
        try:
            asked = self._method.asked({**dict(zip(self._names, args, strict=False)), **given})
            return call(
                provider=self._provider,
                model=asked.model or "",
                operation=self._method.operation,
                input=asked.input,
                parameters={key: value for key, value in asked.parameters.items() if value is not None},
                stream=asked.stream,
                instrumentation=self._instrumentation,
            )
        except Exception:
            internal_error(self._instrumentation)
            return None

    def settle(self, opened: Call, result: Any) -> Any:
        """Record an answer, or watch it while it streams; gives what the caller gets."""
        method = self._method
        try:
            extra = method.details(result)
            if opened.stream:
                return method.watch(result, Record(opened, method.reader(), extra))
            conclude(opened, method.whole(result), extra)
        except Exception:
            opened.finish()
            internal_error(self._instrumentation)
        return result

    def fail(self, opened: Call, error: BaseException) -> None:
        """Record what was raised."""
        try:
            extra = self._method.details(error)
        except Exception:  # somebody's exception class
            extra = {}
        opened.finish(error=error, details=extra)


def _recorded(function: Callable[..., Any], watcher: _Watcher) -> Callable[..., Any]:
    @wraps(function)
    def recorded(*args: Any, **given: Any) -> Any:
        opened = watcher.open(args, given)
        if opened is None:
            return function(*args, **given)
        try:
            result = function(*args, **given)
        except BaseException as error:
            watcher.fail(opened, error)
            raise
        return _awaited(result, opened, watcher) if isawaitable(result) else watcher.settle(opened, result)

    return recorded


def _recorded_async(function: Callable[..., Awaitable[Any]], watcher: _Watcher) -> Callable[..., Any]:
    @wraps(function)
    async def recorded(*args: Any, **given: Any) -> Any:
        opened = watcher.open(args, given)
        return await (function(*args, **given) if opened is None else _awaited(function(*args, **given), opened, watcher))

    return recorded


async def _awaited(result: Awaitable[Any], opened: Call, watcher: _Watcher) -> Any:
    try:
        answer = await result
    except BaseException as error:
        watcher.fail(opened, error)
        raise
    return watcher.settle(opened, answer)
