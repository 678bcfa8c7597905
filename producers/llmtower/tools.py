"""`@llmtower.tool`: a function whose calls are steps of kind `tool`, with their arguments and results."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction, signature
from typing import Any, TypeVar, overload

from llmtower.steps import Step, step

FunctionT = TypeVar("FunctionT", bound=Callable[..., Any])


@overload
def tool(function: FunctionT, /) -> FunctionT: ...


@overload
def tool(*, name: str) -> Callable[[FunctionT], FunctionT]: ...


def tool(function: Any = None, /, *, name: str = "") -> Any:
    """Record each call of a function as a tool step: `@llmtower.tool` or `@llmtower.tool(name="search")`.

    The function stays what it was, a coroutine function or not; calls of models inside it name the step as their parent.
    """
    if function is None:
        return lambda decorated: _recorded(decorated, name)
    return _recorded(function, name)


def _recorded(function: Any, name: str) -> Any:
    title = name or getattr(function, "__name__", "") or "tool"
    names = _names(function)

    def opened(args: tuple[Any, ...], given: dict[str, Any]) -> Step:
        return step(title, kind="tool", input={**dict(zip(names, args, strict=False)), **given})

    @wraps(function)
    def recorded(*args: Any, **given: Any) -> Any:
        with opened(args, given) as current:
            result = function(*args, **given)
            current.finish(output=result)
        return result

    @wraps(function)
    async def recorded_async(*args: Any, **given: Any) -> Any:
        async with opened(args, given) as current:
            result = await function(*args, **given)
            current.finish(output=result)
        return result

    return recorded_async if iscoroutinefunction(function) else recorded


def _names(function: Any) -> tuple[str, ...]:
    """Name the positional arguments; a function without a signature has none that are known."""
    try:
        return tuple(signature(function).parameters)
    except (TypeError, ValueError):
        return ()
