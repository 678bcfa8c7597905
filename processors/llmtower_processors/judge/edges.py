"""What a judge talks to, as protocols: the tables, the registry, the endpoint. Each has an implementation in memory beside the real one."""

from collections.abc import Sequence
from typing import Any, Protocol

from llmtower_processors.judge.model import Material, Pick, Reply, Round
from llmtower_processors.judge.rubric import Rubric
from llmtower_processors.judge.sampling import Quota
from llmtower_processors.registry_topic import RegistryRecord


class Calls(Protocol):
    """The tables. Methods block; spans of time are milliseconds, start included, end not."""

    def count(self, rubric: Rubric, span: tuple[int, int]) -> tuple[int, int]:
        """Give how many calls the rubric could judge, and how many of them have its local score."""

    def pick(self, rubric: Rubric, span: tuple[int, int], quota: Quota) -> list[Pick]:
        """Give the calls that a quota takes: the same ones whenever it is asked."""

    def read(self, picks: Sequence[Pick]) -> list[Material]:
        """Give their texts; without any where they were not kept."""

    def scored(self, rubric: Rubric, picks: Sequence[Pick]) -> set[str]:
        """Give the call ids that have this rubric's score already."""

    def spent(self, from_ms: int) -> int:
        """Give what a judge's own stored calls have cost since a moment, nano-USD."""

    def record(self, row: Round, token: str) -> None:
        """Store one row of `judge_rounds`, once per token."""


class Registry(Protocol):
    """The compacted topic."""

    async def poll(self) -> list[RegistryRecord]:
        """Give what is new up to the present end. Raises Unreachable."""

    async def write(self, key: str, value: bytes | None) -> None:
        """Write one value (None = forget it) and wait for it to be acknowledged. Raises Unreachable."""


class Endpoint(Protocol):
    """The model."""

    async def ask(self, messages: Sequence[dict[str, str]], form: dict[str, Any]) -> Reply:
        """Ask once; failures are values. Nothing is tried again here."""

    def most(self, input_tokens: int) -> int | None:
        """Give what one ask can cost at most, nano-USD; None when no price is known."""
