"""Prompts as files: what is read, what is refused in which words, what a plan says."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.prompts.files import PromptFileError, file_text, parse_prompt, read_folder
from llmtower_processors.prompts.plan import plan
from llmtower_schemas.chains import RegistryRecord, entry_key
from llmtower_schemas.prompt_book import PromptBook
from llmtower_schemas.prompts import Message, Prompt, Variable, encode_prompt

CHAT = """---
variables:
  question: string
  tone: {type: string, default: brief, description: how to sound}
parameters: {model: gpt-4o, temperature: 0.2}
tools:
  - {type: function, function: {name: find_order}}
author: anna
---

system:
You are {{ tone }}.

# user: is no role
user:
{{ question }}
"""


def test_a_chat_with_everything() -> None:
    prompt = parse_prompt(CHAT, "a.md")
    assert prompt.messages == (
        Message(role="system", content="You are {{ tone }}.\n\n# user: is no role"),
        Message(role="user", content="{{ question }}"),
    )
    assert prompt.variables == {"question": Variable(), "tone": Variable(default="brief", description="how to sound")}
    assert (prompt.parameters, prompt.author) == ({"model": "gpt-4o", "temperature": 0.2}, "anna")
    assert parse_prompt(file_text(prompt), "b.md") == prompt


def test_a_text_is_itself() -> None:
    assert parse_prompt("Answer {{ question }}\nuser: hm\n", "a.md").text == "Answer {{ question }}\nuser: hm"
    assert parse_prompt("---\n---\n--- a\n", "a.md").text == "--- a"


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), max_size=40)


ROLES = st.sampled_from(["system", "user", "assistant"])
MESSAGES = st.lists(st.builds(lambda role, text: Message(role=role, content=f"x{text}"), ROLES, WORDS), min_size=1, max_size=3)
TEXTS = st.builds(lambda text: Prompt(text=f"x{text}"), WORDS)
CHATS = MESSAGES.map(lambda messages: Prompt(form="chat", messages=tuple(messages), parameters={"temperature": 0.5}, note="n"))


@given(st.one_of(TEXTS, CHATS))
def test_a_file_reads_back_as_the_same(prompt: Prompt) -> None:
    assert parse_prompt(file_text(prompt), "a.md") == prompt


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("---\na: [\n---\nx", r"^a\.md, line \d: what stands between the --- lines is no YAML\.$"),
        ("---\n- a\n---\nx", r"^a\.md: what stands between the --- lines is to be keys with values\.$"),
        ("---\nvariabels: {}\n---\nx", r"^a\.md: variabels is no key of a prompt file\. There are: variables, "),
        ("---\nvariables: [a]\n---\nx", r"^a\.md: variables are to be names with a type"),
        ("---\nvariables: {a: text}\n---\nx", r"^a\.md: type: Input should be 'string'"),
        ("---\nvariables: {'a-b': string}\n---\nx", r"^a\.md: variables\.a-b\.\[key\]: String should match pattern"),
        ("---\nparameters: 3\n---\nx", r"^a\.md: parameters: Input should be a valid dictionary\.$"),
    ],
)
def test_what_is_wrong_is_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(PromptFileError, match=sentence):
        parse_prompt(text, "a.md")


def test_a_folder_is_read_by_its_paths(tmp_path: Path) -> None:
    for name in ("support/answer.md", "support/réponse.md", "README.md", ".git/x.md", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("Hi", "utf-8")
    assert sorted(read_folder(tmp_path)) == ["support/answer", "support/réponse"]
    (tmp_path / "bad.md").write_bytes(b"\xff")
    with pytest.raises(PromptFileError, match=r"bad\.md: is not UTF-8"):
        read_folder(tmp_path)
    with pytest.raises(PromptFileError, match="is no folder"):
        read_folder(tmp_path / "none")


def test_a_plan_names_what_differs() -> None:
    book = PromptBook()
    stored = {"same": "a", "other": "old", "elsewhere": "x"}
    book.learn(
        RegistryRecord("i", place, 0, entry_key(f"prompt/{name}", 1, f"{place:032x}").encode(), encode_prompt(Prompt(text=text)))
        for place, (name, text) in enumerate(stored.items())
    )
    found = plan({"same": Prompt(text="a", author="bert"), "other": Prompt(text="new"), "fresh": Prompt(text="b")}, book)
    assert [(one.action, one.name, one.number) for one in found] == [
        ("create", "fresh", 1), ("update", "other", 2), ("same", "same", 1), ("elsewhere", "elsewhere", 1),
    ]  # fmt: skip
    assert found[1].difference == "--- other@1\n+++ other@2\n@@ -1 +1 @@\n-old\n+new"
