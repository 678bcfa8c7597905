"""Which processors share a process. Apart from the registry, because `llmtower up` asks before it loads what they need."""

from typing import Final

PIPELINE: Final = ("calls", "signals")
"""What must be stored within seconds."""
SCORING: Final = ("sketches", "quality", "toxicity")
"""What computes for long: in a process of its own at low priority, so that nothing of the pipeline ever waits for it."""
NICENESS: Final = 19
"""By how much a process that only scores steps back."""
STARTING: Final = 5
"""By how much while it starts: two seconds of work once, which at `NICENESS` would take minutes on a machine that others keep busy."""
RANGE_ROWS: Final = 4_000
"""Events per range of a processor that scores: some seconds of work at most, also where others take the machine."""
