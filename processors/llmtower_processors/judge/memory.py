"""The edges of a judge in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from llmtower_processors.judge.model import Material, Pick, Reply, Round
from llmtower_processors.judge.question import Said
from llmtower_processors.judge.rubric import Rubric
from llmtower_processors.judge.sampling import Quota
from llmtower_processors.registry_topic import RegistryRecord


class MemoryTopic:
    """A compacted topic; each reader gets what it has not seen."""

    def __init__(self) -> None:
        self.records: list[RegistryRecord] = []

    def open(self) -> "MemoryRegistry":
        """Give one more reader and writer."""
        return MemoryRegistry(self)


class MemoryRegistry:
    """One reader and writer of a topic in memory."""

    def __init__(self, topic: MemoryTopic) -> None:
        self._topic, self._seen = topic, 0

    async def poll(self) -> list[RegistryRecord]:
        """Give what is new."""
        new = self._topic.records[self._seen :]
        self._seen += len(new)
        return new

    async def write(self, key: str, value: bytes | None) -> None:
        """Append one value."""
        self._topic.records.append(RegistryRecord("memory", len(self._topic.records), 0, key.encode(), value))


class MemoryCalls:
    """Calls in memory: picks with their texts, and local scores by call id."""

    def __init__(self, material: Sequence[Material] = (), local: dict[str, float] | None = None) -> None:
        self.material = list(material)
        self.local = local or {}
        self.done: dict[str, set[str]] = {}
        self.stored_spend = 0
        self.rounds: list[Round] = []

    def count(self, rubric: Rubric, span: tuple[int, int]) -> tuple[int, int]:
        """Count those of a span."""
        found = self._within(span)
        return len(found), sum(pick.call_id in self.local for pick in found) if rubric.uncertain_by else 0

    def pick(self, rubric: Rubric, span: tuple[int, int], quota: Quota) -> list[Pick]:
        """Take the nearest, then others in order of their ids."""
        found = self._within(span)
        scored = sorted((pick for pick in found if pick.call_id in self.local), key=lambda pick: abs(self.local[pick.call_id] - 0.5))
        certain = scored[: quota.certain]
        rest = [pick for pick in found if pick not in certain][: quota.chance]
        return [*certain, *(replace(pick, weight=quota.weight) for pick in rest)]

    def read(self, picks: Sequence[Pick]) -> list[Material]:
        """Give their texts."""
        texts = {one.pick.call_id: one.said for one in self.material}
        return [Material(pick, texts.get(pick.call_id, Said("", ""))) for pick in picks]

    def scored(self, rubric: Rubric, picks: Sequence[Pick]) -> set[str]:
        """Give those that were marked as done."""
        return self.done.get(rubric.name, set()) & {pick.call_id for pick in picks}

    def spent(self, from_ms: int) -> int:
        """Give what was set."""
        return self.stored_spend

    def record(self, row: Round, token: str) -> None:
        """Keep the row."""
        self.rounds.append(row)

    def _within(self, span: tuple[int, int]) -> list[Pick]:
        return sorted(
            (one.pick for one in self.material if span[0] <= one.pick.started_at_us // 1_000 < span[1]), key=lambda pick: pick.call_id
        )


class MemoryEndpoint:
    """A model that answers as a function says."""

    def __init__(self, answer: Callable[[Sequence[dict[str, str]]], Reply], most: int | None = 1_000) -> None:
        self._answer, self._most = answer, most
        self.asked: list[Sequence[dict[str, str]]] = []

    async def ask(self, messages: Sequence[dict[str, str]], form: dict[str, Any]) -> Reply:
        """Answer."""
        self.asked.append(messages)
        return self._answer(messages)

    def most(self, input_tokens: int) -> int | None:
        """Give what was set."""
        return self._most
