"""Retrieved documents: bounded, redacted one by one, whatever stands beside them."""

from typing import Any

import pytest

import llmtower

KEY = "sk-proj-" + "a1B2" * 12
CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize("secret", [KEY, CARD, f"-----BEGIN PRIVATE KEY-----\n{'A' * 64}\n-----END PRIVATE KEY-----"])
def test_a_secret_in_one_document_is_redacted_and_the_others_stay(captured_calls: list[dict[str, Any]], secret: str) -> None:
    with llmtower.call(provider="acme", model="m") as call:
        call.finish(output="x", retrieved=[{"id": "a", "text": "plain"}, {"id": "b", "text": f"the key is {secret}.", "score": 0.5}])
    first, second = captured_calls[-1]["retrieved"]
    assert first == {"id": "a", "text": "plain"}
    assert "[redacted:" in second["text"]
    assert secret not in second["text"]
    assert second["text"].startswith("the key is ")


def test_harmless_documents_go_as_they_are_and_long_ones_are_cut(captured_calls: list[dict[str, Any]]) -> None:
    with llmtower.call(provider="acme", model="m") as call:
        call.finish(output="x", retrieved=[{"id": "a", "text": "plain ✓"}, {"id": "b", "text": "word " * 10_000}])
    first, second = captured_calls[-1]["retrieved"]
    assert first["text"] == "plain ✓"
    assert len(second["text"]) < 9_000
    assert "bytes" in second["text"][-60:]
