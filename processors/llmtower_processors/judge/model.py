"""What judges, and what they find: values that the edges and the service share."""

from dataclasses import dataclass
from typing import Final, Literal

from llmtower_processors.judge.question import Said

APP: Final = "llmtower-judge"
"""The app under which a judge's own calls are recorded; calls of it are never judged."""

Reason = Literal[
    "",
    "unreadable answer",
    "timeout",
    "network",
    "rate_limit",
    "auth",
    "invalid_request",
    "content_filter",
    "server",
    "endpoint down",
    "over budget",
    "no text",
]
"""Why there is no score; empty when there is one."""
ENDPOINT: Final = frozenset({"timeout", "network", "rate_limit", "auth", "server"})
"""Reasons that lie with the endpoint: asking on would cost time, or money, for nothing."""


@dataclass(frozen=True, slots=True)
class Pick:
    """A call to be judged; `weight`: for how many calls it stands."""

    call_id: str
    project: str
    app: str
    environment: str
    request_model: str
    prompt_name: str
    prompt_version: str
    started_at_us: int
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer of the endpoint, or why there is none; `cost` in nano-USD, what it costs for certain or at most."""

    text: str = ""
    reason: Reason = ""
    cost: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of one pick: a score, or a reason."""

    pick: Pick
    value: float | None = None
    reason: Reason = ""
    cost: int = 0
    skipped: bool = False
    """Nobody was asked."""


@dataclass(frozen=True, slots=True)
class Material:
    """A pick with its texts."""

    pick: Pick
    said: Said


@dataclass(frozen=True, slots=True)
class Round:
    """One row of `judge_rounds`; money in nano-USD."""

    at_ms: int
    model: str
    state: Literal["judged", "idle", "paced", "over budget", "endpoint down"]
    budget: int
    spent: int
    population: int = 0
    scored: int = 0
    failed: int = 0
    skipped: int = 0
