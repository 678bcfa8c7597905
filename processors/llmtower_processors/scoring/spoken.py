"""From `response` events to what was said in them, and why nothing was where nothing was."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from llmtower_processors.drift.said import answered, asked, calls_tools, is_blank
from llmtower_processors.scoring.model import Spoken

_HIDDEN: Final = {"off": "no_content", "hash": "hashed"}
_SHORTEST: Final = 16
"""Characters of a document that is looked for in a question."""
SILENT: Final = frozenset({"embeddings", "embedding"})
"""Operations whose answer is no text: they are not scored."""


def spoken(event: Any) -> Spoken:
    """Take one call apart. Content is free-form: what cannot be read as text is `not_text`, and never an error."""
    hidden = _HIDDEN.get(event.capture, "")
    question, no_question = _text(asked, event.input, hidden)
    answer, no_answer = _text(answered, event.output, hidden)
    if no_answer and event.status != "ok":
        no_answer = "failed"
    elif no_answer in ("empty", "not_text") and _uses_tools(event):
        no_answer = "tool_call"
    return Spoken(own_words(question, event.retrieved), answer, no_question, no_answer, event.retrieved, event)


def own_words(question: str, documents: Sequence[Any]) -> str:
    """Take out the documents that were written into the question: what is left is what somebody asked."""
    for document in documents:
        if document.text and len(document.text) >= _SHORTEST and document.text in question:
            question = question.replace(document.text, " ")
    return question


def _text(read: Any, raw: msgspec.Raw, hidden: str) -> tuple[str, str]:
    if hidden:
        return "", hidden
    present = bytes(raw)
    if not present or present == b"null":
        return "", "no_content"
    try:
        text = str(read(raw))
        return (text, "") if text.strip() else ("", "empty" if is_blank(raw) else "not_text")
    except (msgspec.MsgspecError, RecursionError):
        return "", "not_text"


def _uses_tools(event: Any) -> bool:
    try:
        return calls_tools(event.output, event.finish_reasons)
    except (msgspec.MsgspecError, RecursionError):
        return False
