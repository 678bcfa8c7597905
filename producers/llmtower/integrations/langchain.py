"""LangChain and LangGraph: a callback handler that records models, retrievers, tools and workflows.

    chain.invoke(question, config={"callbacks": [LLMTowerCallbackHandler()]})

One handler serves sync and async runs, streamed or not, and may be shared. What LangChain runs within what is told by its run ids, so
parents are right in threads and tasks as well.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler

from llmtower import scope
from llmtower.calls import Call, call
from llmtower.errors import internal_error
from llmtower.steps import Kind, Step, step

_MOST_RUNS: Final = 10_000
"""Runs that never end are forgotten, the oldest first."""
_NAME: Final = "llmtower.langchain"


class LLMTowerCallbackHandler(BaseCallbackHandler):  # type: ignore[misc]  # langchain is no dependency of the type check
    """Records what a chain does; give it as a callback. It never raises into the chain."""

    run_inline = True
    """In async runs too: the order of the callbacks is the order of the calls."""

    def __init__(self) -> None:
        self._runs: OrderedDict[UUID, Call | Step | None] = OrderedDict()
        self._outside: dict[UUID, Any] = {}

    def on_chat_model_start(
        self, serialized: Any, messages: Sequence[Sequence[Any]], *, run_id: UUID, parent_run_id: UUID | None = None, **given: Any
    ) -> None:
        """A chat model is asked."""
        self._open(run_id, parent_run_id, lambda: _call("chat", [_message(one) for batch in messages for one in batch], given))

    def on_llm_start(
        self, serialized: Any, prompts: Sequence[str], *, run_id: UUID, parent_run_id: UUID | None = None, **given: Any
    ) -> None:
        """A completion model is asked."""
        self._open(run_id, parent_run_id, lambda: _call("text_completion", list(prompts), given))

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **_: Any) -> None:
        """A token has come."""
        found = self._runs.get(run_id)
        if isinstance(found, Call):
            found.first_token()
            self._leave(run_id, found)  # between tokens the caller's own code runs, in this very context

    def on_llm_end(self, response: Any, *, run_id: UUID, **_: Any) -> None:
        """The answer is there."""
        found = self._close(run_id)
        if isinstance(found, Call):
            try:
                found.finish(**_answer(response))
            except Exception:
                internal_error("langchain")
                found.finish()

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """The call has failed."""
        self._fail(run_id, error)

    def on_retriever_start(self, serialized: Any, query: str, *, run_id: UUID, parent_run_id: UUID | None = None, **given: Any) -> None:
        """Documents are looked for."""
        self._step(run_id, parent_run_id, "retrieval", _title(serialized, given, "retriever"), query)

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **_: Any) -> None:
        """Documents are found: the calls that follow in the same workflow were given them."""
        found = self._close(run_id)
        if isinstance(found, Step):
            found.finish(retrieved=[_document(one) for one in documents])

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """No documents."""
        self._fail(run_id, error)

    def on_tool_start(self, serialized: Any, input_str: str, *, run_id: UUID, parent_run_id: UUID | None = None, **given: Any) -> None:
        """A tool is used."""
        self._step(run_id, parent_run_id, "tool", _title(serialized, given, "tool"), given.get("inputs") or input_str)

    def on_tool_end(self, output: Any, *, run_id: UUID, **_: Any) -> None:
        """It has answered."""
        self._finish(run_id, getattr(output, "content", output))

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **_: Any) -> None:
        """It has failed."""
        self._fail(run_id, error)

    def on_chain_start(self, serialized: Any, inputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **given: Any) -> None:
        """A chain begins: the outermost one and LangGraph's nodes are steps, what lies between is passed over."""
        node = (given.get("metadata") or {}).get("langgraph_node")
        name = _title(serialized, given, "chain")
        if parent_run_id is None or (node == name and not name.startswith("__")):  # not LangGraph's own `__start__`
            self._step(run_id, parent_run_id, "workflow", name, None)
        else:
            self._remember(run_id, self._runs.get(parent_run_id))

    def on_chain_end(self, outputs: Any, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any) -> None:
        """It ends."""
        self._end_of_chain(run_id, parent_run_id, None)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, parent_run_id: UUID | None = None, **_: Any) -> None:
        """It fails."""
        self._end_of_chain(run_id, parent_run_id, error)

    def _end_of_chain(self, run_id: UUID, parent_run_id: UUID | None, error: BaseException | None) -> None:
        found = self._runs.pop(run_id, None)
        around = self._runs.get(parent_run_id) if parent_run_id else None
        if isinstance(found, Step) and found is not around:
            found.finish(error=error)

    def _step(self, run_id: UUID, parent_run_id: UUID | None, kind: Kind, name: str, asked: Any) -> None:
        self._open(run_id, parent_run_id, lambda: step(name, kind=kind, input=asked))

    def _open(self, run_id: UUID, parent_run_id: UUID | None, make: Any) -> None:
        try:
            around = self._runs.get(parent_run_id) if parent_run_id else None
            token = scope.parent.set(around) if around is not None else None
            try:
                made = None if scope.within_call() else make()
            finally:
                if token is not None:
                    scope.parent.reset(token)
            self._remember(run_id, made)
            if made is not None and getattr(made, "kind", "") != "workflow":
                self._outside[run_id] = scope.parent.get()
                scope.parent.set(made)
        except Exception:
            internal_error("langchain")

    def _leave(self, run_id: UUID, made: Call | Step | None) -> None:
        """Let what follows in this context lie outside of a run; within it, another instrumentation sees the same call again."""
        if run_id in self._outside:
            outside = self._outside.pop(run_id)
            if scope.parent.get() is made:
                scope.parent.set(outside)

    def _close(self, run_id: UUID) -> Call | Step | None:
        found = self._runs.pop(run_id, None)
        self._leave(run_id, found)
        return found

    def _remember(self, run_id: UUID, made: Call | Step | None) -> None:
        self._runs[run_id] = made
        if len(self._runs) > _MOST_RUNS:
            forgotten, _ = self._runs.popitem(last=False)
            self._outside.pop(forgotten, None)

    def _finish(self, run_id: UUID, output: Any) -> None:
        found = self._close(run_id)
        if found is not None:
            found.finish(output=output)

    def _fail(self, run_id: UUID, error: BaseException) -> None:
        found = self._close(run_id)
        if found is not None:
            found.finish(error=error)


