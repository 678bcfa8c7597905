"""A notification in words and as typed JSON: figures, names and addresses, never text of prompts or answers. Pure."""

import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from llmtower_processors.alerts.model import Notification
from llmtower_processors.alerts.rules import Rule
from llmtower_schemas.alerts import SEVERITIES, Change, Severity, Transition, digest, group_text

LONGEST: Final = 200
"""Characters of a name that somebody else chose."""
LISTED: Final = 10
"""Alerts told in a digest; the rest is counted."""
_SAMPLES: Final = {"calls": "calls", "users": "calls", "feedback": "ratings"}


class Message(BaseModel):
    """One alert as a webhook's receiver gets it. Times are ISO 8601, UTC."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    kind: Literal["alert"] = "alert"
    dedup_key: str
    """The same from the first word to the last of an incident."""
    transition_id: str
    status: Literal["firing", "resolved"]
    severity: Severity
    cause: str
    rule: str
    title: str
    text: str
    group: dict[str, str]
    value: float | None
    threshold: float | None
    unit: str
    sample: float | None
    completeness: float | None
    since: str
    at: str
    window_start: str
    window_end: str
    reason: str
    corrected: bool
    possible_repeat: bool
    changes: tuple[Change, ...]
    links: dict[str, str]
    runbook: str


class Digest(BaseModel):
    """Several alerts told as one."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    kind: Literal["digest"] = "digest"
    dedup_key: str
    title: str
    text: str
    possible_repeat: bool
    alerts: tuple[Message, ...]


class Report(BaseModel):
    """A report in words, as a webhook's receiver gets it."""

    model_config = ConfigDict(frozen=True)

    version: Literal[1] = 1
    kind: Literal["report"] = "report"
    title: str
    text: str


def message(notification: Notification) -> Message:
    """Put one notification into words."""
    told = notification.transition
    return Message(
        dedup_key=told.dedup_key,
        transition_id=told.transition_id,
        status=_status(told),
        severity=told.severity,
        cause=told.cause,
        rule=told.rule,
        title=title(notification),
        text=text(notification),
        group={name: _plain(value) for name, value in told.group.items()},
        value=told.value,
        threshold=told.threshold,
        unit=told.unit,
        sample=told.sample,
        completeness=told.completeness,
        since=_iso(told.since_us),
        at=_iso(told.at_us),
        window_start=_iso(told.window_start_us),
        window_end=_iso(told.window_end_us),
        reason=told.reason,
        corrected=told.corrected,
        possible_repeat=notification.possible_repeat,
        changes=tuple(change.model_copy(update={"what": _plain(change.what)}) for change in told.coincident),
        links=dict(notification.links),
        runbook=told.runbook,
    )


def digest_of(notifications: Sequence[Notification]) -> Digest:
    """Put several into one, the gravest first; its key is made of theirs, so the same again is the same."""
    notifications = sorted(notifications, key=_urgency)
    ends = sum(_status(one.transition) == "resolved" for one in notifications)
    parts = [f"{len(notifications) - ends} firing"] * (ends < len(notifications)) + [f"{ends} resolved"] * (ends > 0)
    lines = [line for one in notifications[:LISTED] for line in _listed(one)]
    if len(notifications) > LISTED:
        lines.append(f"… and {len(notifications) - LISTED} more")
    address = next((one.links["alert"].partition("?")[0] for one in notifications if "alert" in one.links), "")
    repeat = any(one.possible_repeat for one in notifications)
    lines += [f"All alerts: {address}"] * bool(address) + ["Possible repeat: some of it may have been told before."] * repeat
    return Digest(
        dedup_key=digest("digest", *(one.transition.transition_id for one in notifications)),
        title=f"Llmtower: {len(notifications)} alerts ({', '.join(parts)})",
        text="\n".join(lines),
        possible_repeat=repeat,
        alerts=tuple(message(one) for one in notifications),
    )


def title(notification: Notification) -> str:
    """Say in one line what it is, how grave, and of whom."""
    told = notification.transition
    word = "RESOLVED" if _status(told) == "resolved" else told.severity.upper()
    group = _plain(group_text(told.group))
    return f"{word}: {_plain(told.title or told.rule)}{f' ({group})' if group else ''}"


