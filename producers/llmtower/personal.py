"""Personal data in texts: mail addresses, telephone numbers, bank accounts and IP addresses leave a visible mark instead of themselves.

Datasets are always cleaned by it. An application that wants it before anything leaves its process gives it as its hook:
`llmtower.configure(redact=llmtower.personal.redact_personal)`. It finds forms, not meanings: names and street addresses stay.
"""

import re
from typing import Final

_MAIL: Final = re.compile(r"\b[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){0,8}\.[A-Za-z]{2,24}\b")
_ACCOUNT: Final = re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_ADDRESS: Final = re.compile(r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.])")
_TELEPHONE: Final = re.compile(
    r"(?<![\w.+-])(?:\+\d{1,3}|\(0\d{1,5}\)|0\d{1,5}|\(\d{3}\)|\d{3}(?=[ .-]\d{3}[ .-]\d{4}))"
    r"(?:[ ./-]?\(?\d{2,5}\)?){2,5}(?![\w.-]?\d)"
)
_DIGITS: Final = re.compile(r"\d")


def redact_personal(text: str) -> str:
    """Replace personal data by `[redacted:<kind>]`; applying it twice changes nothing more."""
    if "@" in text:
        text = _MAIL.sub("[redacted:email]", text)
    if _DIGITS.search(text) is None:
        return text
    text = _ACCOUNT.sub(lambda found: "[redacted:bank-account]" if is_account(found[0]) else found[0], text)
    text = _ADDRESS.sub("[redacted:ip-address]", text)
    return _TELEPHONE.sub(lambda found: "[redacted:telephone]" if 7 <= len(_DIGITS.findall(found[0])) <= 15 else found[0], text)


def is_account(text: str) -> bool:
    """Say whether this is an international bank account number (ISO 13616: check digits modulo 97)."""
    plain = text.replace(" ", "")
    if not 15 <= len(plain) <= 34:
        return False
    turned = plain[4:] + plain[:4]
    return int("".join(str(int(character, 36)) for character in turned)) % 97 == 1
