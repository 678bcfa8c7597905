"""Who may see what: `read` shows the page, `content` also texts, `promote` moves labels. Keys are compared in constant time.

A key is one of the settings, or one that `llmtower keys create` made. The browser keeps a token made of it, never the key.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import CookieError, SimpleCookie
from typing import Final, Literal

from llmtower_dashboards.web.register import MemoryRegister, Register
from llmtower_schemas.keys import ApiKey, key_id_of

Scope = Literal["read", "content", "promote"]
COOKIE: Final = "llmtower_key"
Scopes = frozenset[Scope]
_GIVES: Final[Mapping[str, Scopes]] = {
    "read": frozenset({"read"}),
    "content": frozenset({"read", "content"}),
    "promote": frozenset({"promote"}),
}
"""What a key of a scope opens; `promote` beside `read` only."""


@dataclass(frozen=True, slots=True)
class Access:
    """What a browser may do, as it was when it opened the page."""

    scopes: Scopes = frozenset()
    promoter: str = ""
    """The id of the key of the scope `promote` that it showed; "" = none."""


@dataclass(frozen=True, slots=True, repr=False)
class Keys:
    """The keys that open the page, and what everybody who reaches it may do (`given`)."""

    read: str = ""
    content: str = ""
    given: Scopes = frozenset({"read"})
    register: Register = field(default_factory=MemoryRegister)

    async def scopes(self, headers: Mapping[str, str]) -> Scopes:
        """Give the scopes of a request by its cookie or `Authorization: Bearer` header (names in lower case)."""
        found = self.given if not self.read else frozenset[Scope]()
        for token in await self._shown(headers):
            found |= await self._opened(token)
        return found

    async def promoter(self, headers: Mapping[str, str]) -> str:
        """Give the id of the key of the scope `promote` that a request shows; "" without one. Whoever moves something checks it anew."""
        opened = [(token, await self._opened(token)) for token in await self._shown(headers)]
        return next((token.rpartition(".")[0] for token, scopes in opened if "promote" in scopes), "")

    async def token(self, key: str) -> str | None:
        """Give what the browser keeps instead of the key; None when the key opens nothing."""
        for known in (self.read, self.content):
            if known and hmac.compare_digest(known.encode(), key.encode("utf-8", "replace")):
                return _token(known)
        made = await self.register.find(key_id_of(key)) if key_id_of(key) else None
        return f"{made.key_id}.{_token(made.sha256)}" if made is not None and made.fits(key) and _scopes_of(made) else None

    async def _shown(self, headers: Mapping[str, str]) -> list[str]:
        made = await self.token(bearer) if (bearer := _bearer(headers)) else None
        return list(filter(None, (made, _cookie(headers))))

    async def _opened(self, token: str) -> Scopes:
        key_id, dot, _ = token.rpartition(".")
        if dot:
            made = await self.register.find(key_id)
            fits = made is not None and made.revoked_at_us is None and _same(token, f"{key_id}.{_token(made.sha256)}")
            return _scopes_of(made) if made is not None and fits else frozenset()
        found: Scopes = frozenset()
        for known, scope in ((self.read, "read"), (self.content, "content")):
            if known and _same(token, _token(known)):
                found |= _GIVES["content" if scope == "content" else "read"]
        return found


def _scopes_of(key: ApiKey) -> Scopes:
    found: Scopes = frozenset()
    if "read" in key.scopes:
        found |= _GIVES["read"]
    if "content" in key.scopes:
        found |= _GIVES["content"]
    if "promote" in key.scopes:
        found |= _GIVES["promote"]
    return found


def _token(key: str) -> str:
    return hmac.new(key.encode(), b"llmtower live page", hashlib.sha256).hexdigest()


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(), other.encode())


def _bearer(headers: Mapping[str, str]) -> str:
    scheme, _, key = headers.get("authorization", "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _cookie(headers: Mapping[str, str]) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