def text(notification: Notification) -> str:
    """Say everything, a fact a line."""
    told = notification.transition
    lines = [
        _measured(notification),
        f"Since {_clock(told.since_us)}, {_lasting(told.at_us - told.since_us)} by now. {told.reason}".rstrip(),
        _complete(told),
        *_changed(told),
        *_addresses(notification.links),
    ]
    if notification.possible_repeat:
        lines.append("Possible repeat: this may have been told before.")
    return "\n".join(lines)


def amount(value: float | None, unit: str) -> str:
    """Write a value with its unit."""
    if value is None:
        return "nothing"
    if unit == "ratio":
        return f"{value * 100:.3g} %"
    if unit == "usd":
        return f"${value:,.2f}" if abs(value) >= 1 else f"${value:.4f}"
    if unit == "seconds":
        return f"{value * 1_000:.0f} ms" if 0 < abs(value) < 1 else f"{value:.3g} s" if abs(value) < 1_000 else f"{value:,.0f} s"
    number = f"{value:,.0f}" if abs(value) >= 1_000 or value == int(value) else f"{value:.3g}"
    return number if not unit else f"{number}{unit}" if unit.startswith("x") else f"{number} {unit}"


def counted(rule: Rule | None) -> str:
    """Name what the sample of a rule counts."""
    measured = rule.measured if rule else None
    return _SAMPLES.get(measured.source.name, "events") if measured else "events"


def _measured(notification: Notification) -> str:
    told, rule = notification.transition, notification.rule
    level = f", level {amount(told.threshold, told.unit)}" if told.threshold is not None else ""
    sample = f", from {told.sample:,.0f} {counted(rule)}" if told.sample is not None else ""
    return f"Value {amount(told.value, told.unit)}{level}{sample}, {_clock(told.window_start_us)} to {_clock(told.window_end_us)}"


def _listed(notification: Notification) -> list[str]:
    """An alert among others: the same facts in fewer lines."""
    told = notification.transition
    lines = [f"{_measured(notification)}. Since {_clock(told.since_us)}. {_complete(told)}", *_changed(told)]
    addresses = " · ".join(_addresses({key: address for key, address in notification.links.items() if key in ("panel", "calls")}))
    return [f"• {title(notification)}", *(f"   {line}" for line in [*lines, addresses] if line)]


def _changed(told: Transition) -> list[str]:
    return [f"Changed shortly before: {change.kind} {_plain(change.what)} at {_clock(change.at_us)}" for change in told.coincident]


def _complete(told: Transition) -> str:
    if told.completeness is None:
        return "How complete the window is, is not known."
    share = int(told.completeness * 1_000) / 10  # rounded down: never called complete when it is not
    return "The window is complete." if told.completeness >= 1 else f"{share:g} % of the window had arrived when it was judged."


def _addresses(links: Mapping[str, str]) -> list[str]:
    names = (("panel", "Panel"), ("calls", "Example calls"), ("alert", "Alert"), ("runbook", "Runbook"))
    return [f"{name}: {links[key]}" for key, name in names if key in links]


def _urgency(notification: Notification) -> tuple[bool, int, str]:
    told = notification.transition
    return _status(told) == "resolved", -SEVERITIES.index(told.severity), told.rule


def _status(told: Transition) -> Literal["firing", "resolved"]:
    return "firing" if told.to_state == "firing" else "resolved"


def _plain(name: str) -> str:
    """Names come from traffic: no control characters, nothing that a chat takes for a mention, not too long."""
    shown = "".join(" " if unicodedata.category(letter) in ("Cc", "Cf", "Zl", "Zp") else letter for letter in name)
    shown = shown.replace("<", "‹").replace(">", "›").replace("@", "＠")  # noqa: RUF001 - looks the same, mentions nobody
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _lasting(duration_us: int) -> str:
    minutes = max(0, duration_us) // 60_000_000
    if minutes < 1:
        return f"{max(0, duration_us) // 1_000_000} s"
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"


def _clock(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1e6, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _iso(moment_us: int) -> str:
    return datetime.fromtimestamp(moment_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
