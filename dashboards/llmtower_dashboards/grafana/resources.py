"""What is to stand in a Grafana, as plain values: folder, data source, dashboards, and whatever alerting adds. Pure.

A resource is found again by its kind and its name there; the order of kinds is the order of writing.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from llmtower_dashboards.grafana.dashboards import FOLDER, FOLDER_UID, dashboards
from llmtower_dashboards.grafana.query import DATASOURCE_UID, PLUGIN

Kind = Literal["folder", "data source", "dashboard", "alert rules", "message template", "contact point", "notification policy"]
ORDER: Final[tuple[Kind, ...]] = (
    *("folder", "data source", "dashboard", "message template", "contact point", "notification policy", "alert rules"),
)
"""What others name comes first."""

RAISED: Final = frozenset({"schemaVersion"})
"""What Grafana raises by itself when it is newer than the form of a dashboard."""

SINCE_12: Final = "keep_firing_for"
"""Of a rule; a Grafana before 12 does not know it and gives it back nowhere."""

FROM_FILES: Final = "readOnly"
"""Of a data source that comes from provisioning files: they give it its secrets, and it cannot be written over."""

REDACTED: Final = "[REDACTED]"
"""What Grafana shows of a contact point's secrets."""

Body = Mapping[str, Any]
Verdict = Literal["create", "update", "same"]


@dataclass(frozen=True, slots=True)
class Resource:
    """One thing in Grafana. `name` is its uid; of alert rules `<folder uid>/<group>`, of a notification policy its contact point."""

    kind: Kind
    name: str
    body: Body
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Of a data source: what Grafana takes and never gives back, so it cannot be compared."""


@dataclass(frozen=True, slots=True)
class Change:
    """What a push would do to one resource, and where it differs (paths, never values: a contact point holds addresses)."""

    resource: Resource
    verdict: Verdict
    paths: Sequence[str] = ()
    hidden: bool = False
    """Grafana keeps a secret of it to itself, so that a push sets it again."""
    note: str = ""
    """What this Grafana cannot keep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reader:
    """How Grafana reaches ClickHouse: the dashboards' reader."""

    host: str
    port: int
    database: str
    user: str
    password: str = field(default="", repr=False)
    secure: bool = False
    uid: str = DATASOURCE_UID


def resources(reader: Reader, more: Iterable[Resource] = ()) -> list[Resource]:
    """Give everything that belongs into Grafana, in the order of writing. `more`: rules, contact points and policies of alerting."""
    own = [
        Resource("folder", FOLDER_UID, {"uid": FOLDER_UID, "title": FOLDER}),
        data_source(reader),
        *(Resource("dashboard", uid, body) for uid, body in dashboards(reader.uid).items()),
    ]
    return sorted([*own, *more], key=lambda one: ORDER.index(one.kind))


def data_source(reader: Reader) -> Resource:
    """Give the data source of Grafana's ClickHouse plugin, over HTTP, read-only by its user."""
    body = {
        "uid": reader.uid,
        "name": "Llmtower",
        "type": PLUGIN,
        "access": "proxy",
        "jsonData": {
            "host": reader.host,
            "port": reader.port,
            "protocol": "http",
            "secure": reader.secure,
            "username": reader.user,
            "defaultDatabase": reader.database,
        },
    }
    return Resource("data source", reader.uid, body, {"password": reader.password} if reader.password else {})


def compare(wanted: Resource, found: Body | None) -> Change:
    """Say what would change. Grafana adds fields of its own (ids, versions, defaults); what was asked for must be there unchanged."""
    if found is None:
        return Change(wanted, "create")
    paths = [path for path in differences(wanted.body, found) if path not in RAISED]
    lost = any(path.endswith(SINCE_12) for path in paths) and not any(SINCE_12 in rule for rule in found.get("rules", ()))
    paths = [path for path in paths if not (lost and path.endswith(SINCE_12))]
    hidden = (bool(wanted.secrets) or any(_redacted(found))) and not found.get(FROM_FILES)
    return Change(wanted, "update" if paths else "same", paths, hidden, f"a Grafana before 12 knows no {SINCE_12}" if lost else "")


def _redacted(found: Any) -> Iterable[bool]:
    if isinstance(found, Mapping):
        for value in found.values():
            yield from _redacted(value)
    elif found == REDACTED:
        yield True


def differences(wanted: Any, found: Any, path: str = "") -> Iterable[str]:
    """Name the places where something that was asked for is missing or other."""
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        for name, value in wanted.items():
            yield from differences(value, found.get(name), f"{path}.{name}" if path else str(name))
    elif isinstance(wanted, list) and isinstance(found, list) and len(wanted) == len(found):
        for index, (one, other) in enumerate(zip(wanted, found, strict=True)):
            yield from differences(one, other, f"{path}[{index}]")
    elif not _alike(wanted, found):
        yield path


def _alike(wanted: Any, found: Any) -> bool:
    """Nothing, and an empty thing, are the same to Grafana: it leaves both out. A secret that it hides cannot be compared."""
    return bool(wanted == found) or found == REDACTED or (wanted in ({}, [], "", None, False) and found in ({}, [], "", None, False))
