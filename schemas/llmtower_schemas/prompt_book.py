"""What the registry says of prompts: a fold over its records, shared by SDK, command line and page. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from llmtower_schemas.chains import Chains, Entry, RegistryRecord
from llmtower_schemas.prompts import LABEL, LATEST, PROMPT, Move, Version, decode_move, decode_version


@dataclass(frozen=True, slots=True)
class Moved:
    """One move of a label as it was settled."""

    name: str
    label: str
    number: int
    at_ms: int
    move: Move
    before: int | None
    """The version that the label pointed to before."""


class PromptBook:
    """Versions and labels. Bodies are decoded when they are asked for."""

    def __init__(self) -> None:
        self.chains = Chains(PROMPT, LABEL)
        self._decoded: dict[tuple[str, int], Version] = {}

    def learn(self, records: Iterable[RegistryRecord]) -> list[Entry]:
        """Take in records in the order of their offsets, and give what counts of them."""
        return self.chains.learn(records)

    def names(self) -> list[str]:
        """Give the names of all prompts."""
        return [chain.removeprefix(PROMPT) for chain in self.chains.names(PROMPT)]

    def newest(self, name: str) -> int:
        """Give the number of the newest version; 0 when there is none."""
        head = self.chains.head(f"{PROMPT}{name}")
        return head.number if head else 0

    def numbers(self, name: str) -> list[int]:
        """Give the numbers of all versions, oldest first."""
        return [entry.number for entry in self.chains.entries(f"{PROMPT}{name}")]

    def version(self, name: str, number: int) -> Version | None:
        """Give one version; None when there is none, or none that can be read."""
        found = self._decoded.get((name, number))
        if found is None:
            entry = self.chains.entry(f"{PROMPT}{name}", number)
            found = decode_version(entry) if entry else None
            if found is not None:
                self._decoded[name, number] = found
        return found

    def versions(self, name: str) -> list[Version]:
        """Give all versions that can be read, oldest first."""
        return [found for number in self.numbers(name) if (found := self.version(name, number))]

    def labels(self, name: str) -> dict[str, int]:
        """Give the versions that the labels of a prompt point to; `latest` is not among them."""
        labels = [chain.rpartition("/")[2] for chain in self.chains.below(f"{LABEL}{name}")]
        found = {label: self.moves(name, label) for label in labels}
        return {label: moves[-1].move.version for label, moves in found.items() if moves}

    def pointed(self, name: str, label: str) -> int | None:
        """Give the version that a label points to; None when it points nowhere."""
        if label == LATEST:
            return self.newest(name) or None
        for entry in reversed(self.chains.entries(f"{LABEL}{name}/{label}")):
            if move := decode_move(entry):
                return move.version
        return None

    def moves(self, name: str, label: str) -> list[Moved]:
        """Give the moves of a label, oldest first."""
        found: list[Moved] = []
        for entry in self.chains.entries(f"{LABEL}{name}/{label}"):
            if move := decode_move(entry):
                before = found[-1].move.version if found else None
                found.append(Moved(name, label, entry.number, entry.at_ms, move, before))
        return found

    def place(self, name: str, label: str) -> int:
        """Give the number of a label's last move; 0 before the first."""
        head = self.chains.head(f"{LABEL}{name}/{label}")
        return head.number if head else 0


def undone(moves: Sequence[Moved]) -> int | None:
    """Give the version that a rollback leads to; None when there is nothing to go back to.

    Each rollback takes back one promotion, so that two of them go back two.
    """
    stack: list[int] = []
    for moved in moves:
        if moved.move.action == "promote":
            if not stack or stack[-1] != moved.move.version:
                stack.append(moved.move.version)
        elif len(stack) > 1:
            stack.pop()
    return stack[-2] if len(stack) > 1 else None
