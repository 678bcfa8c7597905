"""What a process that emitted says at its end: the emitted side of the books."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Said:
    """What one producer's process said when it closed."""

    app: str
    producer: str
    kind: str
    """live | history"""
    calls: int
    """Calls the process made, by its own count."""
    others: int
    """Steps, feedback and deploys it recorded, by its own count."""
    events: int
    """Events its SDK says were emitted."""
    spooled: int = 0
    dropped: int = 0
    unanswered: int = 0
    """Calls that ended without any answer (time-out, connection): the provider may or may not have seen them."""
    provider_saw: int | None = None
    """Calls the stand-in counted for this app; None where no provider is involved."""

    def disagreements(self) -> list[str]:
        """Say where the independent counts differ."""
        found = []
        expected = 2 * self.calls + self.others
        if self.events != expected:
            found.append(f"{self.app} ({self.kind}): the SDK emitted {self.events} events, the app's own count makes {expected}")
        if self.provider_saw is not None and not self.calls - self.unanswered <= self.provider_saw <= self.calls:
            found.append(f"{self.app} ({self.kind}): the app made {self.calls} calls, the provider saw {self.provider_saw}")
        if self.dropped or self.spooled:
            found.append(f"{self.app} ({self.kind}): the SDK dropped {self.dropped} events and holds {self.spooled} in its spool")
        return found
