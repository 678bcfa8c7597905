"""The three roles of the face and their passwords; chdb itself knows no users."""

import base64
import binascii
import hmac
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Final

from llmtower_processors.engine.errors import AUTHENTICATION_FAILED, EngineError


class Role(StrEnum):
    """Who asks: `writer` may do everything, `content` reads all tables of ours, `dashboards` all but the restricted ones."""

    WRITER = "writer"
    CONTENT = "content"
    DASHBOARDS = "dashboards"


FILE_NAME: Final = "credentials.json"
_ANONYMOUS_USERS: Final = ("", "default")


@dataclass(frozen=True, slots=True)
class Credentials:
    """User name (the role's value) to password."""

    passwords: Mapping[str, str] = field(repr=False)

    def password(self, role: Role) -> str:
        """The password of one role."""
        return self.passwords[role]

    def authenticate(self, user: str, password: str, *, loopback: bool) -> Role:
        """The role of a request.

        Without credentials a client on this machine is the dashboards reader. Raises EngineError otherwise.
        """
        if loopback and not password and user in _ANONYMOUS_USERS:
            return Role.DASHBOARDS
        expected = self.passwords.get(user, "")
        if not expected or not hmac.compare_digest(expected.encode(), password.encode()):
            message = "Authentication failed: the user must be writer, content or dashboards, with its password from credentials.json."
            raise EngineError(AUTHENTICATION_FAILED, message)
        return Role(user)


def load_or_create(data_dir: Path) -> Credentials:
    """Read `credentials.json` of the data directory, or write one with fresh passwords that only its owner can read."""
    path = data_dir / FILE_NAME
    if not path.exists():
        fresh = {role.value: secrets.token_urlsafe(24) for role in Role}
        temporary = path.with_name(f".{FILE_NAME}.{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(fresh, file)
        temporary.replace(path)
    path.chmod(0o600)
    return load(data_dir)


def load(data_dir: Path) -> Credentials:
    """Read `credentials.json`; raises ValueError that names the file when a role is missing."""
    path = data_dir / FILE_NAME
    try:
        found = json.loads(path.read_text())
        passwords = {role.value: str(found[role.value]) for role in Role}
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: must be a JSON object with the passwords of {', '.join(Role)}; delete it to make new ones.") from error
    if not all(passwords.values()):
        raise ValueError(f"{path}: an empty password is not allowed; delete the file to make new ones.")
    return Credentials(passwords)


def from_request(headers: Mapping[str, str], params: Mapping[str, str]) -> tuple[str, str]:
    """User and password of a request: ClickHouse's own headers, then basic authentication, then URL parameters."""
    if "X-ClickHouse-User" in headers or "X-ClickHouse-Key" in headers:
        return headers.get("X-ClickHouse-User", ""), headers.get("X-ClickHouse-Key", "")
    scheme, _, encoded = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise EngineError(AUTHENTICATION_FAILED, "Authentication failed: the Authorization header is not valid Base64.") from None
        return user, password
    if scheme:
        raise EngineError(AUTHENTICATION_FAILED, "Authentication failed: only basic authentication is supported.")
    return params.get("user", ""), params.get("password", "")
