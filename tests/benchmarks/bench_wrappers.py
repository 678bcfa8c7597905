"""What a wrapper adds to a call and to a streamed chunk: ours, Langfuse's, OpenLLMetry's and OpenLIT's around the same mocked call.

Each runs in a process of its own with the same client, in `.venv-wrappers` (made when missing, 110 MB), contents captured, by their
defaults otherwise. They take turns; what a turn adds is its median less that of the bare client's turn beside it.
"""

import subprocess
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from tests.benchmarks.figures import Figure, at_most, main

ROOT = Path(__file__).parents[2]
PYTHON = ROOT / ".venv-wrappers/bin/python"
NAMES = ("bare", "llmtower", "langfuse", "openllmetry", "openlit")
CALLS, CHUNKS, HELD = 30, 200, 4_000


class Subject:
    """A wrapper in its process (`wrapped.py`)."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        pipe = subprocess.PIPE
        environment = {"PYTHONPATH": f"{ROOT}:{ROOT}/producers:{ROOT}/schemas", "PATH": "/usr/bin:/bin"}
        command = [str(PYTHON), "-m", "tests.benchmarks.wrapped", name]
        self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL, text=True, cwd=ROOT, env=environment)
        stack.callback(self._process.communicate)

    def ask(self, order: str) -> list[float]:
        """Let it carry out an order."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(order, file=self._process.stdin, flush=True)
        return [float(number) for number in self._process.stdout.readline().split()]


def run(quick: bool) -> list[Figure]:
    """Measure everything."""
    if not PYTHON.exists():
        subprocess.run(["make", "-s", ".venv-wrappers/.setup-done"], cwd=ROOT, check=True)
    rounds = 10 if quick else 40
    with ExitStack() as stack:
        subjects = {name: Subject(name, stack) for name in NAMES}
        for order in ("call 200", f"stream {CHUNKS}"):
            for subject in subjects.values():
                subject.ask(order)
        calls, chunks = _turns(subjects, f"call {CALLS}", rounds), _turns(subjects, f"stream {CHUNKS}", rounds)
        held = {name: subject.ask(f"held {HELD}")[0] for name, subject in subjects.items()}
    return [*_added(calls, "call", 60), *_added(chunks, "chunk", 3), *_held(held)]


def _turns(subjects: dict[str, Subject], order: str, rounds: int) -> dict[str, float]:
    """Give the bare client's median in microseconds, and what each other adds to it."""
    taken: dict[str, list[float]] = {name: [] for name in subjects}
    for number in range(rounds):
        for name in list(subjects)[:: -1 if number % 2 else 1]:
            taken[name].append(median(subjects[name].ask(order)) / 1_000)
    added = {name: [each - bare for each, bare in zip(found, taken["bare"], strict=True)] for name, found in taken.items()}
    return {name: median(found) for name, found in added.items()} | {"bare": median(taken["bare"])}


def _added(taken: dict[str, float], what: str, limit: float) -> list[Figure]:
    note = f"the bare client takes {taken['bare']:.0f} µs for it"
    others = [Figure(f"wrapper of {name}: added per {what}, p50", taken[name], "µs") for name in NAMES[2:]]
    return [at_most(f"wrapper of llmtower: added per {what}, p50", taken["llmtower"], "µs", limit, note), *others]


def _held(held: dict[str, float]) -> list[Figure]:
    """Text of five characters is 54 bytes of Python's, and 8 to 9 in the list that keeps it."""
    note = "a text of 5 characters, kept in a list, takes 63"
    others = [Figure(f"wrapper of {name}: held per chunk", held[name] - held["bare"], "B") for name in NAMES[2:]]
    return [at_most("wrapper of llmtower: held per chunk", held["llmtower"] - held["bare"], "B", 72, note), *others]


if __name__ == "__main__":
    main(run)
