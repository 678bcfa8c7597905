"""`wrap_openai`: the same client back, each of whose chat completions is recorded; same types, same exceptions, same streams.

Nothing is patched globally: the functions are set on the client's own objects. Further endpoints follow the same pattern: a table of
(resource, method) with a reader of its results.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from importlib.util import find_spec
from inspect import isawaitable, iscoroutinefunction, unwrap
from typing import Any, TypeVar

from llmtower.calls import Call, call
from llmtower.chat import Answer, details, output_of
from llmtower.errors import internal_error, warn_once
from llmtower.streams import watch

ClientT = TypeVar("ClientT")

_RAW = "X-Stainless-Raw-Response"
_NO_PARAMETERS = frozenset({"messages", "model", "stream", "extra_headers", "extra_query", "extra_body", "timeout"})
_ABSENT = ("NotGiven", "Omit", "NotGivenOr")

_PROVIDERS = {
    "api.openai.com": "openai",
    "openai.azure.com": "azure",
    "api.groq.com": "groq",
    "api.together.xyz": "together",
    "api.together.ai": "together",
    "openrouter.ai": "openrouter",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks",
    "api.perplexity.ai": "perplexity",
    "api.cerebras.ai": "cerebras",
    "api.x.ai": "x-ai",
    "generativelanguage.googleapis.com": "google",
}
"""Provider by the end of the host's name; any other OpenAI-compatible endpoint counts as `openai` unless told otherwise."""

_STREAM_USAGE = frozenset({"api.openai.com", "api.deepseek.com", "openrouter.ai"})
"""Endpoints documented to take `stream_options`: only these are asked for the usage of a stream on the caller's behalf."""


def wrap_openai(client: ClientT, *, provider: str | None = None, stream_usage: bool | None = None) -> ClientT:
    """Record every chat completion of an `openai.OpenAI` or `AsyncOpenAI` client (Azure and compatible endpoints too).

    `provider` overrides the name taken from the client's base URL. `stream_usage=True` asks any endpoint for the usage of streams (the
    additional chunk is hidden); by default only endpoints known to take the option are asked.
    """
    try:
        _wrap(client, provider, stream_usage)
    except Exception:
        internal_error("wrap_openai")
    return client


def _wrap(client: Any, provider: str | None, stream_usage: bool | None) -> None:
    completions = getattr(getattr(client, "chat", None), "completions", None)
    if completions is None:
        missing = " openai is not installed: pip install 'llmtower[openai]'." if find_spec("openai") is None else ""
        warn_once("wrap_openai", "llmtower.wrap_openai: %s is no OpenAI client; left as it is.%s", type(client).__name__, missing)
        return
    if getattr(completions.create, "__llmtower__", False):
        return
    host = _host(client)
    endpoint = _Endpoint(provider or _provider(host), host in _STREAM_USAGE if stream_usage is None else stream_usage)
    completions.create = _recorded(completions.create, endpoint)
    for name in ("copy", "with_options"):
        if callable(getattr(client, name, None)):
            setattr(client, name, _rewrapping(getattr(client, name), provider, stream_usage))


def _rewrapping(copy: Callable[..., Any], provider: str | None, stream_usage: bool | None) -> Callable[..., Any]:
    """Let `client.with_options(…)` give a wrapped client too."""

    @wraps(copy)
    def copied(*args: Any, **options: Any) -> Any:
        return wrap_openai(copy(*args, **options), provider=provider, stream_usage=stream_usage)

    return copied


def _host(client: Any) -> str:
    return str(getattr(getattr(client, "base_url", None), "host", "") or "")


def _provider(host: str) -> str:
    return next((name for end, name in _PROVIDERS.items() if host == end or host.endswith("." + end)), "openai")


