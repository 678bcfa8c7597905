"""The life of one alert: ok → pending → firing → resolved. Pure; time is passed in, in microseconds.

What must outlive the leader is a fold over transitions (`recall`); how long a value has been bad or good is not, it begins again with a
new leader, except that a pending alert is trusted to have stayed so. These durations count what was watched, at most `STRIDE_US` from
one look to the next: a clock that jumps, or an hour without looks, makes no alert.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from llmtower_processors.alerts.conditions import Reading, Verdict, judge
from llmtower_processors.alerts.memory import Memory, Watched, rank, recall
from llmtower_processors.alerts.rules import Rule
from llmtower_schemas.alerts import Cause, Severity, State, Transition, digest, group_text
from llmtower_schemas.silences import Silence

STRIDE_US: Final = 60_000_000
KEEP_US: Final = 86_400_000_000
"""A firing alert is written again after a day without change, so that the topic's retention cannot forget it."""


@dataclass(frozen=True, slots=True)
class Look:
    """One look at one rule and group: what was measured in which window, and how complete it was."""

    rule: Rule
    group: Mapping[str, str]
    reading: Reading | None
    start_us: int
    end_us: int
    at_us: int
    completeness: float | None = 1.0
    corrected: bool = False
    """A second look at a closed window, after late events."""


def step(memory: Memory, look: Look, silence: Silence | None = None) -> tuple[Memory, Transition | None]:
    """Give what is known after a look, and the transition it makes, if any."""
    verdict = judge(look.rule, look.reading)
    silence = _binding(silence, memory)
    if look.corrected:
        memory, move = _revise(memory, look, verdict)
    else:
        memory = replace(memory, watched=_watch(memory, look, verdict))
        move = _move(memory, look, verdict) or _repeat(memory, look, silence)
    if move is None:
        return memory, None
    transition = _transition(memory, look, verdict, move, silence)
    return replace(recall(memory, transition), watched=memory.watched), transition


def _binding(silence: Silence | None, memory: Memory) -> Silence | None:
    """An acknowledgement is for the incident that it was made in; the next one is told again."""
    if silence is None or silence.kind == "silence":
        return silence
    return silence if memory.active and memory.since_us <= silence.starts_at_us else None


def retire(memory: Memory, rule: str, group: Mapping[str, str], at_us: int, last: Transition) -> tuple[Memory, Transition | None]:
    """End the incident of a rule that is gone."""
    if not memory.active:
        return memory, None
    transition = last.model_copy(
        update={
            "transition_id": digest(rule, group_text(group), memory.sequence + 1, memory.dedup_key, "retired"),
            "sequence": memory.sequence + 1,
            "from_state": memory.state,
            "to_state": "resolved" if memory.state == "firing" else "ok",
            "cause": "rule_changed",
            "reason": "The rule is gone from the file, or groups differently now.",
            "at_us": at_us,
            "corrected": False,
            "notify": memory.told is not None and not last.shadow,
            "routes": memory.told_by,
            "silence_id": "",
        }
    )
    return recall(memory, transition), transition


Move = tuple[State, Severity, Cause]


def _watch(memory: Memory, look: Look, verdict: Verdict) -> Watched:
    """Add up how long it has been as it is. A first look trusts a pending alert to have been bad all the time."""
    seen = memory.watched
    passed = look.at_us - (look.at_us if seen.at_us is None else seen.at_us)
    stride = min(max(passed, 0), STRIDE_US)
    if seen.at_us is None and memory.state == "pending" and verdict.bad:
        trusted = min(max(look.at_us - memory.since_us, 0), _us(look.rule.for_))
        seen = replace(seen, warning_us=trusted, critical_us=trusted if memory.severity == "critical" else 0)
    if verdict.basis != "value" and _keeps(look.rule, verdict):
        return replace(seen, at_us=look.at_us, worst=None, good=False, eased=False)
    good = verdict.held is None
    eased = verdict.held is None or rank(verdict.held) < rank(memory.severity)
    return replace(
        seen,
        at_us=look.at_us,
        warning_us=_longer(seen.warning_us, stride, now=verdict.bad, before=seen.bad),
        critical_us=_longer(seen.critical_us, stride, now=verdict.worst == "critical", before=seen.worst == "critical"),
        good_us=_longer(seen.good_us, stride, now=good, before=seen.good),
        eased_us=_longer(seen.eased_us, stride, now=eased, before=seen.eased),
        worst=verdict.worst,
        good=good,
        eased=eased,
    )


def _longer(so_far: int, stride: int, *, now: bool, before: bool) -> int:
    """The time between two looks counts when both saw it."""
    if not now:
        return 0
    return so_far + stride if before else so_far


def _keeps(rule: Rule, verdict: Verdict) -> bool:
    """Whether a window that cannot be judged leaves everything as it is."""
    return rule.no_data == "keep" or (rule.no_data == "alert" and verdict.basis == "too_few")


def _move(memory: Memory, look: Look, verdict: Verdict) -> Move | None:
    if verdict.basis != "value" and _keeps(look.rule, verdict):
        return None
    if memory.state == "firing":
        return _while_firing(memory, look, verdict)
    cause: Cause = "breach" if verdict.basis == "value" else "no_data"
    if verdict.worst is None:
        return ("ok", memory.severity, "recovered" if verdict.basis == "value" else "no_data") if memory.state == "pending" else None
    lasting = _lasting(memory.watched, look.rule, verdict.worst)
    if lasting is not None:
        return "firing", lasting, "held" if memory.state == "pending" else cause
    return ("pending", verdict.worst, cause) if memory.state != "pending" else None


