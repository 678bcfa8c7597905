"""Personal data leaves a mark; what only looks a little like it stays."""

import pytest

from llmtower.personal import is_account, redact_personal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("write to ada.lovelace+x@mail.example.org, please", "write to [redacted:email], please"),
        ("my account is DE89 3704 0044 0532 0130 00.", "my account is [redacted:bank-account]."),
        ("GB82WEST12345698765432", "[redacted:bank-account]"),
        ("from 192.168.10.254 at noon", "from [redacted:ip-address] at noon"),
        ("call +49 30 901820 or (030) 90 18 20", "call [redacted:telephone] or [redacted:telephone]"),
        ("call 415-555-0132 now", "call [redacted:telephone] now"),
    ],
)
def test_personal_data_is_marked_once(text: str, expected: str) -> None:
    assert redact_personal(text) == expected
    assert redact_personal(expected) == expected


@pytest.mark.parametrize(
    "text",
    [
        *("a @ b", "version 1.2.3", "version 10.20.30.400", "order 4711", "2026-11-26 12:30", "12.5 %"),
        *("model gpt-4o-2024-08-06", "0.123456789", "costs 1,234,567.89", "[redacted:card]"),
    ],
)
def test_what_is_not_personal_stays(text: str) -> None:
    assert redact_personal(text) == text


def test_check_digits_decide() -> None:
    assert is_account("FR14 2004 1010 0505 0001 3M02 606")
    assert not is_account("FR15 2004 1010 0505 0001 3M02 606")
