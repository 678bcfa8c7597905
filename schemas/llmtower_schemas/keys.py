"""API keys: values of the compacted topic `llmtower.registry`, keyed `key/<id>`. Only a hash of a key is ever stored.

A key reads `llmt_<id>_<secret>`; its secret has 256 bits of chance, so a plain SHA-256 of it cannot be guessed back.
"""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

PREFIX = "key/"
Scope = Literal["emit", "feedback", "read", "content", "promote"]
SCOPES: tuple[Scope, ...] = ("emit", "feedback", "read", "content", "promote")
"""emit: send events; feedback: send feedback; read: figures; content: texts; promote: move protected labels of prompts."""


class ApiKey(BaseModel):
    """What is known of a key: everything but the key."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    key_id: str = Field(min_length=1, max_length=32, pattern=r"^[0-9a-f]+$")
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    project: str = Field("default", min_length=1, max_length=256)
    scopes: tuple[Scope, ...] = ()
    name: str = Field("", max_length=256)
    created_at_us: int = Field(ge=0)
    revoked_at_us: int | None = None

    @property
    def key(self) -> str:
        """Its key in the topic."""
        return f"{PREFIX}{self.key_id}"

    def fits(self, secret: str) -> bool:
        """Say whether this is the key, in a time that does not depend on where they differ."""
        return self.revoked_at_us is None and hmac.compare_digest(self.sha256, _hash(secret))


def make_key(project: str, scopes: Sequence[Scope], *, name: str, at_us: int) -> tuple[str, ApiKey]:
    """Make a key: the text to hand out, which is kept nowhere, and what is stored of it."""
    key_id = secrets.token_hex(6)
    text = f"llmt_{key_id}_{secrets.token_urlsafe(32)}"
    return text, ApiKey(key_id=key_id, sha256=_hash(text), project=project, scopes=tuple(scopes), name=name, created_at_us=at_us)


def key_id_of(text: str) -> str:
    """Give the id that a key names, or '' for what is no key."""
    prefix, _, rest = text.partition("_")
    return rest.partition("_")[0] if prefix == "llmt" else ""


def encode_key(key: ApiKey) -> bytes:
    """Give the record's value."""
    return key.model_dump_json().encode()


def decode_key(record_key: bytes | None, value: bytes | None) -> ApiKey | None:
    """Read a record of the topic; None for what is no key, or none that this version understands."""
    if not record_key or not value or not record_key.startswith(PREFIX.encode()):
        return None
    try:
        found = ApiKey.model_validate_json(value)
    except ValidationError:
        return None
    return found if found.key.encode() == record_key else None


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