def _while_firing(memory: Memory, look: Look, verdict: Verdict) -> Move | None:
    rule, seen = look.rule, memory.watched
    if verdict.worst is not None and rank(verdict.worst) > rank(memory.severity):
        lasting = _lasting(seen, rule, verdict.worst)
        if lasting is not None and rank(lasting) > rank(memory.severity):
            return "firing", lasting, "escalated"
    if verdict.held is None and seen.good_us >= _us(rule.recover_for):
        return "resolved", memory.severity, "recovered" if verdict.basis == "value" else "no_data"
    milder = verdict.held is not None and rank(verdict.held) < rank(memory.severity) and verdict.basis == "value"
    if milder and verdict.held is not None and seen.eased_us >= _us(rule.recover_for):
        return "firing", verdict.held, "eased"
    return None


def _lasting(seen: Watched, rule: Rule, worst: Severity) -> Severity | None:
    """Give the gravest level that has been passed for as long as the rule demands."""
    enough = _us(rule.for_)
    if worst == "critical" and seen.critical_us >= enough:
        return "critical"
    milder: Severity = "warning" if rule.levels.warning else "critical"
    return milder if seen.warning_us >= enough else None


def _repeat(memory: Memory, look: Look, silence: Silence | None) -> Move | None:
    """Tell again what goes on, or only write it again."""
    if memory.state != "firing":
        return None
    since_told = look.at_us - memory.told_us
    if silence is None and not look.rule.grafana:
        if memory.told is None or rank(memory.told) < rank(memory.severity):
            return "firing", memory.severity, "silence_ended"
        if look.rule.renotify and not -STRIDE_US <= since_told < _us(look.rule.renotify):  # before it was told: the clock was set back
            return "firing", memory.severity, "reminder"
    return ("firing", memory.severity, "kept") if look.at_us - memory.changed_us >= KEEP_US else None


def _revise(memory: Memory, look: Look, verdict: Verdict) -> tuple[Memory, Move | None]:
    """Late events: end what fired on too little, or begin what was missed. A window that an incident reached into was told of."""
    if verdict.basis != "value":
        return memory, None
    late = memory.watched.late_us + STRIDE_US if verdict.bad else 0
    memory = replace(memory, watched=replace(memory.watched, late_us=late))
    if memory.state == "firing" and memory.unsure and look.end_us >= memory.since_us and verdict.held is None and not memory.watched.bad:
        return memory, ("resolved", memory.severity, "late_events")
    missed = memory.state == "ok" and verdict.worst is not None and look.start_us >= memory.changed_us
    if missed and verdict.worst is not None and late >= _us(look.rule.for_):
        return replace(memory, watched=replace(memory.watched, late_us=0)), ("firing", verdict.worst, "late_events")
    return memory, None


def _transition(memory: Memory, look: Look, verdict: Verdict, move: Move, silence: Silence | None) -> Transition:
    state, severity, cause = move
    rule, group = look.rule, dict(look.group)
    begins = not memory.active
    since = look.at_us if begins else memory.since_us
    sequence = memory.sequence + 1
    key = digest(rule.name, group_text(group), sequence, since) if begins else memory.dedup_key
    told = _is_told(memory, state, severity, cause, silence) and not rule.grafana
    return Transition(
        transition_id=digest(key, sequence, state, severity, cause),
        dedup_key=key,
        sequence=sequence,
        rule=rule.name,
        title=rule.heading,
        group=group,
        severity=severity,
        from_state=memory.state,
        to_state=state,
        cause=cause,
        value=look.reading.value if look.reading else None,
        threshold=verdict.threshold,
        unit=rule.value_unit,
        sample=look.reading.sample if look.reading else 0.0,
        completeness=look.completeness,
        window_start_us=look.start_us,
        window_end_us=look.end_us,
        at_us=look.at_us,
        since_us=since,
        reason=_REASONS[cause],
        corrected=cause == "late_events",
        panel=rule.panel,
        runbook=rule.runbook,
        routes=memory.told_by if told and state == "resolved" else rule.routes,
        notify=told,
        silence_id=silence.silence_id if silence and not told and state in ("firing", "resolved") else "",
        shadow=rule.grafana,
    )


def _is_told(memory: Memory, state: State, severity: Severity, cause: Cause, silence: Silence | None) -> bool:
    """People hear of a beginning, of worse, of reminders, and of the end of what they have heard of."""
    if state == "resolved":
        return memory.told is not None
    if state != "firing" or cause in ("kept", "eased"):
        return False
    if silence is None:
        return True
    return silence.kind == "acknowledge" and (memory.told is None or rank(severity) > rank(memory.told))


_REASONS: Final[dict[Cause, str]] = {
    "breach": "The level was passed.",
    "held": "The level stayed passed for as long as the rule demands.",
    "escalated": "A graver level was passed.",
    "eased": "The graver level is not passed any more, a milder one is.",
    "recovered": "It is good again.",
    "no_data": "There is not enough to judge.",
    "late_events": "Late events changed an earlier judgement.",
    "reminder": "It still goes on.",
    "silence_ended": "It goes on, and is not silenced any more.",
    "kept": "It still goes on (written again to be remembered).",
    "rule_changed": "The rule is gone from the file, or groups differently now.",
}


def _us(seconds: float) -> int:
    return round(seconds * 1_000_000)
