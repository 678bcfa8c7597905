"""Who may move a protected label, or a model to or from a protected stage. Pure.

As long as no key with the scope `promote` exists, whoever reaches Kafka may; from the first such key on, protected labels need one. That
keeps honest tools honest; the wall is Kafka's own access control on the topic `llmtower.registry`.
"""

from collections.abc import Iterable, Mapping

from llmtower_schemas.chains import RegistryRecord
from llmtower_schemas.keys import PREFIX, ApiKey, decode_key, key_id_of


class NotAllowedError(Exception):
    """What is protected may not be moved by this key; the message says what to do."""

    retriable = False


def known_keys(records: Iterable[RegistryRecord]) -> dict[str, ApiKey]:
    """Give the latest version of each key."""
    found: dict[str, ApiKey] = {}
    for record in records:
        if key := decode_key(record.key, record.value):
            found[key.key_id] = key
        elif record.key and not record.value:
            found.pop(record.key.decode("utf-8", "replace").removeprefix(PREFIX), None)
    return found


def allowed_by(label: str, *, protected: str, keys: Mapping[str, ApiKey], shown: str, what: str = "label") -> str:
    """Give the id of the key that allows a move, '' where none is needed. `protected` are labels (or stages) between commas.

    Raises NotAllowedError.
    """
    if label not in {name.strip() for name in protected.split(",")}:
        return ""
    if not any(key.revoked_at_us is None and "promote" in key.scopes for key in keys.values()):
        return ""
    how = "Give it as --key or LLMTOWER_PROMPTS__KEY; `llmtower keys create --scope promote` makes one."
    if not shown:
        raise NotAllowedError(f"The {what} {label} is protected: a move needs a key with the scope promote. {how}")
    found = keys.get(key_id_of(shown))
    if found is None or not found.fits(shown):
        raise NotAllowedError(f"The {what} {label} is protected, and this key is unknown or revoked. {how}")
    if "promote" not in found.scopes:
        raise NotAllowedError(f"The {what} {label} is protected, and this key has no scope promote, only {', '.join(found.scopes)}. {how}")
    return found.key_id
