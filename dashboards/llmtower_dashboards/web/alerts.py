"""Alerts on the page: what is firing, with what to do about it; what is silenced. Pure."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, cast, get_args

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.panel import PanelUnit
from llmtower_dashboards.panels.alerts import FIRING, HISTORY, SILENCES
from llmtower_dashboards.panels.variables import VARIABLES
from llmtower_dashboards.web.chrome import PANEL_PATHS
from llmtower_dashboards.web.format import THIN, age, figure
from llmtower_dashboards.web.look import CALLS_PATH, Look
from llmtower_dashboards.web.tables import left_out
from llmtower_dashboards.web.tags import EMPTY, Html, join, tag
from llmtower_schemas.metrics import Unit
from llmtower_schemas.silences import Silence

_BEFORE, _AFTER = timedelta(minutes=30), timedelta(minutes=10)
_FILTERS = {"project": "project", "environment": "environment", "app": "app", "request_model": "model", "provider": "provider"}
_FILTERS |= {"prompt_name": "prompt", "user_id": "user", "model": "model", "prompt": "prompt", "user": "user"}
_FILTERS |= {"prompt_version": "version", "error_class": "error", "response_model": "snapshot", "session_id": "session"}

_FIGURE_AT = 4
_NAMED = 4
"""Groups of a rule that the overview names."""
TIMES = "\u00d7 "
_CUT = f"Only the first {FIRING.most} alerts were asked for: there may be more."
_KNOWN = frozenset(get_args(Unit))


@dataclass(frozen=True, slots=True)
class Alert:
    """An alert that is not good now, as a row of the panel `alerts_firing` says it."""

    row: Mapping[str, Any]
    group: Mapping[str, str]
    silence: Silence | None = None

    @property
    def key(self) -> str:
        """Names it on this page."""
        return f"{self.row['rule']}|{self.row['group_text']}"


def alerts(firing: Answer, silences: Answer, now: datetime) -> list[Alert]:
    """The alerts of an answer, each with the silence that covers it; those that people are told of come first."""
    known = [_silence(row, silences) for row in silences.rows]
    at_us = round(now.timestamp() * 1_000_000)
    found = []
    for values in firing.rows:
        row = _named(values, firing)
        group = {str(name): str(value) for name, value in json.loads(row["group_json"] or "{}").items()}
        covering = (one for one in known if one.covers(str(row["rule"]), group, at_us))
        found.append(Alert(row, group, next(covering, None)))
    return sorted(found, key=lambda alert: (alert.silence is not None, alert.row["state"] != "firing", alert.row["severity"] != "critical"))


def count(found: Sequence[Alert]) -> int:
    """How many people ought to look at."""
    return sum(alert.silence is None and alert.row["state"] == "firing" for alert in found)


def listed(found: Sequence[Alert], look: Look, *, limit: int = 100, cut: bool = False) -> Html:
    """The alerts as a list, each with its figure, its group, since when, what can be done; `cut`: more may fire than were asked for."""
    if not found and not cut:
        return tag("p", tag("span", "✓ ", class_="is-ok", aria_hidden="true"), "Nothing is firing.", class_="empty")
    more = len(found) - limit
    return join(
        tag("ul", [_item(alert, look) for alert in found[:limit]], class_="alerts"),
        _rest(more, look, cut),
    )


def _rest(more: int, look: Look, cut: bool) -> Html:
    """What is not shown: of what was answered, and of what there may be beyond it."""
    if more > 0:
        said = f"and {more} more{', at least' if cut else ''}"
        return tag("p", tag("a", said, href=look.view.link("/alerts")), class_="note")
    return tag("p", _CUT, class_="note") if cut else EMPTY


def by_rule(found: Sequence[Alert], look: Look, *, limit: int, cut: bool = False) -> Html:
    """The alerts by rule: one line for a rule that fires in several groups, its worst figure first, so an incident reads as one."""
    together: dict[tuple[Any, ...], list[Alert]] = {}
    for alert in found:
        together.setdefault((alert.row["rule"], alert.row["state"], alert.row["severity"], alert.silence is None), []).append(alert)
    lines = list(together.values())
    if all(len(line) == 1 for line in lines):
        return listed(found, look, limit=limit, cut=cut)
    items = [_item(line[0], look) if len(line) == 1 else _several(line, look, cut) for line in lines[:limit]]
    return join(tag("ul", items, class_="alerts"), _rest(sum(map(len, lines[limit:])), look, cut))


def silenced(answer: Answer, look: Look) -> Html:
    """The silences that hold now, each with its end."""
    rows = []
    for values in answer.rows:
        row = _named(values, answer)
        group = ", ".join(f"{name} {value}" for name, value in json.loads(row["group_json"] or "{}").items()) or "every group"
        undo = tag("button", "end now", type="button", data_do="unsilence", data_silence=str(row["silence_id"]))
        said = [row["kind"], f"{row['rule']}", group, f"until {look.at(row['ends_at'])}", row["by"], row["comment"], undo]
        rows.append(tag("tr", [tag("td", cell) for cell in said]))
    head = tag("tr", [tag("th", title, scope="col") for title in ("Kind", "Rule", "Group", "Until", "By", "Comment", "")])
    table = tag("table", tag("thead", head), tag("tbody", rows))
    return join(tag("div", table, class_="scroll", tabindex="0", role="region", aria_label="Silences"), left_out(SILENCES, answer))


def found_silence(answer: Answer, silence_id: str) -> Silence | None:
    """The silence of that id."""
    return next((one for row in answer.rows if (one := _silence(row, answer)).silence_id == silence_id), None)


def _item(alert: Alert, look: Look) -> Html:
    row = alert.row
    before = f"shortly before: {row['coincident']}" if row["coincident"] else ""
    head = _head(alert, look, _panel(alert, look), _group(alert), since=row["since"])
    return _entry(alert, head, tag("div", tag("span", _sample(row), before, class_="why"), _told(alert, look), class_="line"))


def _several(found: Sequence[Alert], look: Look, cut: bool) -> Html:
    """A rule in several groups: the worst figure, how long it has gone on, and each group with its own, which leads to its calls."""
    ranked = _worst_first(found)
    worst, each = ranked[0], look.view.choosing(rule=str(ranked[0].row["rule"])).link("/alerts")
    head = _head(worst, look, each, "", since=min(alert.row["since"] for alert in found))
    links = [tag("a", f"{_group(alert) or 'all'} {_value(alert.row)}", href=_around(alert, look).link(CALLS_PATH)) for alert in ranked]
    said = join(*(part for link in links[:_NAMED] for part in (" · ", link)))
    rest = f" · {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    before = f" · shortly before: {worst.row['coincident']}" if worst.row["coincident"] else ""
    quiet = tag("span", tag("a", "silence, acknowledge", href=each, class_="to-silence"), class_="actions")
    return _entry(
        worst,
        head,
        tag("div", tag("span", f"{'at least ' if cut else ''}{len(found)} groups", said, rest, before, class_="why"), quiet, class_="line"),
    )


def _entry(alert: Alert, *lines: Html) -> Html:
    return tag("li", *lines, data_row="", tabindex="-1", class_="alert is-quiet" if alert.silence else "alert")


def _head(alert: Alert, look: Look, href: str, group: str, *, since: datetime) -> Html:
    """The first line of an entry: how grave, what, where, its figure, since when."""
    row = alert.row
    state = "warn" if row["state"] == "pending" or row["severity"] == "warning" else "bad"
    word = "pending" if row["state"] == "pending" else str(row["severity"])
    mark = tag("span", "● " if row["state"] == "firing" else "◌ ", word, class_=f"state is-{state}")
    name = tag("a", str(row["title"] or row["rule"]), href=href, class_="name")
    lasts = tag("span", f"for {age((look.now - since).total_seconds())}", class_="since", title=f"since {look.at(since)}")
    who = tag("div", mark, name, tag("span", group, class_="group"), class_="who")
    return tag("div", who, tag("div", tag("span", _figures(row), class_="value"), lasts, class_="now"), class_="line")


def _group(alert: Alert) -> str:
    return " · ".join(str(value) for name, value in sorted(alert.group.items()) if value and (name, value) != ("project", "default"))


def _worst_first(found: Sequence[Alert]) -> list[Alert]:
    """No data, then the furthest on the bad side of the threshold: where most of them are, as one may be on its way to recovery."""
    beyond = {alert.key: alert.row["value"] - (alert.row["threshold"] or 0.0) for alert in found if alert.row["value"] is not None}
    above = 2 * sum(excess < 0 for excess in beyond.values()) <= len(beyond)
    worst = float("inf")
    return sorted(found, key=lambda alert: beyond.get(alert.key, worst) if above else -beyond.get(alert.key, -worst), reverse=True)


def _value(row: Mapping[str, Any]) -> str:
    return "no data" if row["value"] is None else _amount(row["value"], str(row["unit"]))


def history(answer: Answer, look: Look) -> Html:
    """What alerts went through, newest first."""
    rows = []
    for values in answer.rows:
        row = _named(values, answer)
        state = str(row["state"])
        word = (
            "✓ over"
            if state in ("resolved", "ok")
            else f"{'◌' if state == 'pending' else '●'} {row['severity'] if state == 'firing' else state}"
        )
        shade = "ok" if state in ("resolved", "ok") else "bad" if row["severity"] == "critical" else "warn"
        group = " · ".join(part.partition("=")[2] for part in str(row["group_text"]).split(", ") if part and part != "project=default")
        rule = tag("a", str(row["rule"]), href=look.view.choosing(rule=str(row["rule"])).link("/alerts"))
        said = [
            tag("time", look.at(row["time"]), datetime=row["time"].isoformat()),
            tag("span", word, class_=f"is-{shade}"),
            rule,
            group,
            _figures(row),
            str(row["reason"]),
            str(row["coincident"]),
            str(row["told"]),
        ]
        rows.append(tag("tr", [tag("td", cell, class_="num" if at == _FIGURE_AT else None) for at, cell in enumerate(said)]))
    heads = ("Time", "State", "Rule", "Group", "Figure", "Reason", "Shortly before", "Told")
    head = tag("tr", [tag("th", title, scope="col", class_="num" if at == _FIGURE_AT else None) for at, title in enumerate(heads)])
    table = tag("table", tag("thead", head), tag("tbody", rows))
    return join(tag("div", table, class_="scroll", tabindex="0", role="region", aria_label="History"), left_out(HISTORY, answer))


def _amount(value: Any, unit: str) -> str:
    """Some rules have a unit of their own, `x budget`."""
    shown = str(figure(value, cast(PanelUnit, unit)))
    return shown if unit in _KNOWN or not unit else f"{shown}{THIN}{unit.replace('x ', TIMES)}"


def _figures(row: Mapping[str, Any]) -> str:
    if row["value"] is None:
        return str(row["reason"] or "no data")
    unit = str(row["unit"])
    value = _amount(row["value"], unit)
    if row["threshold"] is None:
        return value
    value = value if unit in _KNOWN else str(figure(row["value"], ""))
    sign = "<" if row["value"] < row["threshold"] else ">"
    return f"{value} {sign} {_amount(row['threshold'], unit)}"


def _sample(row: Mapping[str, Any]) -> str:
    parts = [f"{figure(row['sample'], 'calls')} calls"] if row["sample"] is not None else []
    if row["completeness"] is not None and row["completeness"] < 1:
        parts.append(f"{figure(row['completeness'], 'ratio')} complete")
    return "".join(f"{part} · " for part in parts).removesuffix(" · " if not row["coincident"] else "")


def _told(alert: Alert, look: Look) -> Html:
    link = tag("a", "example calls", href=_around(alert, look).link(CALLS_PATH))
    runbook = tag("a", "runbook", href=str(alert.row["runbook"]), rel="noreferrer") if _is_web(str(alert.row["runbook"])) else None
    if alert.silence is not None:
        until = look.at(datetime.fromtimestamp(alert.silence.ends_at_us / 1e6, look.now.tzinfo))
        word = "silenced" if alert.silence.kind == "silence" else "acknowledged"
        undo = tag("button", "undo", type="button", data_do="unsilence", data_silence=alert.silence.silence_id)
        return tag("span", link, runbook, tag("span", f"{word} until {until}", class_="quiet"), undo, class_="actions")
    buttons = [
        tag("button", f"silence 1{THIN}h", type="button", data_do="silence", data_key=alert.key),
        tag("button", "acknowledge", type="button", data_do="acknowledge", data_key=alert.key),
    ]
    return tag("span", link, runbook, buttons, class_="actions")


def _around(alert: Alert, look: Look) -> Any:
    """The view of the time around the alert's window, filtered by its group."""
    row = alert.row
    view = look.view.choosing(rule="", list="")
    for name, value in alert.group.items():
        if name in _FILTERS and value:
            view = view.having(_FILTERS[name], (value,))
    start, end = row["window_start"] - _BEFORE, min(row["window_end"] + _AFTER, max(look.now, row["window_end"]))
    return view.spanning(start, end)


def _panel(alert: Alert, look: Look) -> str:
    """The page of the panel that shows the alert's figure; the alerts' page where it has none."""
    name = str(alert.row["panel"])
    path = PANEL_PATHS.get(name)
    if path is None:
        return look.view.choosing(rule=str(alert.row["rule"])).link("/alerts")
    view = _around(alert, look)
    return f"{view.only_having({one: chosen for one, chosen in view.variables.items() if VARIABLES[one].sql}).link(path)}#{name}"


def _is_web(address: str) -> bool:
    return address.startswith(("https://", "http://"))


def _silence(values: Sequence[Any], answer: Answer) -> Silence:
    row = _named(values, answer)
    return Silence(
        silence_id=row["silence_id"],
        kind=row["kind"],
        rule=row["rule"],
        group=json.loads(row["group_json"] or "{}"),
        starts_at_us=round(row["starts_at"].timestamp() * 1_000_000),
        ends_at_us=round(row["ends_at"].timestamp() * 1_000_000),
        by=row["by"],
        comment=row["comment"],
    )


def _named(values: Sequence[Any], answer: Answer) -> dict[str, Any]:
    return dict(zip((column.name for column in answer.columns), values, strict=True))
