"""Protected labels need a key of the scope promote, from the first such key on."""

import pytest

from llmtower_schemas.chains import RegistryRecord
from llmtower_schemas.keys import ApiKey, Scope, encode_key, make_key
from llmtower_schemas.promotion import NotAllowedError, allowed_by, known_keys


def key(*scopes: Scope) -> tuple[str, ApiKey]:
    return make_key("default", scopes, name="", at_us=1)


def test_open_until_the_first_key_of_that_scope() -> None:
    emit, revoked = key("emit")[1], key("promote")[1].model_copy(update={"revoked_at_us": 2})
    for keys in ({}, {emit.key_id: emit}, {revoked.key_id: revoked}):
        assert allowed_by("production", protected="production", keys=keys, shown="") == ""


@pytest.mark.parametrize(
    ("shown", "sentence"),
    [("", "needs a key with the scope promote"), ("llmt_ab_cd", "unknown or revoked"), ("other", "has no scope promote, only emit")],
)
def test_then_closed_to_all_others(shown: str, sentence: str) -> None:
    text, promote = key("promote")
    other_text, other = key("emit")
    keys = {promote.key_id: promote, other.key_id: other}
    with pytest.raises(NotAllowedError, match=sentence):
        allowed_by("production", protected="production, live", keys=keys, shown=other_text if shown == "other" else shown)
    assert allowed_by("live", protected="production, live", keys=keys, shown=text) == promote.key_id
    assert allowed_by("staging", protected="production, live", keys=keys, shown="") == ""


def test_the_latest_word_on_a_key_counts() -> None:
    text, made = key("promote")
    revoked = made.model_copy(update={"revoked_at_us": 2})
    records = [RegistryRecord("i", 0, 0, made.key.encode(), encode_key(one)) for one in (made, revoked)]
    assert known_keys(records)[made.key_id].revoked_at_us == 2
    assert known_keys([*records, RegistryRecord("i", 2, 0, made.key.encode(), None)]) == {}
    assert made.fits(text)
