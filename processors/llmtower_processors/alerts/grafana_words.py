"""What a Grafana-managed rule says: templates of its annotations, and one for the whole message, with the facts of our own messages. Pure.

Go's `text/template` with the functions that Grafana documents. No `$`: Grafana replaces variables in provisioning files, versions differ in
which. A name that is missing (an alert without data) is asked for with `if` or `with` first, else Grafana would show the template itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Final

from llmtower_processors.alerts.changes import link_parameters
from llmtower_processors.alerts.levels import Level
from llmtower_processors.alerts.message import counted
from llmtower_processors.alerts.rules import Rule

TEMPLATE_NAME: Final = "llmtower"
TITLE: Final = '{{ template "llmtower.title" . }}'
MESSAGE: Final = '{{ template "llmtower.message" . }}'
"""What a contact point's fields say to use `message_template`."""
_EXPLORER: Final = "llmtower-explorer"
_OVERVIEW: Final = "llmtower-overview"
_BASE: Final = "{{ reReplaceAll `/+\\z` `` externalURL }}/d/"


@dataclass(frozen=True, slots=True)
class Shown:
    """Where Grafana shows a panel: the dashboard's uid and the panel's number there."""

    dashboard: str
    panel: int


def message_template() -> str:
    """Give the template of every contact point's message: an alert a paragraph, a fact a line, in the order of our own messages."""
    return (resources.files("llmtower_processors.alerts") / "grafana_message.tmpl").read_text("utf-8").strip()


def annotations(rule: Rule, level: Level, panels: Mapping[str, Shown]) -> dict[str, str]:
    """Give what an alert of this rule says beside its labels. `panels`: where Grafana shows each panel."""
    shown = panels.get(rule.panel)
    said = {
        "summary": f"{_literal(rule.heading)}{_group(rule.group_by)}",
        "description": _description(rule, level),
        "completeness": _facts(
            "{{ if eq .Labels.complete `` }}How complete the window is, is not known."
            "{{ else if eq .Labels.complete `100` }}The window is complete."
            "{{ else }}{{ .Labels.complete }} % of the window had arrived when it was judged.{{ end }}"
        ),
        "changed": _facts("{{ with .Labels.changed }}Changed within two hours before:\n{{ . }}{{ end }}"),
        "panel": _address(shown.dashboard if shown else _OVERVIEW, rule.group_by, f"&viewPanel={shown.panel}" if shown else ""),
        "calls": _address(_EXPLORER, rule.group_by, ""),
    }
    said |= {"runbook_url": rule.runbook} if rule.runbook else {}
    return said | ({"__dashboardUid__": shown.dashboard, "__panelId__": str(shown.panel)} if shown else {})


def heartbeat_annotations(silent_s: int, panels: Mapping[str, Shown]) -> dict[str, str]:
    """Give what the heartbeat says: it has no sample, and its completeness is its value."""
    shown = panels.get("pipeline_freshness")
    value = "{{ with .Values.A }}Value {{ printf `%.0f s` .Value }}{{ else }}No watermark{{ end }}"
    said = {
        "summary": "No worker judges alerts: the last watermark is more than a minute old",
        "description": f"{value}, level {silent_s} s. `llmtower doctor` says why.",
        "panel": _address(shown.dashboard if shown else _OVERVIEW, (), f"&viewPanel={shown.panel}" if shown else ""),
    }
    return said | ({"__dashboardUid__": shown.dashboard, "__panelId__": str(shown.panel)} if shown else {})


def _description(rule: Rule, level: Level) -> str:
    value = "{{ with .Values.A }}Value " + _amount(rule.value_unit) + "{{ else }}No value{{ end }}"
    sample = _facts(f"{{{{ printf `, from %.0f {counted(rule)}` .Value }}}}, {{{{ .Labels.window_from }}}} to {{{{ .Labels.window_to }}}}")
    return f"{value}, level {_level(level.threshold, rule.value_unit)}{sample}"


def _facts(text: str) -> str:
    """Of the second question (`grafana_facts`), where it has an answer for this alert."""
    return f"{{{{ with .Values.C }}}}{text}{{{{ end }}}}"


def _amount(unit: str) -> str:
    """Write `.Value` with its unit."""
    if unit == "ratio":
        return "{{ humanizePercentage .Value }}"
    large, small = _formats(unit)
    return f"{{{{ if ge .Value {_large(unit)} }}}}{_printed(large)}{{{{ else }}}}{_printed(small)}{{{{ end }}}}"


def _printed(form: str) -> str:
    return f"{{{{ printf `{form}` .Value }}}}"


def _large(unit: str) -> float:
    return 1.0 if unit == "usd" else 1_000.0


def _level(threshold: float, unit: str) -> str:
    if unit == "ratio":
        return f"{threshold * 100:.4g}%"
    large, small = _formats(unit)
    return (large if threshold >= _large(unit) else small) % threshold


def _formats(unit: str) -> tuple[str, str]:
    if unit == "usd":
        return "%.2f USD", "%.4f USD"
    after = unit if unit.startswith("x") else f" {'s' if unit == 'seconds' else unit}" if unit else ""
    after = after.replace("%", "%%")
    return f"%.0f{after}", f"%.3g{after}"


def _group(names: Sequence[str]) -> str:
    """Values come from traffic: no control characters, nothing that a chat takes for a mention."""
    if not names:
        return ""
    each = (f"{name}={{{{ with .Labels.{name} }}}}{{{{ reReplaceAll `[<>@\\pC]` ` ` . }}}}{{{{ end }}}}" for name in names)
    return f"{{{{ if .Values.A }}}} ({', '.join(each)}){{{{ end }}}}"


def _address(dashboard: str, names: Sequence[str], more: str) -> str:
    """The dashboard at the alert's own time, with its group as filters."""
    span = _facts("&from={{ .Labels.from_ms }}&to={{ .Labels.to_ms }}")
    filters = "".join(
        f"{{{{ with .Labels.{name} }}}}&var-{variable}={{{{ urlquery . }}}}{{{{ end }}}}"
        for name in names
        for variable, _ in link_parameters({name: ""})
    )
    return f"{_BASE}{dashboard}?orgId=1{more}{span}{filters}"


def _literal(text: str) -> str:
    """Somebody's own words are no template."""
    return text.replace("{{", "{ {")