def _call(operation: str, asked: Any, given: Mapping[str, Any]) -> Call:
    parameters = dict(given.get("invocation_params") or {})
    metadata = given.get("metadata") or {}
    model = parameters.pop("model", None) or parameters.pop("model_name", None) or metadata.get("ls_model_name") or ""
    provider = metadata.get("ls_provider") or str(parameters.pop("_type", "")).partition("-")[0]
    stream = parameters.pop("stream", False) is True
    kept = {name: value for name, value in parameters.items() if value is not None and not name.startswith("_")}
    return call(
        provider=str(provider), model=str(model), operation=operation, input=asked, parameters=kept, stream=stream, instrumentation=_NAME
    )


def _answer(response: Any) -> dict[str, Any]:
    generations = [one for batch in response.generations for one in batch]
    messages = [one.message for one in generations if getattr(one, "message", None) is not None]
    raw: dict[str, Any] = dict(response.llm_output or {})
    told = dict(getattr(messages[0], "response_metadata", None) or {}) if messages else {}
    usage = (getattr(messages[0], "usage_metadata", None) if messages else None) or raw.get("token_usage") or told.get("token_usage")
    reasons = [_reason(one) for one in generations]
    return {
        "output": [_message(one) for one in messages] or [one.text for one in generations],
        "usage": dict(usage) if usage else None,
        "response_id": str(told.get("id") or raw.get("id") or ""),
        "response_model": str(told.get("model_name") or told.get("model") or raw.get("model_name") or ""),
        "finish_reasons": [reason for reason in reasons if reason],
        "details": {"service_tier": tier} if (tier := told.get("service_tier")) else None,
    }


def _reason(generation: Any) -> str:
    told = getattr(getattr(generation, "message", None), "response_metadata", None) or {}
    info = getattr(generation, "generation_info", None) or {}
    return str(told.get("finish_reason") or told.get("stop_reason") or info.get("finish_reason") or "")


def _message(message: Any) -> dict[str, Any]:
    said = {"role": getattr(message, "type", ""), "content": getattr(message, "content", "")}
    calls = getattr(message, "tool_calls", None)
    return said | ({"tool_calls": calls} if calls else {})


def _document(document: Any) -> dict[str, Any]:
    metadata = getattr(document, "metadata", None) or {}
    found = getattr(document, "id", None) or metadata.get("id") or metadata.get("source") or ""
    score = metadata.get("score", metadata.get("relevance_score"))
    return {
        "id": str(found),
        "text": getattr(document, "page_content", ""),
        **({"score": score} if isinstance(score, (int, float)) else {}),
    }


def _title(serialized: Any, given: Mapping[str, Any], otherwise: str) -> str:
    named = given.get("name") or (serialized or {}).get("name") if isinstance(serialized, Mapping) or serialized is None else None
    return str(named or otherwise)
