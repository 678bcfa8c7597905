"""What the registry's audit trail says of an entry: one row of `registry_events` each. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from llmtower_schemas.chains import Entry
from llmtower_schemas.prompts import LABEL, PROMPT, decode_move, decode_version


@dataclass(frozen=True, slots=True)
class RegistryEvent:
    """One change. `number`, `at_ms` and the place come from the entry."""

    kind: str
    action: str
    name: str
    label: str = ""
    version: str = ""
    replaced: str = ""
    by: str = ""
    key_id: str = ""
    note: str = ""


def prompt_event(entry: Entry, before: Entry | None) -> RegistryEvent:
    """A version was pushed."""
    name, found = entry.chain.removeprefix(PROMPT), decode_version(entry)
    replaced = str(before.number) if before else ""
    if found is None:
        return RegistryEvent("prompt", "push", name, version=str(entry.number), replaced=replaced, note="(cannot be read)")
    return RegistryEvent(
        "prompt", "push", name, version=str(entry.number), replaced=replaced, by=found.prompt.author, note=found.prompt.message
    )


def label_event(entry: Entry, before: Entry | None) -> RegistryEvent:
    """A label was moved."""
    name, _, label = entry.chain.removeprefix(LABEL).rpartition("/")
    move, last = decode_move(entry), decode_move(before) if before else None
    replaced = str(last.version) if last else ""
    if move is None:
        return RegistryEvent("label", "promote", name, label, replaced=replaced, note="(cannot be read)")
    return RegistryEvent("label", move.action, name, label, str(move.version), replaced, move.by, move.key_id, move.note)


KINDS: Final[Mapping[str, Callable[[Entry, Entry | None], RegistryEvent]]] = {
    PROMPT: prompt_event,
    LABEL: label_event,
}
"""What each kind of chain says of an entry and the one before it."""


def registry_event(entry: Entry, before: Entry | None) -> RegistryEvent | None:
    """Give what an entry of any kind says."""
    return next((say(entry, before) for prefix, say in KINDS.items() if entry.chain.startswith(prefix)), None)
