"""What a data directory remembers of the demos that ran on it: `demo.json`, replaced in one step."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from .processes import DemoError
from .said import Said

FILE_NAME = "demo.json"


@dataclass(frozen=True, slots=True)
class Run:
    """One demo: when it began, whether it sends history, and, once its books are closed, what its producers said."""

    id: str
    began: str
    """ISO 8601, UTC."""
    history: bool
    said: tuple[Said, ...] = ()
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Runs:
    """Every demo on a data directory, oldest first."""

    runs: tuple[Run, ...] = ()

    @property
    def has_history(self) -> bool:
        """True when a run has sent (or began to send) the history: it is never sent twice."""
        return any(run.history for run in self.runs)

    @property
    def said(self) -> Sequence[Said]:
        """What all closed runs said."""
        return [entry for run in self.runs for entry in run.said]

    @property
    def unclosed(self) -> int:
        """How many runs ended without closing their books (the process was killed)."""
        return sum(not run.closed for run in self.runs)

    def opened(self, run: Run) -> "Runs":
        """Add a run."""
        return Runs((*self.runs, run))

    def closed(self, said: Sequence[Said]) -> "Runs":
        """Close the books of the newest run; one that was ended before it sent any history has none."""
        sent = any(entry.kind == "history" and entry.calls for entry in said)
        return Runs((*self.runs[:-1], replace(self.runs[-1], history=sent, said=tuple(said), closed=True)))


def read_runs(data_dir: Path) -> Runs:
    """Read what the data directory remembers; nothing when there is no file. Raises DemoError when the file is broken."""
    path = data_dir / FILE_NAME
    if not path.exists():
        return Runs()
    try:
        entries = json.loads(path.read_text("utf-8"))["runs"]
        return Runs(tuple(Run(**{**entry, "said": tuple(Said(**said) for said in entry["said"])}) for entry in entries))
    except (KeyError, TypeError, ValueError) as error:
        raise DemoError(f"{path} cannot be read ({type(error).__name__}): remove it, or choose another --data-dir") from error


def write_runs(data_dir: Path, runs: Runs) -> None:
    """Replace the file in one step."""
    scratch = data_dir / f"{FILE_NAME}.new"
    scratch.write_text(json.dumps({"runs": [asdict(run) for run in runs.runs]}, indent=1) + "\n", "utf-8")
    scratch.replace(data_dir / FILE_NAME)
