"""Cases: read or refused with a sentence; fields become variables by name or by a mapping; what does not fit names both sides."""

from pathlib import Path

import pytest

from llmtower_processors.errors import NotConfigured
from llmtower_processors.prompts.cases import Case, Row, file_rows, read_cases, read_mapping
from llmtower_schemas.prompts import Prompt, Variable, Version

PROMPT = Prompt(text="{{ question }} {{ tone }}", variables={"question": Variable(), "tone": Variable(default="kind", required=False)})
VERSION = Version(name="support/answer", number=7, sha256=PROMPT.sha256(), prompt=PROMPT)


def cases(tmp_path: Path, text: str, *mapping: str, most: int = 0) -> list[Case]:
    file = tmp_path / "cases.jsonl"
    file.write_text(text)
    return read_cases(file_rows(file), read_mapping(mapping), source=str(file), most=most)


def test_lines_become_cases_each_once(tmp_path: Path) -> None:
    text = (
        '{"variables": {"q": "a"}, "expected": "b"}\n\n{"q": "c"}\n{"q": "c"}\n'
        '{"variables": {"q": "d"}, "expected": {"x": 1}, "documents": ["one", {"text": "two"}]}\n'
    )
    found = cases(tmp_path, text)
    assert [(one.variables, one.expected) for one in found] == [({"q": "a"}, "b"), ({"q": "c"}, None), ({"q": "d"}, '{"x":1}')]
    assert [one.documents for one in found] == [(), (), ("one", "two")]
    assert len({one.key for one in found}) == 3
    assert [one.variables["q"] for one in cases(tmp_path, text, most=1)] == ["a"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "holds no case"),
        ("{\n", "line 1: is no JSON"),
        ("[]", "line 1: is to be an object"),
        ('{"variables": 3}', "line 1"),
        ('{"variables": {"q": "x"}, "documents": [3]}', "documents are to be texts"),
    ],
)
def test_a_malformed_dataset_is_a_sentence(text: str, sentence: str, tmp_path: Path) -> None:
    with pytest.raises(NotConfigured, match=sentence):
        cases(tmp_path, text)
    with pytest.raises(NotConfigured, match="cannot be read"):
        list(file_rows(tmp_path / "none.jsonl"))


def test_columns_are_mapped_to_variables(tmp_path: Path) -> None:
    (one,) = cases(tmp_path, '{"query": "Where?", "answer": "There", "context": "It is there.", "id": 3}', "question=query",
                   "expected=answer", "documents=context")  # fmt: skip
    assert one.values_for(VERSION) == {"question": "Where?"}, "the default stands, other columns are no mistake"
    assert (one.expected, one.documents) == ("There", ("It is there.",))
    (one,) = cases(tmp_path, '{"variables": {"q": "Where?"}, "tone": "curt"}', "question=q", "tone=tone")
    assert one.values_for(VERSION) == {"question": "Where?", "tone": "curt"}


def test_what_does_not_fit_names_both_sides(tmp_path: Path) -> None:
    (one,) = cases(tmp_path, '{"q": "Where?", "ton": "curt"}')
    with pytest.raises(NotConfigured) as raised:
        one.values_for(VERSION)
    assert str(raised.value).endswith(
        "line 1 does not fit: support/answer@7 takes question, tone; the case has q, ton"
        " (missing: question; unknown to the prompt: q, ton). --map VARIABLE=FIELD says"
        " which field of a case a variable is. Nothing was asked."
    )
    with pytest.raises(NotConfigured, match=r"has no field query, which --map question=query names; it has q\."):
        cases(tmp_path, '{"q": "Where?"}', "question=query")


@pytest.mark.parametrize("text", ["question", "=x", "question=", " = "])
def test_what_is_no_mapping_is_a_sentence(text: str) -> None:
    with pytest.raises(NotConfigured, match="is no mapping"):
        read_mapping([text])


def test_a_variable_called_expected_is_one_of_the_prompt() -> None:
    (one,) = read_cases([Row("x", {"expected": "v"}, {"expected": "v", "documents": "d"})], {}, source="x")
    assert (one.variables, one.expected, one.documents) == ({"expected": "v"}, None, ("d",))
