"""Cut texts stay valid, bounded and marked."""

from hypothesis import given
from hypothesis import strategies as st

from llmtower.truncation import cut


@given(st.text(max_size=2_000), st.integers(min_value=64, max_value=1_000))
def test_a_cut_text_fits_and_says_so(text: str, limit: int) -> None:
    size = len(text.encode())
    kept = cut(text, limit)

    assert len(kept.encode()) <= limit
    assert cut(kept, limit) == kept
    if size <= limit:
        assert kept == text
    else:
        head, mark, tail = kept.partition("…[llmtower: cut, ")
        assert text.startswith(head)
        assert mark
        assert tail == f"{size} bytes in all]"


def test_a_character_is_never_halved() -> None:
    assert cut("ä" * 100, 101).startswith("ä")
    assert "�" not in cut("😀" * 100, 101)
