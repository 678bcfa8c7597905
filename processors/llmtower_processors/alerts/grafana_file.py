"""The same rules, contact points and policies as one file for Grafana's own provisioning (JSON is YAML). Pure.

The file names things otherwise than the API does: `keepFiringFor`, folders by title, contact points with receivers. Grafana replaces
variables in it (`$NAME`, `${NAME}`; `$$` stands for `$`), but neither within a question's model nor in a template of messages.
"""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

from llmtower_processors.alerts.durations import duration
from llmtower_processors.alerts.grafana import Compiled

_RENAMED: Final = {"keep_firing_for": "keepFiringFor"}
_PLACE: Final = {"__dashboardUid__": "dashboardUid", "__panelId__": "panelId"}
"""Annotations of a rule that are fields of their own in a file."""
_LEFT_OUT: Final = ("ruleGroup", "folderUID")
"""Of a rule; the group says them."""


def provisioning_file(made: Iterable[Compiled], folder: str) -> str:
    """Write the file. An address that is a secret stands in it as `${NAME}`, a variable of Grafana's environment."""
    parts = list(made)
    groups = [one.body for one in parts if one.kind == "alert rules"]
    contacts = [one.body for one in parts if one.kind == "contact point"]
    routes = [_escaped(one.body) for one in parts if one.kind == "notification policy"]
    whole: dict[str, Any] = {
        "apiVersion": 1,
        "groups": [_group(group, folder) for group in groups],
        "templates": [{"orgId": 1, **one.body} for one in parts if one.kind == "message template"],
        "contactPoints": [_contact(one) for one in contacts],
    }
    if contacts:
        whole["policies"] = [{"orgId": 1, "receiver": contacts[0]["name"], "routes": routes}]
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _group(group: Mapping[str, Any], folder: str) -> dict[str, Any]:
    rules = [_rule(rule) for rule in group["rules"]]
    return {"orgId": 1, "name": group["title"], "folder": folder, "interval": duration(group["interval"]), "rules": rules}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Its questions stay as they are: Grafana reads their models raw."""
    named = {_RENAMED.get(name, name): value for name, value in rule.items() if name not in _LEFT_OUT}
    said = dict(named["annotations"])
    place = {key: said.pop(name) for name, key in _PLACE.items() if name in said}
    named |= {"annotations": said} | place | ({"panelId": int(place["panelId"])} if place else {})
    return {name: value if name == "data" else _escaped(value) for name, value in named.items()}


def _contact(one: Mapping[str, Any]) -> dict[str, Any]:
    receiver = {name: _escaped(value) for name, value in one.items() if name != "name"}
    return {"orgId": 1, "name": one["name"], "receivers": [receiver]}


def _escaped(value: Any) -> Any:
    """Double every `$` that is not ours."""
    if isinstance(value, Mapping):
        return {name: _escaped(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_escaped(one) for one in value]
    return value.replace("$", "$$").replace("$${", "${") if isinstance(value, str) else value
