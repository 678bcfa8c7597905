"""What the data directory remembers of its demos, and the books made of it."""

import secrets
from collections.abc import Sequence
from pathlib import Path

from clickhouse_connect.driver.client import Client

from . import figures
from .books import Books, balance
from .numbers import count
from .runs import Run, Runs, write_runs
from .said import Said
from .scenario import APPS


class Accounts:
    """The demos on one data directory."""

    def __init__(self, data_dir: Path, runs: Runs) -> None:
        self.data_dir = data_dir
        self.runs = runs
        sent = sum(said.calls for said in runs.said if said.kind == "history")
        self.history_note = f"{count(sent)} calls of an earlier demo are in this data directory; not sent again" if runs.has_history else ""

    def open(self, *, history: bool, began: str) -> None:
        """Remember that a run has begun; before it sends anything."""
        self.runs = self.runs.opened(Run(id=secrets.token_hex(4), began=began, history=history))
        write_runs(self.data_dir, self.runs)

    def close(self, said: Sequence[Said]) -> None:
        """Remember what the run's producers said at their end."""
        self.runs = self.runs.closed(said)
        write_runs(self.data_dir, self.runs)

    def books(self, client: Client, said: Sequence[Said]) -> Books:
        """Compare what producers said with what is stored of them."""
        stored = figures.read_stored(client, [entry.producer for entry in said])
        return balance(said, stored, rollup_difference=figures.read_rollup_difference(client, list(APPS)))

    def notes(self) -> list[str]:
        """Say what the books leave out."""
        if not self.runs.unclosed:
            return []
        return [f"{self.runs.unclosed} earlier demo(s) here ended without closing their books; what they sent is stored, but not counted."]
