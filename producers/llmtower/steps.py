"""Steps around calls: retrieval, tool, agent, workflow, guardrail."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from time import perf_counter_ns, time_ns
from types import TracebackType
from typing import Any, Literal, Self

from llmtower import lines, scope, state
from llmtower.classification import Failure, classify
from llmtower.errors import internal_error, warn_once
from llmtower.ids import entropy, uuid7
from llmtower.outbox import OVERHEAD_BYTES
from llmtower.snapshot import LARGE, Snapshot, snapshot

Kind = Literal["retrieval", "tool", "agent", "workflow", "guardrail"]
_KINDS = ("retrieval", "tool", "agent", "workflow", "guardrail")


def step(name: str, *, kind: Kind, input: Any = None, attributes: Mapping[str, Any] | None = None) -> "Step":  # noqa: A002
    """Open a step: `with llmtower.step("search", kind="retrieval") as step: … step.finish(retrieved=documents)`."""
    return Step(name, kind, input, attributes)


def _add(place: "Step | scope.Gathered", documents: bytes) -> None:
    before = place.found
    if not isinstance(before, bytes):
        place.found = documents
    elif len(before) + len(documents) <= LARGE:
        place.found = before[:-1] + b"," + documents[1:]


class Step:
    """A step that was started; calls and steps inside it name it as their parent."""

    __slots__ = (
        *("_token", "at_ns", "attributes", "bits", "context", "end", "failure", "found"),
        *("input", "kind", "name", "output", "parent", "retrieved", "start"),
    )

    def __init__(self, name: str, kind: str, input: Any, attributes: Mapping[str, Any] | None) -> None:  # noqa: A002
        self.at_ns, self.bits, self.end = time_ns(), entropy(74), 0
        self.name, self.kind = name, kind
        self.failure: Failure | None = None
        self.input: Snapshot = None
        self.output: Snapshot = None
        self.retrieved: Snapshot = None
        self.found: Snapshot = None
        self.attributes: dict[str, str] = {}
        try:
            if kind not in _KINDS:
                warn_once(f"kind {kind}", "llmtower.step: %r is no kind of step (%s); recorded as workflow.", kind, ", ".join(_KINDS))
                self.kind = "workflow"
            if state.outbox is not None:
                self.input = snapshot(input)
                self._describe(attributes)
        except Exception:
            internal_error("step")
        self.context, self.parent = scope.fields.get(), scope.parent.get()
        self.start = perf_counter_ns()

    @property
    def id(self) -> str:
        """The step's id (UUIDv7)."""
        return uuid7(self.at_ns, self.bits)

    def _describe(self, attributes: Mapping[str, Any] | None) -> None:
        if attributes:
            self.attributes |= {scope.label(key): scope.label(value) for key, value in list(attributes.items())[:64]}

    def _hand_on(self) -> None:
        """Let the enclosing steps and request know what was retrieved: the calls inside that follow were given it (design, section 3)."""
        around, documents = self.parent, self.retrieved
        if self.kind != "retrieval" or not isinstance(documents, bytes) or len(documents) <= 2:
            return
        while isinstance(around, Step):
            _add(around, documents)
            around = around.parent
        if around is None and (request := scope.gathered.get()) is not None:
            _add(request, documents)

    def finish(
        self,
        *,
        output: Any = None,
        retrieved: Sequence[Any] = (),
        attributes: Mapping[str, Any] | None = None,
        error: BaseException | None = None,
    ) -> None:
        """Close the step; a second time changes nothing."""
        if self.end:
            return None
        self.end = perf_counter_ns()
        outbox = state.outbox
        if outbox is None:
            return state.unconfigured()
        try:
            self.output = snapshot(output)
            self.retrieved = None if retrieved == () else snapshot(list(retrieved))
            self._hand_on()
            self._describe(attributes)
            self.failure = classify(error) if error is not None else None
            size = OVERHEAD_BYTES + sum(len(part) for part in (self.input, self.output, self.retrieved) if part is not None)
            outbox.put((lines.step, self, size, self.at_ns + self.end - self.start))
        except Exception:
            internal_error("step")
        return None

    def __enter__(self) -> Self:
        self._token = scope.parent.set(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with suppress(ValueError):  # left in another context than entered
            scope.parent.reset(self._token)
        if not self.end:
            self.finish(error=error)

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.__exit__(kind, error, trace)
