"""How good a rule would have been: its episodes against named incidents, and the level that gives so few false alarms. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from llmtower_processors.alerts.levels import Level, Levels
from llmtower_processors.alerts.replay import Episode, Track, replay
from llmtower_processors.alerts.rules import Rule
from llmtower_processors.errors import LlmtowerError

WEEK_US: Final = 7 * 86_400_000_000
_SHARES: Final = (1.0, 0.9999, 0.9995, 0.999, 0.998, 0.995, 0.99, 0.98, 0.95, 0.9, 0.8, 0.5)
"""Quantiles of the figures that are tried as levels, the rarest first: from the first with too many alarms on there are only more."""
_HALVINGS: Final = 6
FEWEST: Final = 20
"""Fewer figures say nothing of how rare a level is."""
FEWEST_DIFFERENT: Final = 3
"""Nor do figures that are only ever nothing or all. A count seldom has many different ones."""


class LabelsError(LlmtowerError):
    """A file of incidents cannot be used."""


@dataclass(frozen=True, slots=True)
class Label:
    """An incident that there was; an empty group concerns all groups."""

    start_us: int
    end_us: int
    group: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Score:
    """Episodes against labels."""

    true: int
    """Episodes that belong to an incident."""
    false: int
    found: int
    """Incidents that an episode belongs to."""
    missed: int

    @property
    def precision(self) -> float | None:
        """The share of episodes that were right; None without episodes."""
        return self.true / (self.true + self.false) if self.true + self.false else None

    @property
    def recall(self) -> float | None:
        """The share of incidents that were found; None without incidents."""
        return self.found / (self.found + self.missed) if self.found + self.missed else None


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A level for the mildest severity, and what it would have done."""

    threshold: float
    recovery: float
    false_per_week: float
    score: Score


def read_labels(path: Path) -> list[Label]:
    """Read a YAML list of `{from: …, to: …, group: {app: …}}`. Raises LabelsError naming the entry."""
    try:
        entries: Any = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise LabelsError(f"{path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise LabelsError(f"{path} is no YAML: {str(error).splitlines()[0]}.") from error
    if not isinstance(entries, list):
        raise LabelsError(f"{path} must hold a list: - {{from: 2026-11-01T10:00Z, to: 2026-11-01T11:00Z, group: {{app: chat}}}}")
    return [_label(entry, f"{path}, entry {number}") for number, entry in enumerate(entries, 1)]


def _label(entry: Any, where: str) -> Label:
    if not isinstance(entry, dict) or not {"from", "to"} <= set(entry) <= {"from", "to", "group"}:
        raise LabelsError(f"{where}: needs from and to, and may have group, nothing else.")
    start, end = (_moment(entry[key], f"{where}, {key}") for key in ("from", "to"))
    if end <= start:
        raise LabelsError(f"{where}: must end after it starts.")
    group = entry.get("group") or {}
    if not isinstance(group, dict):
        raise LabelsError(f"{where}: group must be a mapping such as {{app: chat}}.")
    return Label(start, end, {str(name): str(value) for name, value in group.items()})


def _moment(value: Any, where: str) -> int:
    try:
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    except ValueError as error:
        raise LabelsError(f"{where}: {value!r} is no time; write it like 2026-11-01T10:00Z.") from error
    return round((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def score(rule: Rule, episodes: Sequence[Episode], labels: Sequence[Label]) -> Score:
    """An episode belongs to an incident of its group that it touches; the rule may take its window and its patience longer."""
    late_us = round((max(rule.window, rule.burn_rate.long if rule.burn_rate else 0) + rule.for_) * 1_000_000)

    def belongs(episode: Episode, label: Label) -> bool:
        end_us = math.inf if episode.ended_us is None else episode.ended_us
        same = all(episode.group.get(name, value) == value for name, value in label.group.items())
        return same and episode.fired_us <= label.end_us + late_us and end_us >= label.start_us

    true = sum(any(belongs(episode, label) for label in labels) for episode in episodes)
    found = sum(any(belongs(episode, label) for episode in episodes) for label in labels)
    return Score(true, len(episodes) - true, found, len(labels) - found)


def suggest(rule: Rule, tracks: Sequence[Track], labels: Sequence[Label], per_week: float) -> Suggestion | None:
    """Give the most sensitive level with at most so many false alarms a week; None where there is nothing to go by."""
    figures = [track.values[(track.samples >= rule.min_sample) & ~np.isnan(track.values)] for track in tracks]
    values = np.concatenate(figures) if figures else np.empty(0)
    if len(values) < FEWEST or len(np.unique(values)) < FEWEST_DIFFERENT:
        return None
    down = rule.levels.graded()[-1][1].below is not None
    weeks = max((max(track.end_us for track in tracks) - min(track.start_us for track in tracks)) / WEEK_US, 1e-9)

    def tried(threshold: float) -> Suggestion:
        level = _moved(rule.levels.graded()[-1][1], threshold)
        moved = rule.model_copy(update={"levels": Levels.model_construct(warning=level, critical=None)})
        found = score(rule, [episode for track in tracks for episode in replay(moved, track)], labels)
        return Suggestion(threshold, level.recovery, found.false / weeks, found)

    rare = [float(np.quantile(values, 1 - share if down else share)) for share in _SHARES]
    return _lowest(tried, rare, per_week)


def _lowest(tried: Callable[[float], Suggestion], rare: Sequence[float], per_week: float) -> Suggestion | None:
    """Go from the rarest level on until there are too many alarms, then halve the gap."""
    best: Suggestion | None = None
    worse: float | None = None
    for threshold in dict.fromkeys(rare):
        found = tried(_short(threshold))
        if found.false_per_week > per_week:
            worse = threshold
            break
        best = found
    return best if best is None or worse is None else _halved(tried, best, worse, per_week)


def _halved(tried: Callable[[float], Suggestion], best: Suggestion, worse: float, per_week: float) -> Suggestion:
    for _ in range(_HALVINGS):
        found = tried(_short((best.threshold + worse) / 2))
        if found.false_per_week > per_week:
            worse = found.threshold
        else:
            best = found
    return best


def _moved(level: Level, threshold: float) -> Level:
    """Move a level; where it recovers keeps its distance in proportion."""
    ratio = level.recovery / level.threshold if level.threshold else 1.0
    recover = _short(threshold * ratio)
    if level.below is not None:
        return Level.model_construct(above=None, below=threshold, recover=recover)
    return Level.model_construct(above=threshold, below=None, recover=recover)


def _short(value: float) -> float:
    """Three significant digits: nobody types more."""
    return float(f"{value:.3g}")
