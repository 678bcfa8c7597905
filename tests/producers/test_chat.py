"""A streamed chat completion is put together alike, whether its chunks take the short way or the long one."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai._models import construct_type
from openai.types.chat import ChatCompletionChunk

from llmtower.chat import Chunks
from llmtower.tee import fields

TOOL = {"index": 0, "id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
DELTAS = st.fixed_dictionaries(
    {},
    optional={
        "content": st.sampled_from(["", "a", "b c", None]),
        "role": st.just("assistant"),
        "refusal": st.just("no"),
        "reasoning_content": st.just("hm"),
        "reasoning": st.just("so"),
        "tool_calls": st.just([TOOL]),
    },
)
PLAIN = st.builds(lambda text: {"content": text}, st.sampled_from(["one ", "two ", "three "]))
CHOICES = st.fixed_dictionaries(
    {
        "index": st.sampled_from([0, 0, 0, 1]),
        "delta": st.one_of(PLAIN, PLAIN, DELTAS),
        "finish_reason": st.sampled_from([None, None, "stop"]),
    }
)
CHUNKS = st.fixed_dictionaries(
    {"choices": st.one_of(CHOICES.map(lambda choice: [choice]), st.lists(CHOICES, max_size=2))},
    optional={
        "id": st.sampled_from(["c1", "c2"]),
        "model": st.sampled_from(["", "m1", "m1", "m2"]),
        "usage": st.sampled_from([None, {"prompt_tokens": 1}]),
        "service_tier": st.sampled_from([None, "flex", "default"]),
    },
)


@settings(max_examples=60)
@given(st.lists(CHUNKS, max_size=12))
def test_a_clients_chunks_and_plain_json_say_the_same(chunks: list[dict[str, Any]]) -> None:
    models, plain = Chunks(), Chunks()
    brought = [(models.add(construct_type(type_=ChatCompletionChunk, value=chunk)), plain.add(fields(chunk))) for chunk in chunks]

    assert all(one == other for one, other in brought)
    assert models.complete == plain.complete
    one, other = models.facts(), plain.facts()
    assert (one.pop("usage") is None) == (other.pop("usage") is None)
    assert one == other


def test_most_chunks_take_the_short_way() -> None:
    """Without this, a new field in the client's models would turn it off unseen."""
    reader = Chunks()
    text = {"id": "c", "model": "m", "choices": [{"index": 0, "delta": {"content": "word "}, "finish_reason": None}]}
    reader.add(construct_type(type_=ChatCompletionChunk, value=text))

    assert reader._only_text(construct_type(type_=ChatCompletionChunk, value=text)) == "word "
