"""What personal data and secrets look like in text: keys, tokens and checksummed card numbers.

Shared by the SDK, which takes them out before anything leaves a process, and by the scoring processors, which count what still comes by.
"""

import re
from collections.abc import Iterator

SECRETS: tuple[tuple[str, tuple[str, ...], str], ...] = (
    (
        "private-key",
        ("-----BEGIN",),
        r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----[\s\S]*?(?:-----END [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----|\Z)",
    ),
    ("jwt", ("eyJ",), r"\beyJ[A-Za-z0-9_-]{13,}\.[A-Za-z0-9_-]{4,}(?:\.[A-Za-z0-9_-]*)?"),
    ("bearer", ("earer", "EARER"), r"\b[Bb](?:earer|EARER)[ \t]+(?=[^\s]{0,200}\d)[A-Za-z0-9._~+/=-]{16,}"),
    ("aws-secret", ("ecret", "ECRET"), r"(?i:aws_?secret_?access_?key)[^A-Za-z0-9]{1,8}[A-Za-z0-9/+=]{40}"),
    ("aws-key", ("AKIA", "ASIA", "ABIA", "ACCA"), r"\b(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}\b"),
    ("github-token", ("gh", "github_pat_"), r"\b(?:gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,})"),
    ("gitlab-token", ("glpat-",), r"\bglpat-[A-Za-z0-9_-]{20,}"),
    ("slack-token", ("xox",), r"\bxox[abeoprs]-[A-Za-z0-9-]{12,}"),
    ("google-key", ("AIza",), r"\bAIza[A-Za-z0-9_-]{30,}"),
    ("stripe-key", ("_live_", "_test_"), r"\b(?:sk|rk|pk)_(?:live|test)_[A-Za-z0-9]{10,}"),
    (
        "api-key",
        ("sk-", "gsk_", "hf_", "xai-", "pplx-", "r8_", "nvapi-", "fw_", "tgp_v1_"),
        r"\b(?:sk-|gsk_|hf_|xai-|pplx-|r8_|nvapi-|fw_|tgp_v1_)(?=[A-Za-z_-]{0,200}\d)[A-Za-z0-9_-]{16,}",
    ),
)
"""Kind, texts without which there is none (a search for them is twenty times as fast), pattern."""

_CARD_RUN = re.compile(r"(?<![\d.])\d{2,19}(?:[ -]\d{2,19}){0,400}(?!\d)")
_GROUP = re.compile(r"\d+")
_CARD_LENGTHS: tuple[tuple[str, frozenset[int]], ...] = (
    (r"4", frozenset({13, 16, 19})),
    (r"(?:5[1-5]|2[2-7]|35)", frozenset({16})),
    (r"3[47]", frozenset({15})),
    (r"3[068]", frozenset({14})),
    (r"6", frozenset({16, 17, 18, 19})),
)
_CARDS = tuple((re.compile(prefix), lengths) for prefix, lengths in _CARD_LENGTHS)


_RUN = 16
"""No pattern matches without this many characters of `_WORD` in a row (but for private keys)."""
_WORD = bytes(97 if chr(i) in "-_.~+/=" or (i < 128 and chr(i).isalnum()) else 32 for i in range(256))
_DIGITS = bytes(48 if 48 <= i <= 57 else 32 for i in range(256))
_WORD_RUN, _DIGIT_RUN = b"a" * _RUN, b"0" * 13
_NO_DIGITS = bytes(i for i in range(256) if not 48 <= i <= 57)


def may_hold_secret(raw: bytes) -> bool:
    """Say whether UTF-8 could match any of `SECRETS`: a superset, ten times as fast."""
    return _WORD_RUN in raw.translate(_WORD) or b"-----BEGIN" in raw


def may_hold_card(raw: bytes) -> bool:
    """Say whether UTF-8 could hold a card number: a superset, forty times as fast; most texts have too few digits in all."""
    return len(raw.translate(None, _NO_DIGITS)) >= len(_DIGIT_RUN) and _DIGIT_RUN in raw.translate(_DIGITS, b" -")


def find_cards(text: str) -> Iterator[tuple[int, int]]:
    """Find card numbers, whole or in groups: where each begins and ends."""
    for run in _CARD_RUN.finditer(text):
        if run.end() - run.start() >= 13:
            yield from ((run.start() + begin, run.start() + end) for begin, end in _in_groups(run.group()))


def _in_groups(text: str) -> Iterator[tuple[int, int]]:
    """Find cards at the borders of digit groups: `4111 1111 1111 1111 12/27` holds one in its first four groups."""
    groups = [found.span() for found in _GROUP.finditer(text)]
    first = 0
    while first < len(groups):
        last = _card_at(text, groups, first)
        if last is not None:
            yield groups[first][0], groups[last][1]
            first = last
        first += 1


def _card_at(text: str, groups: list[tuple[int, int]], first: int) -> int | None:
    """Give the last group of the longest card that begins with the group `first`."""
    digits, found = "", None
    for last in range(first, len(groups)):
        digits += text[slice(*groups[last])]
        if len(digits) > 19:
            break
        if is_card(digits):
            found = last
    return found


def is_card(digits: str) -> bool:
    """Say whether digits are a card number: prefix, length and check digit (ISO/IEC 7812, Luhn)."""
    if not 13 <= len(digits) <= 19 or not any(p.match(digits) and len(digits) in lengths for p, lengths in _CARDS):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0
