"""Secrets leave a mark; everything else stays as it was."""

import re
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower.redaction import redact, suspicious
from llmtower_schemas.secrets import is_card

MARK = re.compile(r"\[redacted:[a-z-]+\]")

SECRETS = {
    "api-key": "sk-proj-Abcdefghijklmnop1234567890",
    "aws-key": "AKIA" + "IOSFODNN7EXAMPLE",
    "github-token": "ghp_" + "a1B2" * 9,
    "gitlab-token": "glpat-" + "x1y2" * 5,
    "slack-token": "xoxb-" + "123456789012-abcdef",
    "google-key": "AIza" + "SyA1" * 9,
    "stripe-key": "sk_live_" + "a1b2" * 6,
    "jwt": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLXBhcnQ",
    "bearer": "Bearer 0123456789abcdef0123",
    "card": "4111 1111 1111 1111",
    "private-key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nabc\n-----END RSA PRIVATE KEY-----",
    "aws-secret": "aws_secret_access_key = " + "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
}


@pytest.mark.parametrize("kind", SECRETS)
def test_each_secret_leaves_its_mark(kind: str) -> None:
    text = f"see {SECRETS[kind]} and go on"

    assert redact(text) == f"see [redacted:{kind}] and go on"
    assert suspicious(orjson.dumps({"content": text}))


@pytest.mark.parametrize(
    ("number", "card"),
    [
        ("4111111111111111", True),
        ("4111111111111112", False),
        ("378282246310005", True),
        ("5555555555554444", True),
        ("6011111111111117", True),
        ("1234567890123452", False),
        ("411111111111", False),
    ],
)
def test_cards_need_prefix_length_and_check_digit(number: str, card: bool) -> None:
    assert is_card(number) is card
    assert redact(f"pay {number} now") == ("pay [redacted:card] now" if card else f"pay {number} now")


def test_a_card_beside_other_digits_is_found() -> None:
    assert redact("4111-1111-1111-1111 12/27 cvc 123") == "[redacted:card] 12/27 cvc 123"
    assert redact("4111 1111 1111 1111 5555 5555 5555 4444") == "[redacted:card] [redacted:card]"


def test_ordinary_numbers_and_words_stay() -> None:
    text = (
        "Order 1795475757955373692 of 2026-11-23 costs 12.50; the bearer of internationalization; sk-learn; "
        "01a20ab1-db83-7911-8400-0d6215285cd6"
    )

    assert redact(text) == text


def test_a_private_key_without_its_end_goes_to_the_end() -> None:
    assert redact("x -----BEGIN PRIVATE KEY-----\nMIIabc") == "x [redacted:private-key]"


pieces = st.one_of(st.text(max_size=40), st.sampled_from(sorted(SECRETS.values())), st.from_regex(r"[0-9 -]{1,30}", fullmatch=True))


@given(st.lists(pieces, max_size=8).map("".join))
def test_redaction_is_idempotent_and_takes_nothing_but_what_it_marks(text: str) -> None:
    redacted = redact(text)

    assert redact(redacted) == redacted
    position = 0
    for piece in MARK.split(redacted):
        found = text.find(piece, position)
        assert found >= 0
        position = found + len(piece)


@given(st.lists(pieces, max_size=8).map("".join))
def test_what_is_not_suspicious_is_not_changed(text: str) -> None:
    if not suspicious(orjson.dumps(text)):
        assert redact(text) == text


@pytest.mark.parametrize(
    "evil", ["1 1 ", "12 34 ", "4111 1111 1111 1111 ", "sk-", "eyJ", "Bearer ", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----"]
)
def test_hostile_text_takes_linear_time(evil: str) -> None:
    text = (evil * 100_000)[:73_000]
    started = time.process_time()
    redact(text)

    assert time.process_time() - started < 2.0
