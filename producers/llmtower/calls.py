"""One call of a model, as the application sees it: `call(...)`, `first_token()`, `finish(...)`.

The caller's part is a snapshot and two appends; everything else (redaction, sizes, JSON) is done by `lines.py` in the courier's thread.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from contextvars import Token
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import Any, Self

from llmtower import lines, scope, state
from llmtower.classification import classify
from llmtower.errors import internal_error
from llmtower.ids import entropy, uuid7
from llmtower.outbox import OVERHEAD_BYTES, Item, Outbox
from llmtower.snapshot import Snapshot, snapshot

_context, _parent = scope.fields.get, scope.parent.get
_REQUEST, _RESPONSE, _OVERHEAD = lines.request, lines.response, OVERHEAD_BYTES
_new = object.__new__


def call(
    *,
    provider: str = "",
    model: str = "",
    operation: str = "chat",
    input: Any = None,  # noqa: A002 - the name an application's author expects
    parameters: Mapping[str, Any] | None = None,
    stream: bool = False,
    timeout: float | None = None,
    instrumentation: str = "",
) -> "Call":
    """Open a call: `with llmtower.call(provider="openai", model="gpt-4o", input=messages) as call: …`.

    Without `with`, call `finish` or `fail` yourself. `timeout` is in seconds. Without `configure` nothing is recorded.
    """
    opened = _new(Call)  # filled here: an `__init__` would cost a tenth of the whole
    opened.at_ns = at_ns = time_ns()
    opened.bits = bits = entropy(74)
    opened._ttft = 0
    opened.closed = False
    opened.stream = stream
    opened._outbox = outbox = state.outbox
    if outbox is None:
        state.unconfigured()
    else:
        try:
            opened._input = None if input is None else snapshot(input)
            opened._parameters = snapshot(parameters) if parameters else None
            asked = (_REQUEST, bits, _OVERHEAD, at_ns, _context(), _parent(), provider, model, operation, stream, timeout, instrumentation)
            opened._request = asked
            outbox.put(asked)
        except Exception:
            opened._outbox = None
            internal_error("call")
    opened._start = perf_counter_ns()
    return opened


class Call:
    """A call that was started (by `call`); one that is never finished stays visible as its `request` event alone.

    Each event is one flat tuple: what the garbage collector has to look at is what hurts the slowest calls.
    """

    __slots__ = ("_input", "_outbox", "_parameters", "_request", "_start", "_token", "_ttft", "at_ns", "bits", "closed", "stream")
    at_ns: int
    bits: int
    closed: bool
    stream: bool
    _input: Snapshot
    _outbox: Outbox | None
    _parameters: Snapshot
    _request: Item
    _start: int
    _token: Token[Any]
    _ttft: int

    @property
    def id(self) -> str:
        """The call's id (UUIDv7): what feedback and scores refer to."""
        return uuid7(self.at_ns, self.bits)

    @property
    def parent(self) -> Any:
        """The call or step around, if any."""
        return None if self._outbox is None else self._request[5]

    def first_token(self) -> None:
        """Say that the first token has arrived: the call is a streamed one and has a time to first token."""
        if not self._ttft:
            self._ttft = perf_counter_ns() - self._start

    def finish(
        self,
        *,
        output: Any = None,
        usage: Any = None,
        response_id: str = "",
        response_model: str = "",
        finish_reasons: Sequence[str] = (),
        retrieved: Sequence[Any] = (),
        embedding: Sequence[float] | None = None,
        embedder: str = "",
        cost_usd: Any = None,
        details: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Close the call; a second time changes nothing.

        `usage` is the provider's own object or dict, or `llmtower.Usage`. `details` are further fields of the `response` event
        (`service_tier`, `retries`, `http_status` …). `retrieved` is by default what retrieval steps have found so far
        within the step that encloses this call. With `error` the call has failed, and what else is given is what came before.
        """
        if self.closed:
            return
        self.closed = True
        taken_ns = perf_counter_ns() - self._start
        outbox = self._outbox
        if outbox is None:
            return
        try:
            said = None if output is None else snapshot(output)
            used = None if usage is None else snapshot(usage)
            around = self._request[5]
            found = getattr(around, "found", None) if retrieved == () else snapshot(list(retrieved))
            vector = None if embedding is None else _freeze(embedding)
            reasons = tuple(finish_reasons) if finish_reasons else ()
            extra = snapshot(details) if details else None
            failure = None if error is None else classify(error)
            asked = self._input
            size = _OVERHEAD + asked.__sizeof__() + said.__sizeof__() + found.__sizeof__() + 4 * vector.__sizeof__()
            ended = (_RESPONSE, self._request, size, self.at_ns + taken_ns, taken_ns, self._ttft, asked, self._parameters, said, used)
            outbox.put((*ended, response_id, response_model, reasons, found, vector, embedder, cost_usd, extra, failure))
        except Exception:
            internal_error("finish")

    def fail(self, error: BaseException) -> None:
        """Close the call with what went wrong: the exception is classified, its message kept with the contents."""
        self.finish(error=error)

    def __enter__(self) -> Self:
        self._token = scope.parent.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(ValueError):  # left in another context than entered
            scope.parent.reset(self._token)
        if not self.closed:
            self.finish(error=error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)


def _freeze(embedding: Any) -> tuple[float, ...]:
    values = embedding.tolist() if hasattr(embedding, "tolist") else embedding
    return tuple(values)
