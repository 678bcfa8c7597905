"""API keys: what is stored of them, and what is not."""

import pytest

from llmtower_schemas.keys import SCOPES, ApiKey, decode_key, encode_key, key_id_of, make_key


def test_a_key_is_recognised_and_never_stored() -> None:
    text, key = make_key("shop", SCOPES, name="checkout", at_us=5)
    stored = encode_key(key)
    assert text.encode() not in stored
    assert text.split("_", 2)[2].encode() not in stored
    assert decode_key(key.key.encode(), stored) == key
    assert key_id_of(text) == key.key_id
    assert key.fits(text)
    assert not key.fits(text + "x")
    assert not key.model_copy(update={"revoked_at_us": 6}).fits(text)


@pytest.mark.parametrize("text", ["", "llmt", "llmt_", "sk-1", "llmt__", "llmt_zz_x\x00\ud800"])
def test_nonsense_is_no_key(text: str) -> None:
    _, key = make_key("shop", (), name="", at_us=5)
    assert not key.fits(text)


@pytest.mark.parametrize(
    ("record_key", "value"), [(None, b"{}"), (b"key/00", None), (b"silence/1", b"{}"), (b"key/00", b"{"), (b"key/00", b"{}")]
)
def test_records_that_are_no_keys_are_passed_over(record_key: bytes | None, value: bytes | None) -> None:
    assert decode_key(record_key, value) is None


def test_a_key_under_another_ones_name_is_passed_over() -> None:
    _, key = make_key("shop", ("emit",), name="", at_us=5)
    assert decode_key(b"key/" + b"0" * 12, encode_key(key)) is None
    assert isinstance(decode_key(key.key.encode(), encode_key(key)), ApiKey)
