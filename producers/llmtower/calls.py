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
from llmtower.classification import Failure, classify
from llmtower.errors import internal_error
from llmtower.ids import entropy, uuid7
from llmtower.outbox import OVERHEAD_BYTES, Outbox
from llmtower.snapshot import Snapshot, frozen

_context, _parent, _gathered = scope.fields.get, scope.parent.get, scope.gathered.get
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
    opened.bits = entropy(74)
    opened.ttft_ns = 0
    opened.closed = False
    opened.stream = stream
    opened.parent = _parent()
    opened._outbox = outbox = state.outbox
    if outbox is None:
        state.unconfigured()
    else:
        try:
            asked, size = None, _OVERHEAD
            if input is not None:
                asked = frozen(input)
                size += len(asked)
            opened.input, opened.size = asked, size
            opened.parameters = frozen(parameters) if parameters else None
            opened.context = _context()
            opened.provider, opened.model, opened.operation = provider, model, operation
            opened.timeout, opened.instrumentation = timeout, instrumentation
            outbox.put((_REQUEST, opened, size, at_ns))
        except Exception:
            opened._outbox = None
            internal_error("call")
    opened._start = perf_counter_ns()
    return opened


class Call:
    """A call that was started (by `call`); one that is never finished stays visible as its `request` event alone.

    It is what the courier reads, too: whatever is written once, and not copied, costs the caller neither time nor cold memory, and the
    garbage collector has less to look at.
    """

    __slots__ = (
        *("_outbox", "_start", "_token", "at_ns", "bits", "closed", "context", "cost_usd", "details", "embedder", "embedding", "failure"),
        *("finish_reasons", "input", "instrumentation", "model", "operation", "output", "parameters", "parent", "provider", "response_id"),
        *("response_model", "retrieved", "size", "stream", "taken_ns", "timeout", "ttft_ns", "usage"),
    )
    _outbox: Outbox | None
    _start: int
    _token: Token[Any]
    at_ns: int
    bits: int
    closed: bool
    context: scope.Fields
    cost_usd: Any
    details: Snapshot
    embedder: str
    embedding: tuple[float, ...] | None
    failure: Failure | None
    finish_reasons: tuple[str, ...]
    input: Snapshot
    instrumentation: str
    model: str
    operation: str
    output: Snapshot
    parameters: Snapshot
    parent: Any
    """The call or step around, if any."""
    provider: str
    response_id: str
    response_model: str
    retrieved: Snapshot
    size: int
    """Bytes held since the beginning: counted with the request and again with the response, as either may wait alone."""
    stream: bool
    taken_ns: int
    timeout: float | None
    ttft_ns: int
    usage: Snapshot

    @property
    def id(self) -> str:
        """The call's id (UUIDv7): what feedback and scores refer to."""
        return uuid7(self.at_ns, self.bits)

    def first_token(self) -> None:
        """Say that the first token has arrived: the call is a streamed one and has a time to first token."""
        if not self.ttft_ns:
            self.ttft_ns = perf_counter_ns() - self._start

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
        within the step (else the request: `LLMTowerMiddleware`) that encloses this call. With `error` the call has failed, and
        what else is given is what came before.
        """
        if self.closed:
            return
        self.closed = True
        self.taken_ns = taken_ns = perf_counter_ns() - self._start
        outbox = self._outbox
        if outbox is None:
            return
        try:
            size = self.size
            if output is not None:
                output = frozen(output)
                size += len(output)
            if usage is not None:
                usage = frozen(usage)
            self.output, self.usage = output, usage
            around = self.parent
            found: Snapshot = None
            if type(retrieved) is not tuple or retrieved:
                found = frozen(list(retrieved))
            else:
                found = getattr(_gathered() if around is None else around, "found", None)
            if found is not None:
                size += len(found)
            if embedding is not None:
                embedding = _freeze(embedding)
                size += 32 * len(embedding)
            self.retrieved, self.embedding, self.embedder = found, embedding, embedder
            self.finish_reasons = tuple(finish_reasons) if finish_reasons else ()
            self.details = frozen(details) if details else None
            self.failure = None if error is None else classify(error)
            self.response_id, self.response_model, self.cost_usd = response_id, response_model, cost_usd
            outbox.put((_RESPONSE, self, size, self.at_ns + taken_ns))
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
