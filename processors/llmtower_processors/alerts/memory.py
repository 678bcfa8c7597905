"""What is known of one alert: a fold over its transitions, and what a leader has seen with its own eyes. Pure."""

from dataclasses import dataclass, field

from llmtower_schemas.alerts import SEVERITIES, Severity, State, Transition


@dataclass(frozen=True, slots=True)
class Memory:
    """What is known of one rule and group."""

    state: State = "ok"
    severity: Severity = "warning"
    dedup_key: str = ""
    sequence: int = 0
    since_us: int = 0
    changed_us: int = 0
    told_us: int = 0
    told: Severity | None = None
    """The gravest level that people were told of in this incident."""
    told_by: tuple[str, ...] = ()
    """Routes by which they were."""
    unsure: bool = False
    """It fired on a window that was not complete."""
    watched: "Watched" = field(default_factory=lambda: Watched())

    @property
    def active(self) -> bool:
        """Whether there is an incident."""
        return self.state in ("pending", "firing")


@dataclass(frozen=True, slots=True)
class Watched:
    """What a leader has seen with its own eyes; lost with it. Durations in microseconds."""

    at_us: int | None = None
    warning_us: int = 0
    critical_us: int = 0
    good_us: int = 0
    eased_us: int = 0
    late_us: int = 0
    worst: Severity | None = None
    good: bool = False
    eased: bool = False

    @property
    def bad(self) -> bool:
        """Whether the last look was bad."""
        return self.worst is not None


def recall(memory: Memory, transition: Transition) -> Memory:
    """Fold one transition into what is known; those already folded are passed over."""
    if transition.sequence <= memory.sequence:
        return memory
    if transition.to_state in ("ok", "resolved"):
        return Memory(sequence=transition.sequence, changed_us=transition.at_us)
    fresh = memory.dedup_key != transition.dedup_key
    told = None if fresh else memory.told
    return Memory(
        state=transition.to_state,
        severity=transition.severity,
        dedup_key=transition.dedup_key,
        sequence=transition.sequence,
        since_us=transition.since_us,
        changed_us=transition.at_us,
        told_us=transition.at_us if transition.notify else 0 if fresh else memory.told_us,
        told=_graver(told, transition.severity) if transition.notify else told,
        told_by=_joined(() if fresh else memory.told_by, transition.routes if transition.notify else ()),
        unsure=transition.completeness is not None and transition.completeness < 1 if _fires(transition) else memory.unsure,
    )


def _fires(transition: Transition) -> bool:
    return transition.to_state == "firing" and transition.from_state != "firing"


def _graver(told: Severity | None, severity: Severity) -> Severity:
    return severity if told is None or rank(severity) > rank(told) else told


def _joined(told_by: tuple[str, ...], routes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*told_by, *routes)))


def rank(severity: Severity) -> int:
    """Order severities: the graver, the higher."""
    return SEVERITIES.index(severity)
