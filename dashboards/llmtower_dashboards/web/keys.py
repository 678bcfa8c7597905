"""Who may see what: `read` shows the page, `content` also the texts of calls. Pure; keys are compared in constant time."""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal

Scope = Literal["read", "content"]
COOKIE: Final = "llmtower_key"


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys that open the page; without a read key everybody who reaches it may read."""

    read: str = ""
    content: str = ""

    def scopes(self, headers: Mapping[str, str]) -> frozenset[Scope]:
        """Give the scopes of a request by its cookie or `Authorization: Bearer` header (names in lower case)."""
        shown = {_token(key) for key in (_bearer(headers),) if key} | {_cookie(headers)}
        found: set[Scope] = set() if self.read else {"read"}
        if self.read and _among(_token(self.read), shown):
            found.add("read")
        if self.content and _among(_token(self.content), shown):
            found |= {"read", "content"}
        return frozenset(found)

    def token(self, key: str) -> str | None:
        """Give what the browser keeps instead of the key; None when the key opens nothing."""
        for known in (self.read, self.content):
            if known and hmac.compare_digest(known.encode(), key.encode()):
                return _token(known)
        return None


def _token(key: str) -> str:
    return hmac.new(key.encode(), b"llmtower live page", hashlib.sha256).hexdigest()


def _among(token: str, shown: set[str]) -> bool:
    return any(hmac.compare_digest(token, one) for one in shown if one.isascii())


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
