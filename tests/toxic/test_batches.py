"""Batches by length: everything once, little padding, never more tokens than allowed."""

from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.toxic.batches import STEP, batches, padded


@given(st.lists(st.integers(0, 512), max_size=60), st.integers(1, 4_096))
def test_every_text_is_in_one_batch_and_batches_are_bounded(lengths: list[int], tokens: int) -> None:
    found = list(batches(lengths, tokens=tokens))
    assert sorted(index for batch in found for index in batch) == list(range(len(lengths)))
    for batch in found:
        longest, shortest = max(lengths[index] for index in batch), min(lengths[index] for index in batch)
        assert longest - shortest < STEP or longest <= STEP
        assert len(batch) == 1 or len(batch) * longest <= tokens


def test_padding_is_masked() -> None:
    ids, mask = padded([[5, 6, 7], [8]], 0)
    assert ids.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert mask.tolist() == [[1, 1, 1], [1, 0, 0]]
