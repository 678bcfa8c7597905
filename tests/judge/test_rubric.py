"""Rubrics as files: those shipped, one's own, and what is wrong with one that cannot be used."""

import json
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from llmtower_processors.judge.errors import RubricError
from llmtower_processors.judge.rubric import load_rubrics, parse_rubric, rubric_schema

OWN = """
name: tone
version: "2"
question: Is the answer as polite as a good shop assistant would be?
levels: [{value: 0, meaning: rude}, {value: 1, meaning: polite}]
apps: [support-bot]
"""


def test_the_shipped_rubrics_fit_the_schema_that_editors_get() -> None:
    found = load_rubrics(())
    assert [rubric.name for rubric in found] == ["faithfulness", "helpfulness", "relevance"]
    validator = Draft202012Validator(json.loads(rubric_schema()))
    for rubric in found:
        text = Path(f"processors/llmtower_processors/judge/rubrics/{rubric.name}.yaml").read_text("utf-8")
        validator.validate(yaml.safe_load(text))
    assert [rubric.documents for rubric in found] == [True, False, False]
    assert found[0].score == "judge_faithfulness"


def test_a_rubric_of_ones_own_joins_them_and_one_of_the_same_name_replaces_one(tmp_path: Path) -> None:
    (tmp_path / "tone.yaml").write_text(OWN)
    (tmp_path / "help.yml").write_text(OWN.replace("name: tone", "name: helpfulness"))
    tone, helpfulness = load_rubrics(("tone", "helpfulness"), tmp_path)
    assert tone.apps == ("support-bot",)
    assert helpfulness.version == "2"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (OWN.replace("name: tone", "name: Tone!"), "name: "),
        (OWN.replace("value: 1", "value: 0"), "two levels have the same value"),
        (OWN.replace("value: 1", "value: 7"), "levels.1.value"),
        (OWN + "threshold: 0.0", "threshold"),
        (OWN.replace("question:", "questions:"), "questions"),
        ("levels: [", "cannot be read as YAML"),
        ("just words", "is no rubric"),
    ],
)
def test_a_wrong_one_is_refused_with_file_and_field(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(RubricError, match=r"own\.yaml") as found:
        parse_rubric(text, "own.yaml")
    assert said in str(found.value)


def test_names_and_folders_that_are_not_there_are_said(tmp_path: Path) -> None:
    with pytest.raises(RubricError, match=r"No rubric is called kindness\. There are: faithfulness, helpfulness, relevance"):
        load_rubrics(("kindness",))
    with pytest.raises(RubricError, match="LLMTOWER_JUDGE__RUBRICS_DIR"):
        load_rubrics((), tmp_path / "nowhere")
    (tmp_path / "big.yaml").write_text("#" * 70_000)
    with pytest.raises(RubricError, match="larger than 64 KiB"):
        load_rubrics((), tmp_path)
    (tmp_path / "big.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RubricError, match="cannot be read"):
        load_rubrics((), tmp_path)
