"""The forms of lines, as one literal table: how a line is made of an example, and the rules of who reads it, checked on every line.

Sources: OpenAI fine-tuning guide (chat and preference JSONL), Vertex AI supervised tuning for Gemini, Stanford Alpaca with the fields
`system` and `history` of LLaMA-Factory; `cases` is what `llmtower prompts test` reads.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from llmtower_processors.datasets.exports.examples import Example, Item, Unusable, example

Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Form:
    """One form: what makes a line, what is wrong with a line ('' = nothing), how many lines a file must have at least.

    `answer`: whether a row without an answer in text is of no use.
    """

    make: Callable[[Example], Line]
    fault: Callable[[Line], str]
    least: int = 1
    answer: bool = True


def line(form: Form, item: Item) -> Line:
    """Make the line of a row. Raises Unusable."""
    read = example(item)
    if form.answer and not read.answer:
        raise Unusable("its answer has no text (a tool call, a refusal to answer, an error)")
    made = form.make(read)
    if wrong := form.fault(made):
        raise Unusable(wrong)
    return made


def _messages(one: Example) -> list[Line]:
    return [{"role": turn.role, "content": turn.text} for turn in one.turns]


def _chat(one: Example) -> Line:
    return {"messages": [*_messages(one), {"role": "assistant", "content": one.answer}]}


def _preference(one: Example) -> Line:
    if not one.worse:
        raise Unusable("nobody corrected it, and no other answer to the same input was rated badly")
    if one.worse == one.answer:
        raise Unusable("its better and its worse answer are the same")
    given = {"messages": _messages(one), "tools": [], "parallel_tool_calls": True}
    sides = {"preferred_output": one.answer, "non_preferred_output": one.worse}
    return {"input": given} | {name: [{"role": "assistant", "content": text}] for name, text in sides.items()}


def _gemini(one: Example) -> Line:
    system = "\n\n".join(turn.text for turn in one.turns if turn.role == "system")
    roles = {"user": "user", "assistant": "model"}
    turns = [(roles[turn.role], turn.text) for turn in one.turns if turn.role != "system"] + [("model", one.answer)]
    contents = [{"role": role, "parts": [{"text": text}]} for role, text in turns]
    head: Line = {"systemInstruction": {"role": "system", "parts": [{"text": system}]}} if system else {}
    return head | {"contents": contents}


def _alpaca(one: Example) -> Line:
    system = "\n\n".join(turn.text for turn in one.turns if turn.role == "system")
    turns = [turn for turn in one.turns if turn.role != "system"]
    before = turns[:-1]
    if [turn.role for turn in before] != ["user", "assistant"] * (len(before) // 2):
        raise Unusable("its turns do not alternate, which this form cannot hold")
    history = [[asked.text, said.text] for asked, said in zip(before[::2], before[1::2], strict=True)]
    made: Line = {"instruction": turns[-1].text, "input": "", "output": one.answer}
    return made | ({"system": system} if system else {}) | ({"history": history} if history else {})


def _case(one: Example) -> Line:
    asked = {"variables": {"question": next(turn.text for turn in reversed(one.turns) if turn.role == "user")}}
    return asked | ({"expected": one.answer} if one.worse else {})


def _case_fault(made: Line) -> str:
    return "" if made["variables"]["question"].strip() else "its question is empty"


def _chat_fault(made: Line) -> str:
    messages = made["messages"]
    if messages[-1]["role"] != "assistant":
        return "the last message is not the assistant's"
    return _messages_fault(messages)


def _messages_fault(messages: list[Line]) -> str:
    if any(one["role"] not in ("system", "user", "assistant") for one in messages):
        return "a message has a role that is not allowed"
    if any(not isinstance(one["content"], str) or not one["content"].strip() for one in messages):
        return "a message is empty"
    return "" if any(one["role"] == "user" for one in messages) else "no message is the user's"


def _preference_fault(made: Line) -> str:
    messages = made["input"]["messages"]
    if wrong := _messages_fault(messages):
        return wrong
    if messages[-1]["role"] == "assistant":
        return "its input ends with an answer"
    answers = [made[name][0]["content"] for name in ("preferred_output", "non_preferred_output")]
    return "" if all(text.strip() for text in answers) else "an answer is empty"


def _gemini_fault(made: Line) -> str:
    roles = [one["role"] for one in made["contents"]]
    if roles[0] != "user" or any(before == after for before, after in pairwise(roles)):
        return "its turns do not alternate, which this form cannot hold"
    empty = any(not part["text"].strip() for one in made["contents"] for part in one["parts"])
    return "a turn is empty" if empty else ""


def _alpaca_fault(made: Line) -> str:
    return "" if made["instruction"].strip() and made["output"].strip() else "its instruction or its output is empty"


FORMS: Final[Mapping[str, Form]] = {
    "openai-chat": Form(_chat, _chat_fault, least=10),
    "preference": Form(_preference, _preference_fault),
    "gemini": Form(_gemini, _gemini_fault),
    "alpaca": Form(_alpaca, _alpaca_fault),
    "cases": Form(_case, _case_fault, answer=False),
}
"""Forms of one JSON object a line."""
