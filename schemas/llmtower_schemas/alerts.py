"""What an alert went through: the lines of topic `llmtower.alerts` and the rows of `alert_events` and `alert_sends`.

The topic is the truth: the state of every alert is a fold over its transitions. A record's value is NDJSON, one line per transition or
sending. Times are microseconds since the epoch. Nothing here ever holds text of prompts or answers.
"""

import hashlib
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

State = Literal["ok", "pending", "firing", "resolved"]
Severity = Literal["warning", "critical"]
SEVERITIES: tuple[Severity, ...] = ("warning", "critical")
"""From the mildest to the gravest."""

Cause = Literal[
    "breach",
    "held",
    "escalated",
    "eased",
    "recovered",
    "no_data",
    "late_events",
    "reminder",
    "silence_ended",
    "kept",
    "rule_changed",
]
"""Why: a level was passed · and stayed passed as long as `for` says · a graver or a milder level · good again · nothing to judge · late
events changed a judgement · `renotify` · its silence is over · nothing changed for a day (keeps the topic's memory) · the rule is gone."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


ChangeKind = Literal["deploy", "prompt", "model", "snapshot", "drift", "promote", "rollback", "register", "stage"]
"""What is written. `Change` reads others, too."""


class Change(_Line):
    """Something that changed shortly before an alert began."""

    kind: str
    """A `ChangeKind`; read as any word: a newer leader may know more kinds, and its transitions must not be lost on an older one."""
    at_us: int
    what: str
    """`chat 1.4.2`, `summary v7`, `gpt-4o-mini`: a name and a version, never text; of drift, what lies elsewhere and the id of a call."""


class Transition(_Line):
    """An alert changed, or is told again. `dedup_key` names rule, group and incident: receivers show it once."""

    type: Literal["transition"] = "transition"
    transition_id: str
    """The same whoever computes it from the same state."""
    dedup_key: str
    sequence: int
    """Counts the transitions of one rule and group; the highest is the present."""
    rule: str
    title: str = ""
    group: dict[str, str] = Field(default_factory=dict)
    severity: Severity = "warning"
    from_state: State
    to_state: State
    cause: Cause
    value: float | None = None
    threshold: float | None = None
    unit: str = ""
    sample: float | None = None
    completeness: float | None = None
    """Share (0 to 1) of the window that was known to be there when it was judged; None = unknown."""
    window_start_us: int
    window_end_us: int
    at_us: int
    since_us: int
    """When the incident began."""
    reason: str = ""
    """One sentence."""
    corrected: bool = False
    """Late events changed an earlier judgement."""
    coincident: tuple[Change, ...] = ()
    panel: str = ""
    runbook: str = ""
    routes: tuple[str, ...] = ()
    notify: bool = False
    """Whether people are told: not of pending, shadow or silenced alerts."""
    silence_id: str = ""
    """The silence or acknowledgement that kept it from being told."""
    shadow: bool = False
    """Judged here, told by somebody else (Grafana)."""


class Sent(_Line):
    """One route was told of one transition, or need not be any more."""

    type: Literal["sent"] = "sent"
    transition_id: str
    route: str
    at_us: int
    outcome: Literal["sent", "superseded", "refused"] = "sent"
    """`superseded`: something newer was told instead; `refused`: the receiver will never take it (said in `detail`)."""
    possible_repeat: bool = False
    detail: str = ""


Entry = Annotated[Transition | Sent, Field(discriminator="type")]
_ENTRY: TypeAdapter[Transition | Sent] = TypeAdapter(Entry)


def group_text(group: Mapping[str, str]) -> str:
    """Write a group as one text, the same for the same values in any order: `app=chat, project=default`; empty = the whole."""
    return ", ".join(f"{name}={group[name]}" for name in sorted(group))


def digest(*parts: object) -> str:
    """Give a short stable name for these values (128 bits, hex)."""
    return hashlib.blake2b(orjson.dumps([str(part) for part in parts]), digest_size=16).hexdigest()


def encode_entries(entries: Iterable[Transition | Sent]) -> bytes:
    """Write the value of one Kafka record."""
    return b"\n".join(orjson.dumps(entry.model_dump(mode="json")) for entry in entries)


def decode_entries(value: bytes) -> list[Transition | Sent]:
    """Read the value of one Kafka record; lines of a kind that this version does not know are left out."""
    return [entry for line in value.splitlines() if (entry := _decode(line)) is not None]


def _decode(line: bytes) -> Transition | Sent | None:
    try:
        found: Any = orjson.loads(line)
        return _ENTRY.validate_python(found)
    except ValueError:
        return None
