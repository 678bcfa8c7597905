"""Personal data and secrets in a text: detectors that check what can be checked (Luhn, ISO 7064), and marks that redaction has left."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from llmtower_processors.scoring.model import Score, Spoken, skipped
from llmtower_processors.scoring.plain import LONGEST, visible
from llmtower_schemas.secrets import SECRETS, find_cards, may_hold_secret

_RUN: Final = b"0" * 7
"""No number of a person has fewer digits in a row, what stands between them left out."""
_DIGITS: Final = bytes(48 if 48 <= i <= 57 else 32 for i in range(256))
_BETWEEN: Final = b" -./()"

_MARK: Final = re.compile(r"\[redacted:([a-z-]{2,20})\]")
_MAIL: Final = re.compile(
    r"(?<![\w.+%-])([a-z0-9][a-z0-9._%+-]{0,63})@((?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.){1,8}[a-z]{2,24})(?![\w-])", re.IGNORECASE
)
_ROLES: Final = re.compile(
    r"(?:abuse|git|root|accounts?|admin|billing|careers|compliance|contact|customer-?service|feedback|hello|help(?:desk)?|hilfe|info|jobs|kontakt|legal|mail"
    r"|marketing|newsletter|no-?reply|office|orders?|postmaster|press|privacy|recruiting|returns|sales|security|services?|shop|support|team"
    r"|webmaster|(?:first|your|user)[._]?(?:last)?name(?:[._]last(?:name)?)?|first\.last|you|your|user|name|someone|me|foo|bar|test)(?:\+.*)?"
)
"""Mailboxes that belong to no person, and names that stand for one in examples."""
_EXAMPLES: Final = re.compile(r"(?:^|\.)(?:example(?:\.\w+)?|test|invalid|localhost|domain\.(?:com|tld)|yourcompany\.com|company\.com)$")
_IBAN: Final = re.compile(r"(?<![A-Z0-9])[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![A-Za-z0-9])")
_IBAN_LENGTHS: Final = {
    "AT": 20,
    "BE": 16,
    "BG": 22,
    "CH": 21,
    "CY": 28,
    "CZ": 24,
    "DE": 22,
    "DK": 18,
    "EE": 20,
    "ES": 24,
    "FI": 18,
    "FR": 27,
    "GB": 22,
    "GR": 27,
    "HR": 21,
    "HU": 28,
    "IE": 22,
    "IS": 26,
    "IT": 27,
    "LI": 21,
    "LT": 20,
    "LU": 20,
    "LV": 21,
    "MC": 27,
    "MT": 31,
    "NL": 18,
    "NO": 15,
    "PL": 28,
    "PT": 25,
    "RO": 24,
    "SE": 24,
    "SI": 19,
    "SK": 24,
    "TR": 26,
    "AE": 23,
    "SA": 24,
    "IL": 23,
    "UA": 29,
    "RS": 22,
}
"""Of the registry's countries, those with most accounts (ISO 13616)."""
_PHONE: Final = re.compile(
    r"(?<![\w+#/.-])(?<!\d[ -])(?:"
    r"(?:\+|00)[1-9]\d{0,2}(?:[ ./-]?\(0?\d{1,4}\))?(?:[ ./-]?\d{1,8}){1,7}"
    r"|\(0?\d{2,5}\)[ -]?\d{3,4}[ -]\d{3,5}"
    r"|[2-9]\d{2}[-.][2-9]\d{2}[-.]\d{4}"
    r"|0\d{2,4}[ /-]\d{3,5}(?:[ -]?\d{2,4}){1,3}"
    r")(?![\w-]|\.\d)"
)
_SSN: Final = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_ORDER: Final = re.compile(
    r"\b(?:order|ticket|invoice|tracking|reference|ref|sku|isbn|no|nr|id|number|bestellung|rechnung|commande)"
    r"(?:\.| is| ist| est| was)?\W{0,3}$",
    re.IGNORECASE,
)
"""What stands before a number that is none of a person's."""
_SECRETS: Final = tuple((kind, literals, re.compile(pattern)) for kind, literals, pattern in SECRETS)
_MARKED: Final = frozenset((*(kind for kind, _, _ in SECRETS), "card"))


def personal(text: str) -> list[str]:
    """Name the kinds of personal data and secrets in a text, each once, in the order of `KINDS`."""
    text = visible(text)
    marks = set(_MARK.findall(text)) & _MARKED if "[redacted:" in text else frozenset[str]()
    raw = text.encode("utf-8", "replace")
    numbers = _RUN in raw.translate(_DIGITS, _BETWEEN)
    found = {kind for kind, find in _NUMBERS.items() if numbers and find(text)}
    if "@" in text and any(map(_is_person, _MAIL.finditer(text))):
        found.add("email")
    if may_hold_secret(raw):
        found |= {kind for kind, literals, pattern in _SECRETS if any(literal in text for literal in literals) and pattern.search(text)}
    return sorted(found | marks)


def _is_person(found: re.Match[str]) -> bool:
    local, domain = found[1].lower(), found[2].lower()
    return not _ROLES.fullmatch(local) and not _EXAMPLES.search(domain)


def is_iban(text: str) -> bool:
    """Say whether a text is an IBAN: its country's length, and the check digits of ISO 7064 (MOD 97-10)."""
    plain = text.replace(" ", "")
    if len(plain) != _IBAN_LENGTHS.get(plain[:2], -1):
        return False
    return int("".join(str(int(letter, 36)) for letter in plain[4:] + plain[:4])) % 97 == 1


def _has_iban(text: str) -> bool:
    return any(is_iban(part) for found in _IBAN.finditer(text) for part in _beginnings(found[0]))


def _beginnings(text: str) -> Iterator[str]:
    """An IBAN may be followed by a word in capitals: give the text, and the text up to the length of its country."""
    yield text
    length = _IBAN_LENGTHS.get(text[:2])
    if length is not None:
        yield text.replace(" ", "")[:length]


def _has_phone(text: str) -> bool:
    for found in _PHONE.finditer(text):
        count = sum(letter.isdigit() for letter in found[0])
        if len(_RUN) < count <= 15 and not _ORDER.search(text[max(0, found.start() - 24) : found.start()]):
            return True
    return False


_NUMBERS: Final[dict[str, Callable[[str], object]]] = {
    "card": lambda text: next(find_cards(text), None),
    "iban": _has_iban,
    "phone": _has_phone,
    "ssn": _SSN.search,
}
KINDS: Final = (*_NUMBERS, "email", *(kind for kind, _, _ in SECRETS))
"""Everything that is looked for."""


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Scores `pii` (answer) and `input_pii` (question): 1 where there is any; the label names the kinds."""

    label: str = "detectors"
    version: str = "1"
    names: tuple[str, ...] = ("pii", "input_pii")

    def score(self, calls: Sequence[Spoken]) -> Sequence[Sequence[Score]]:
        """Look at both texts of each call."""
        return [[_scored("pii", call.answer, call.no_answer), _scored("input_pii", call.question, call.no_question)] for call in calls]


def _scored(name: str, text: str, missing: str) -> Score:
    if missing:
        return skipped((name,), missing)[0]
    found = personal(text[:LONGEST])
    return Score(name, float(bool(found)), ",".join(found), reason="cut" if len(text) > LONGEST else "")
