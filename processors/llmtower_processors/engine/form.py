"""Values sent as multipart/form-data: what clients do with bound values (`param_…`) and queries too long for an address."""

import email
import email.policy
from collections.abc import Mapping

from llmtower_processors.engine.errors import BAD_ARGUMENTS, NOT_IMPLEMENTED, EngineError


def is_form(content_type: str) -> bool:
    """Say whether a body of this type holds a form."""
    return content_type.lower().startswith("multipart/")


def read(content_type: str, body: bytes) -> Mapping[str, str]:
    """Give the values by name (RFC 7578). Raises EngineError for files (external tables) and for what is no form."""
    message = email.message_from_bytes(
        b"Content-Type: " + content_type.encode("latin-1", "replace") + b"\r\n\r\n" + body, policy=email.policy.HTTP
    )
    if not message.is_multipart() or message.defects:
        raise EngineError(BAD_ARGUMENTS, "The body is not the multipart form that its Content-Type announces.")
    values: dict[str, str] = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        if part.get_filename() is not None:
            raise EngineError(NOT_IMPLEMENTED, "External tables in multipart bodies are not supported: bind values as param_name.")
        content = part.get_payload(decode=True)
        if not isinstance(name, str) or not isinstance(content, bytes):
            raise EngineError(BAD_ARGUMENTS, "A part of the multipart body has no name.")
        try:
            values[name] = content.decode()
        except UnicodeDecodeError:
            raise EngineError(BAD_ARGUMENTS, "A value of the multipart body is not UTF-8.") from None
    return values
