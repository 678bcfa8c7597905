"""Tokens by rule of thumb: right in size, whatever the script, and never of what is no text."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower.estimate import estimate, tokens


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [
        ("", 0, 0),
        ("Parcels leave at noon, except on Sundays and public holidays.", 11, 18),
        ("Die Pakete verlassen mittags das Lager, außer an Sonn- und Feiertagen.", 14, 22),
        ("Посылки отправляются в полдень, кроме воскресений и праздничных дней.", 15, 30),
        ("包裹在中午发出,星期日和公共假日除外。", 12, 22),
        ("荷物は日曜日と祝日を除き、正午に発送されます。", 14, 26),
    ],
)
def test_the_size_is_right(text: str, least: int, most: int) -> None:
    """Wide bounds: words in Latin script, syllables in Cyrillic, characters in Chinese and Japanese."""
    assert least <= tokens(text) <= most


@given(st.text(max_size=200), st.text(max_size=200))
def test_more_text_is_never_fewer_tokens(one: str, other: str) -> None:
    assert max(tokens(one), tokens(other)) <= tokens(one + other) <= tokens(one) + tokens(other) + 1


def test_messages_tools_and_thoughts_count_and_pictures_do_not() -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    messages = [{"role": "system", "content": "x" * 40}, {"role": "user", "content": [{"type": "text", "text": "y" * 80}, picture]}]
    tools = {"tools": [{"type": "function", "function": {"name": "search"}}], "temperature": 1}
    said = [{"role": "assistant", "content": "z" * 20, "reasoning_content": "t" * 400}]

    assert estimate(orjson.dumps(messages), None, orjson.dumps(said)) == {"input_tokens": 39, "output_tokens": 5, "reasoning_tokens": 100}
    assert estimate(orjson.dumps(messages), orjson.dumps(tools), None)["input_tokens"] > 39 + 10
    assert estimate("plain text", None, None) == {"input_tokens": 3}


@pytest.mark.parametrize("odd", [None, b"null", b"5", b"[[[1]]]", b'{"content":{"content":3}}', "\ud800"])
def test_odd_values_are_no_tokens_and_no_fault(odd: bytes | str | None) -> None:
    assert sum(estimate(odd, None, odd).values()) <= 6
