"""Who may send what: the latest version of each API key, and the answer to one request."""

from collections.abc import Iterable
from typing import Final

from llmtower_processors.gateway.answers import Refusal
from llmtower_processors.registry_topic import RegistryRecord
from llmtower_schemas.keys import PREFIX, ApiKey, Scope, decode_key, key_id_of

_HOW: Final = "Send it as `Authorization: Bearer <key>`; `llmtower keys create` makes one."
_PREFIX: Final = PREFIX.encode()


class Keyring:
    """`open_project`: the project of requests without a key, as long as there are no keys at all (loopback only); None: never."""

    def __init__(self, open_project: str | None) -> None:
        self._open_project = open_project
        self._keys: dict[str, ApiKey] = {}

    def learn(self, records: Iterable[RegistryRecord]) -> None:
        """Take in versions in the order in which they were written."""
        for record in records:
            if not record.key or not record.key.startswith(_PREFIX):
                continue
            found = decode_key(record.key, record.value)
            if found is not None:
                self._keys[found.key_id] = found
            elif not record.value:
                self._keys.pop(record.key[len(_PREFIX) :].decode("utf-8", "replace"), None)

    def project(self, authorization: str, api_key: str, scope: Scope) -> str:
        """Give the project that a request writes to. Raises Refusal 401, 403."""
        kind, _, bearer = authorization.partition(" ")
        text = bearer.strip() if kind.lower() == "bearer" else api_key.strip()
        if not text:
            if self._open_project is not None and not self._keys:
                return self._open_project
            raise Refusal(401, f"A key is needed. {_HOW}")
        known = self._keys.get(key_id_of(text))
        if known is None or not known.fits(text):
            raise Refusal(401, "This key is unknown or revoked. `llmtower keys list` shows those there are.")
        if scope not in known.scopes:
            raise Refusal(403, f"This key has no scope `{scope}`; it has: {', '.join(known.scopes) or 'none'}.")
        return known.project