class _Endpoint:
    """How one client's chat completions are called and recorded."""

    def __init__(self, provider: str, stream_usage: bool) -> None:
        self.provider, self.stream_usage = provider, stream_usage

    def open(self, given: Mapping[str, Any]) -> tuple[Call, dict[str, Any], bool]:
        """Start the call: gives it, the arguments to send, and whether the caller wants the parsed result (not a raw response)."""
        plain = _RAW.lower() not in {str(key).lower() for key in given.get("extra_headers") or ()}
        arguments = dict(given)
        timeout = given.get("timeout")
        opened = call(
            provider=self.provider,
            model=given.get("model", ""),
            input=given.get("messages"),
            parameters={k: v for k, v in given.items() if k not in _NO_PARAMETERS and type(v).__name__ not in _ABSENT},
            stream=given.get("stream") is True,
            timeout=timeout if isinstance(timeout, (int, float)) else None,
            instrumentation="llmtower.openai",
        )
        if plain:
            arguments["extra_headers"] = {**(given.get("extra_headers") or {}), _RAW: "true"}
        return opened, arguments, plain

    def asks_usage(self, arguments: dict[str, Any], plain: bool) -> bool:
        """Ask for a stream's usage where that is safe and the caller did not; says whether the extra chunk is to be hidden."""
        wanted = arguments.get("stream_options")
        if not (self.stream_usage and plain and arguments.get("stream") is True):
            return False
        if isinstance(wanted, Mapping) and "include_usage" in wanted:
            return False
        arguments["stream_options"] = {**(wanted if isinstance(wanted, Mapping) else {}), "include_usage": True}
        return True

    def close(self, opened: Call, result: Any, plain: bool, hide: bool) -> Any:
        """Record a result, or watch it while it streams; gives what the caller gets."""
        wrapped = hasattr(result, "http_response") and callable(getattr(result, "parse", None))
        if not plain:
            self._raw(opened, result if wrapped else None)
            return result
        answer = result.parse() if wrapped else result
        try:
            extra = details(getattr(result, "http_response", None), getattr(result, "retries_taken", None))
            if hasattr(answer, "_iterator"):
                watch(answer, opened, extra, hide=hide)
            else:
                _finish(opened, answer, extra)
        except Exception:
            internal_error("wrap_openai")
        return answer

    def _raw(self, opened: Call, result: Any) -> None:
        """The caller reads the response by itself: record what is known without reading it for them."""
        try:
            answer = result.parse() if result is not None and not opened.stream else None
            extra = details(getattr(result, "http_response", None), getattr(result, "retries_taken", None))
        except Exception:  # the answer does not parse: the caller will see that themselves
            answer, extra = None, {}
        _finish(opened, answer, extra)


def _finish(opened: Call, answer: Any, extra: Mapping[str, Any]) -> None:
    read = Answer.of(answer)
    opened.finish(
        output=output_of(answer),
        usage=read.usage,
        response_id=read.id,
        response_model=read.model,
        finish_reasons=read.finish_reasons,
        details={**extra, "service_tier": read.service_tier},
    )


def _recorded(create: Callable[..., Any], endpoint: _Endpoint) -> Callable[..., Any]:
    """Give `create` with recording around it, coroutine function or not as it was (openai hides that behind a plain decorator)."""
    recorded = _recorded_async(create, endpoint) if iscoroutinefunction(unwrap(create)) else _recorded_sync(create, endpoint)
    recorded.__llmtower__ = True  # type: ignore[attr-defined]
    return recorded


def _recorded_sync(create: Callable[..., Any], endpoint: _Endpoint) -> Callable[..., Any]:
    @wraps(create)
    def recorded(*args: Any, **given: Any) -> Any:
        opened, arguments, plain = endpoint.open(given)
        hide = endpoint.asks_usage(arguments, plain)
        try:
            result = create(*args, **arguments)
            if isawaitable(result):  # an asynchronous client behind a plain function
                return _awaited(result, endpoint, opened, plain, hide)
            return endpoint.close(opened, result, plain, hide)
        except BaseException as error:
            opened.finish(error=error, details=_of_error(error))
            raise

    return recorded


async def _awaited(result: Awaitable[Any], endpoint: _Endpoint, opened: Call, plain: bool, hide: bool) -> Any:
    try:
        return endpoint.close(opened, await result, plain, hide)
    except BaseException as error:
        opened.finish(error=error, details=_of_error(error))
        raise


def _recorded_async(create: Callable[..., Awaitable[Any]], endpoint: _Endpoint) -> Callable[..., Any]:
    @wraps(create)
    async def recorded(*args: Any, **given: Any) -> Any:
        opened, arguments, plain = endpoint.open(given)
        hide = endpoint.asks_usage(arguments, plain)
        return await _awaited(create(*args, **arguments), endpoint, opened, plain, hide)

    return recorded


def _of_error(error: BaseException) -> dict[str, Any]:
    try:
        return details(getattr(error, "response", None), None)
    except Exception:  # somebody's exception class
        return {}
