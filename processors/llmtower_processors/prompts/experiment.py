"""An experiment: versions and models over cases, what came out of each, and the paired comparison of it. Pure."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
import orjson

from llmtower_processors.errors import NotConfigured
from llmtower_processors.prompts.cases import Case
from llmtower_processors.prompts.statistics import LEVEL, Compared, Difference, Estimate, Good, Z, holm, mean, needed
from llmtower_processors.prompts.traffic import way
from llmtower_schemas.prompts import Version

_FLIPS: Final = 10_000
_SEED: Final = 7


@dataclass(frozen=True, slots=True)
class Cell:
    """One version and model on one case."""

    version: Version
    model: str
    case: Case
    scoring: str = ""
    """Names what scores it."""

    @property
    def arm(self) -> str:
        """Name of the version and model together."""
        return f"{self.version.title} {self.model}"

    @property
    def key(self) -> str:
        """Name the cell by what it asks, so that an interrupted run goes on; a changed prompt, or another check, is asked anew."""
        said = f"{self.version.sha256}\n{self.model}\n{self.case.key}\n{self.scoring}"
        return hashlib.sha256(said.encode("utf-8", "replace")).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a cell: one line of the file of results."""

    key: str
    arm: str
    case: str
    error: str = ""
    """Class of the error; never its message."""
    seconds: float = 0.0
    nano_usd: int | None = None
    judge_nano_usd: int = 0
    """What asking a judge about it has cost."""
    scores: dict[str, float] = field(default_factory=dict)
    failed_scorers: tuple[str, ...] = ()


def cells(versions: Sequence[Version], models: Sequence[str], cases: Sequence[Case], scoring: str = "") -> list[Cell]:
    """Give every combination, case by case, so that a run that ends early has whole cases."""
    return [Cell(version, model, case, scoring) for case in cases for version in versions for model in _models(version, models)]


def _models(version: Version, models: Sequence[str]) -> Sequence[str]:
    own = str(version.prompt.parameters.get("model", ""))
    if not models and not own:
        raise NotConfigured(f"{version.title} names no model: give --model, or `parameters: {{model: …}}` in the prompt.")
    return models or (own,)


def read_outcomes(path: Path) -> dict[str, Outcome]:
    """Read what an earlier run has left; a torn last line is passed over, and a cell that failed is asked again."""
    found: dict[str, Outcome] = {}
    for line in path.read_bytes().splitlines() if path.is_file() else ():
        try:
            raw = orjson.loads(line)
            one = Outcome(**{**raw, "failed_scorers": tuple(raw["failed_scorers"])})
        except (orjson.JSONDecodeError, TypeError, KeyError):
            continue
        if not one.error:
            found[one.key] = one
    return found


def outcome_line(outcome: Outcome) -> bytes:
    """Write one line."""
    return orjson.dumps(asdict(outcome)) + b"\n"


def paired(outcomes: Iterable[Outcome], base: str, other: str) -> list[Compared]:
    """Compare two arms over the cases that both have answered: mean differences with Student's intervals, significance by sign flips."""
    by_arm: dict[str, dict[str, Outcome]] = {base: {}, other: {}}
    for outcome in outcomes:
        if outcome.arm in by_arm and not outcome.error:
            by_arm[outcome.arm][outcome.case] = outcome
    shared = sorted(by_arm[base].keys() & by_arm[other].keys())
    pairs = [(by_arm[base][case], by_arm[other][case]) for case in shared]
    found = [_figure(name, pairs) for name in ("seconds", "cost per 1,000 calls", *_names(pairs))]
    stand = holm([one.difference.p if one.difference else 1.0 for one in found])
    return [_judged(one, shown) for one, shown in zip(found, stand, strict=True)]


def _names(pairs: Sequence[tuple[Outcome, Outcome]]) -> list[str]:
    return sorted({name for pair in pairs for one in pair for name in one.scores})


def _value(outcome: Outcome, name: str) -> float | None:
    if name == "seconds":
        return outcome.seconds
    if name == "cost per 1,000 calls":
        return None if outcome.nano_usd is None else outcome.nano_usd / 1e6
    return outcome.scores.get(name)


def _figure(name: str, pairs: Sequence[tuple[Outcome, Outcome]]) -> Compared:
    both = [(a, b) for one, two in pairs if (a := _value(one, name)) is not None and (b := _value(two, name)) is not None]
    known: dict[str, tuple[str, Good]] = {"seconds": ("s", "lower"), "cost per 1,000 calls": ("$", "lower")}
    unit, good = known.get(name, ("", way(name)))
    values = np.array(both, dtype=float).reshape(-1, 2)
    difference = _estimate(values[:, 1] - values[:, 0])
    shown = None
    if difference is not None:
        p, error = flips(values[:, 1] - values[:, 0]), (difference.high - difference.low) / 2 / Z
        wanted = needed(abs(difference.value) / error, len(both)) if error > 0 and p >= 1 - LEVEL else None
        shown = Difference(difference.value, difference.low, difference.high, p, wanted)
    return Compared(name, unit, good, _estimate(values[:, 0]), _estimate(values[:, 1]), shown, "")


def _estimate(values: "np.ndarray[Any, np.dtype[np.float64]]") -> Estimate | None:
    n = len(values)
    return mean(float(values.mean()), float(values.var(ddof=1)), n) if n > 1 else None


def flips(differences: "np.ndarray[Any, np.dtype[np.float64]]") -> float:
    """Test that the differences lie evenly around 0: the share of random signs that lead as far (seeded, so that it is the same again)."""
    signs = np.random.default_rng(_SEED).choice([-1.0, 1.0], (_FLIPS, len(differences)))
    reached = np.abs(signs @ differences) >= abs(float(differences.sum())) - 1e-12
    return float((reached.sum() + 1) / (_FLIPS + 1))


def _judged(one: Compared, shown: bool) -> Compared:
    if one.difference is None:
        return Compared(one.figure, one.unit, one.good, one.a, one.b, None, "not enough data")
    better = (one.difference.value < 0) == (one.good == "lower")
    unsure = "not shown to differ" + (f"; about {one.difference.needed:,} cases would" if one.difference.needed else "")
    verdict = unsure if not shown else "differs" if one.good == "neither" else "better" if better else "worse"
    return Compared(one.figure, one.unit, one.good, one.a, one.b, one.difference, verdict)
