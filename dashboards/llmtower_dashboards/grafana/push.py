"""Bring resources into a Grafana, or say what that would change. The edge to Grafana is a Protocol with two implementations."""

import copy
from collections.abc import Iterable
from typing import Any, Protocol

from llmtower_dashboards.grafana.errors import GrafanaError
from llmtower_dashboards.grafana.resources import Body, Change, Resource, compare


class Grafana(Protocol):
    """Reading and writing single resources. Raises GrafanaError."""

    def read(self, resource: Resource) -> Body | None:
        """Give what stands there under this kind and name; None when nothing does."""

    def write(self, resource: Resource, *, exists: bool) -> None:
        """Create or replace it."""


def plan(grafana: Grafana, wanted: Iterable[Resource]) -> list[Change]:
    """Say for each resource whether it would be created, updated or left alone. Writes nothing."""
    return [compare(resource, grafana.read(resource)) for resource in wanted]


def push(grafana: Grafana, wanted: Iterable[Resource]) -> list[Change]:
    """Create and update what differs, in order. Doing it twice changes nothing the second time, except secrets, which are set again."""
    changes = []
    for resource in wanted:
        change = compare(resource, grafana.read(resource))
        if change.verdict != "same" or change.hidden:
            grafana.write(resource, exists=change.verdict != "create")
        changes.append(change)
    return changes


class MemoryGrafana:
    """A Grafana in memory: keeps what is written, adds what Grafana adds."""

    def __init__(self) -> None:
        self.held: dict[tuple[str, str], dict[str, Any]] = {}
        self.secrets: dict[str, dict[str, str]] = {}
        self.writes: list[tuple[str, str]] = []

    def read(self, resource: Resource) -> Body | None:
        """Give what stands there."""
        return copy.deepcopy(self.held.get((resource.kind, resource.name)))

    def write(self, resource: Resource, *, exists: bool) -> None:
        """Keep it, with an id and a version. Raises GrafanaError when `exists` is wrong: the real one answers 409 or 404."""
        key = (resource.kind, resource.name)
        if exists != (key in self.held):
            raise GrafanaError(f"{resource.kind} {resource.name} {'is not there' if exists else 'is there already'}")
        version = self.held.get(key, {}).get("version", 0) + 1
        self.held[key] = {**copy.deepcopy(dict(resource.body)), "id": len(self.held), "version": version}
        self.secrets[resource.name] = dict(resource.secrets)
        self.writes.append(key)
