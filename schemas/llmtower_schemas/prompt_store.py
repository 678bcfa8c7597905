"""Writing prompts: push, promote and roll back, each settled by compare-and-set. Over any RegistryLog."""

from dataclasses import dataclass
from difflib import get_close_matches
from typing import Final

from llmtower_schemas.chains import Entry
from llmtower_schemas.prompt_book import PromptBook, undone
from llmtower_schemas.prompts import LABEL, LATEST, PROMPT, Move, Prompt, Version, decode_move, encode_move, encode_prompt
from llmtower_schemas.registry_log import RegistryLog, TakenError, append

ATTEMPTS: Final = 20
"""So often a push tries for the next number while others push the same prompt."""


class PromptError(Exception):
    """What was asked for cannot be done; the message says what was wrong, where, and what to do."""

    retriable = False


class OvertakenError(PromptError):
    """Somebody else moved the label meanwhile."""


@dataclass(frozen=True, slots=True)
class Pushed:
    """A push: the version, and whether it is new or says what the newest said already."""

    version: Version
    new: bool


class PromptStore:
    """Prompts of one registry; `book` is what was read of it."""

    def __init__(self, log: RegistryLog) -> None:
        self._log = log
        self.book = PromptBook()

    async def refresh(self) -> PromptBook:
        """Read what is new. Raises RegistryUnavailable."""
        self.book.learn(await self._log.read())
        return self.book

    async def push(self, name: str, prompt: Prompt) -> Pushed:
        """Store the next version. Raises PromptError, RegistryUnavailable; one that says what the newest says is not stored again."""
        try:
            value = encode_prompt(prompt)
        except ValueError as error:
            raise PromptError(f"{name} was not pushed: {error}.") from error
        await self.refresh()
        for _ in range(ATTEMPTS):
            number = self.book.newest(name)
            newest = self.book.version(name, number) if number else None
            if newest is not None and newest.sha256 == prompt.sha256():
                return Pushed(newest, new=False)
            try:
                entry = await append(self._log, self.book.chains, f"{PROMPT}{name}", value, after=number)
            except TakenError:
                continue
            return Pushed(self.need(name, entry.number), new=True)
        raise PromptError(f"{name} was not pushed: others push it all the time ({ATTEMPTS} attempts). Try again.")

    async def promote(
        self, name: str, number: int, *, label: str, by: str, key_id: str = "", note: str = "", seen: int | None = None
    ) -> Entry:
        """Point a label to a version. `seen` is the version that you believe it points to: another one there is refused (0 = none).

        Raises PromptError, OvertakenError, RegistryUnavailable.
        """
        await self.refresh()
        self.need(name, number)
        move = Move(version=number, action="promote", by=by, key_id=key_id, note=note)
        return await self._move(name, label, move, seen)

    async def rollback(self, name: str, *, label: str, by: str, key_id: str = "", note: str = "", seen: int | None = None) -> Entry:
        """Point a label to what it pointed to before its last promotion that stands. Raises as `promote`."""
        await self.refresh()
        self._known(name)
        target = undone(self.book.moves(name, label))
        if target is None:
            raise PromptError(f"{name} {label} cannot be rolled back: nothing stood there before. Promote the version that you want.")
        return await self._move(name, label, Move(version=target, action="rollback", by=by, key_id=key_id, note=note), seen)

    async def _move(self, name: str, label: str, move: Move, seen: int | None) -> Entry:
        if label == LATEST:
            raise PromptError(f"The label {LATEST} is always the newest version: choose another name.")
        now, place = self.book.pointed(name, label), self.book.place(name, label)
        if seen is not None and (now or 0) != seen:
            raise OvertakenError(f"{name} {label} points to {now or 'nothing'}, not to {seen or 'nothing'}. {self._who(name, label)}")
        try:
            return await append(self._log, self.book.chains, f"{LABEL}{name}/{label}", encode_move(move), after=place)
        except TakenError as error:
            raise OvertakenError(f"{name} {label} was moved by somebody else at the same moment. {self._who(name, label)}") from error

    def _who(self, name: str, label: str) -> str:
        moves = self.book.moves(name, label)
        if not moves:
            return "Look at `llmtower prompts history` and try again."
        last = moves[-1]
        return f"{last.move.by or 'Somebody'} moved it to {last.move.version}. Look at `llmtower prompts history {name}` and try again."

    def need(self, name: str, number: int) -> Version:
        """Give a version that must be there. Raises PromptError."""
        self._known(name)
        found = self.book.version(name, number)
        if found is None:
            numbers = self.book.numbers(name)
            state = "cannot be read (is it of a newer Llmtower?)" if number in numbers else "does not exist"
            raise PromptError(f"{name}@{number} {state}; the versions of {name} are 1 to {numbers[-1]}.")
        return found

    def _known(self, name: str) -> None:
        if not self.book.newest(name):
            near = get_close_matches(name, self.book.names(), n=1)
            hint = f"did you mean {near[0]}?" if near else "`llmtower prompts list` shows those there are."
            raise PromptError(f"No prompt is called {name}: {hint}")


def moved_to(entry: Entry) -> int:
    """Give the version that a settled move points to."""
    move = decode_move(entry)
    return move.version if move else 0
