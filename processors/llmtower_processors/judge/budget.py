"""The day's budget: a hard stop that holds over crashes, restarts and judges that do not know of each other. Logic: pure.

Before a judge spends it writes what it may at most have spent by then into the compacted, one-partition topic `llmtower.registry`, under
a key of its own run, and reads the topic to its end: only if the sum over all runs of the day is within the budget does it ask. Two judges
that write at the same moment are ordered by the partition, so the later one sees the earlier one's sum. What was written and not spent is
given back by a smaller value; a judge that dies keeps what it has written.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from llmtower_processors.judge.sampling import Quota
from llmtower_processors.registry_topic import RegistryRecord

PREFIX: Final = "judge/"
PLAN: Final = f"{PREFIX}plan"
DAY_MS: Final = 86_400_000
HEAD_START_MS: Final = 3_600_000
"""A day's budget is spread over the day; so much time is given in advance, so that a new day does not begin with nothing."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A span of calls, start included, end not, and how many of them each rubric takes; not `done`: somebody was at it."""

    from_ms: int
    until_ms: int
    quotas: dict[str, Quota] = field(default_factory=dict)
    done: bool = False

    def encode(self) -> bytes:
        """Give the record's value."""
        quotas = {name: [one.certain, one.chance, one.population] for name, one in self.quotas.items()}
        return orjson.dumps({"from_ms": self.from_ms, "until_ms": self.until_ms, "quotas": quotas, "done": self.done})


@dataclass(slots=True)
class Book:
    """What the registry says: spent or promised by day and run (nano-USD), and the last plan."""

    spent: dict[str, dict[str, int]] = field(default_factory=dict)
    plan: Plan | None = None

    def learn(self, records: Iterable[RegistryRecord]) -> None:
        """Take in versions in the order in which they were written; what cannot be read is left out."""
        for record in records:
            key = (record.key or b"").decode("utf-8", "replace")
            if key == PLAN:
                self.plan = _plan(record.value) or self.plan
            elif key.startswith(PREFIX) and key.count("/") == 2:
                _, day, run = key.split("/")
                amount = _amount(record.value)
                if amount is not None:
                    self.spent.setdefault(day, {})[run] = amount

    def total(self, day: str) -> int:
        """Nano-USD spent or promised on a day, by all judges together."""
        return sum(self.spent.get(day, {}).values())


def day_of(at_ms: int) -> str:
    """Name the day (UTC) that a moment lies in."""
    return f"{datetime.fromtimestamp(at_ms / 1_000, UTC):%Y-%m-%d}"


def spend_key(day: str, run: str) -> str:
    """Give the key under which a run writes what it has spent or promised on a day."""
    return f"{PREFIX}{day}/{run}"


def allowance(budget: int, spent: int, at_ms: int) -> int:
    """Give what may be spent now, nano-USD: the day's budget is spread evenly, and never more than what is left of it."""
    passed = min(1.0, (at_ms % DAY_MS + HEAD_START_MS) / DAY_MS)
    return max(0, int(budget * passed) - spent)


def _plan(value: bytes | None) -> Plan | None:
    try:
        found: dict[str, Any] = orjson.loads(value or b"")
        quotas = {str(name): Quota(*map(int, parts)) for name, parts in found["quotas"].items()}
        return Plan(int(found["from_ms"]), int(found["until_ms"]), quotas, bool(found["done"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _amount(value: bytes | None) -> int | None:
    try:
        return int(orjson.loads(value or b"")["nano_usd"])
    except (ValueError, KeyError, TypeError):
        return None
