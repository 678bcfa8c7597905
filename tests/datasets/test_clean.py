"""What becomes of stored texts, and which of them count as one."""

import orjson
import pytest

from llmtower.personal import redact_personal
from llmtower_processors.datasets.clean import cleaned, is_text, marks, spoken
from llmtower_processors.datasets.near import Seen, shingles, text_hash

MESSAGES = [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "I am ada@example.org\nand you?"}]


def test_json_stays_json_and_every_text_in_it_is_cleaned() -> None:
    stored = orjson.dumps(MESSAGES).decode()
    done = cleaned(stored, redact_personal)
    assert orjson.loads(done)[1]["content"] == "I am [redacted:email]\nand you?"
    assert dict(marks(done, "[redacted:card] [redacted:card]")) == {"email": 1, "card": 2}
    assert cleaned('{"a": 1}', redact_personal) == '{"a": 1}'
    assert cleaned("[mail a@b.org", redact_personal) == "[mail [redacted:email]"


def test_a_text_that_nests_too_deep_is_marked_and_ends() -> None:
    assert "too deep" in cleaned("[" * 100 + '"a@b.org"' + "]" * 100, redact_personal)


@pytest.mark.parametrize(
    ("content", "there"), [("", False), ('{"sha256":"' + "0" * 64 + '","bytes":12}', False), ('{"bytes":12}', True), ("hello", True)]
)
def test_a_hash_in_the_place_of_a_text_is_no_text(content: str, there: bool) -> None:
    assert is_text(content) is there


def test_what_was_said_last_is_what_is_compared() -> None:
    assert spoken(orjson.dumps(MESSAGES).decode(), "fine") == "I am ada@example.org\nand you?\nfine"
    assert spoken("[broken", "{broken") == "[broken\n{broken"


def test_texts_are_equal_but_for_case_and_white_space() -> None:
    assert text_hash("A  b\n", "c") == text_hash("a B", " C")
    assert text_hash("a", "bc") != text_hash("ab", "c")


@pytest.mark.parametrize(("changed", "similar"), [(1, True), (30, False)])
def test_similar_texts_are_told_from_different_ones(changed: int, similar: bool) -> None:
    seen = Seen(0.85)
    words = [f"word{number}" for number in range(100)]
    assert not seen.similar(" ".join(words))
    words[:changed] = [f"other{number}" for number in range(changed)]
    assert seen.similar(" ".join(words)) is similar


def test_many_texts_are_remembered_and_short_ones_compared_whole() -> None:
    seen = Seen(0.9)
    assert not any(seen.similar(f"text number {number} of many others here") for number in range(1_500))
    assert seen.similar("text number 1499 of many others here")
    assert shingles("Two words") == ["two words"]
    assert not seen.similar("")
    assert seen.similar("")
