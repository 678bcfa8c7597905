"""What the registry's audit trail says of an entry: one row of `registry_events` each. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from llmtower_schemas.chains import Entry
from llmtower_schemas.datasets import ERASURE, read_erasure, read_manifest
from llmtower_schemas.datasets import PREFIX as DATASET
from llmtower_schemas.models import PREFIX as MODEL
from llmtower_schemas.models import read_model
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


def model_event(entry: Entry, before: Entry | None) -> RegistryEvent:
    """A model was registered, or went to another stage."""
    name, found, last = entry.chain.removeprefix(MODEL), read_model(entry), read_model(before) if before else None
    replaced = last.stage if last else ""
    if found is None:
        return RegistryEvent("model", "register", name, replaced=replaced, note="(cannot be read)")
    return RegistryEvent("model", found.action, name, found.stage, found.stage, replaced, found.by, found.key_id, found.note)


def dataset_event(entry: Entry, before: Entry | None) -> RegistryEvent:
    """A version of a dataset was built."""
    name, found = entry.chain.removeprefix(DATASET), read_manifest(entry)
    replaced, version = str(before.number) if before else "", str(entry.number)
    if found is None:
        return RegistryEvent("dataset", "build", name, version=version, replaced=replaced, note="(cannot be read)")
    return RegistryEvent("dataset", "build", name, version=version, replaced=replaced, by=found.by, note=found.note)


def erasure_event(entry: Entry, before: Entry | None) -> RegistryEvent:
    """Texts left a dataset."""
    del before
    name, found = entry.chain.removeprefix(ERASURE), read_erasure(entry)
    if found is None:
        return RegistryEvent("erasure", "erase", name, note="(cannot be read)")
    note = f"{found.rows:,} rows" + (f": {found.note}" if found.note else "")
    return RegistryEvent("erasure", "erase", name, by=found.by, note=note)


KINDS: Final[Mapping[str, Callable[[Entry, Entry | None], RegistryEvent]]] = {
    PROMPT: prompt_event,
    LABEL: label_event,
    MODEL: model_event,
    DATASET: dataset_event,
    ERASURE: erasure_event,
}
"""What each kind of chain says of an entry and the one before it."""


def registry_event(entry: Entry, before: Entry | None) -> RegistryEvent | None:
    """Give what an entry of any kind says."""
    return next((say(entry, before) for prefix, say in KINDS.items() if entry.chain.startswith(prefix)), None)
