"""What the demo says of scores: how far scoring is behind, and how the rates of the script's apps lie beside their own week of history."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

from clickhouse_connect.driver.client import Client
from rich.text import Text

from .figures import Scored, await_scores, read_moved
from .numbers import count, percent, significant

PATIENCE_S: Final = 15.0
"""Scoring runs at low priority: it may be so far behind the calls when the demo ends."""
TIMES: Final = 2.0
"""A rate that has moved is so many times that of the week, and more than `LEAST` beside it."""
LEAST: Final = 0.01


@dataclass(frozen=True, slots=True)
class Watched:
    """A rate that the script moves."""

    score: str
    app: str
    says: str
    low: bool = False
    """Values below 0.5 are the bad ones."""


WATCHED: Final = (
    Watched("toxicity", "support-bot", "toxic answers"),
    Watched("pii", "support-bot", "answers with personal data"),
    Watched("groundedness", "support-bot", "answers that no document supports", low=True),
    Watched("feedback", "support-bot", "thumbs down", low=True),
    Watched("relevance", "search-assistant", "answers beside the question", low=True),
    Watched("refusal", "search-assistant", "refusals"),
)
"""Each with the app that the script does it to."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Bad ones of all, by their weights."""

    bad: float = 0.0
    of: float = 0.0

    @property
    def share(self) -> float:
        """Share of bad ones; 0 of none."""
        return self.bad / self.of if self.of else 0.0


@dataclass(frozen=True, slots=True)
class Moved:
    """One rate, now and in the week before."""

    watched: Watched
    live: Rate
    week: Rate

    @property
    def moved(self) -> bool:
        """Whether it has."""
        return self.live.share > TIMES * self.week.share and self.live.share - self.week.share > LEAST


def read_moves(client: Client, began: float) -> tuple[Scored, list[Moved]]:
    """Wait for the scoring process for a while; give how far it is then, and the rates since `began` (Unix seconds)."""
    scored = await_scores(client, lambda scored: scored.behind, PATIENCE_S)
    return scored, moves(read_moved(client, [one.score for one in WATCHED], int(began)))


def moves(rows: Sequence[Mapping[str, Any]]) -> list[Moved]:
    """Put what was read beside what is watched; a rate that nobody gave has none."""
    found = {(row["name"], row["app"], bool(row["live"])): (row["low"], row["high"]) for row in rows}

    def rate(one: Watched, *, live: bool) -> Rate:
        low, high = found.get((one.score, one.app, live), (0.0, 0.0))
        return Rate(low if one.low else high, low + high)

    return [Moved(one, rate(one, live=True), rate(one, live=False)) for one in WATCHED]


def scored_summary(scored: Scored, moved: Sequence[Moved]) -> dict[str, Any]:
    """Give the entry of the JSON summary."""
    return {"behind_events": scored.behind, "rates": [asdict(one) | {"moved": one.moved} for one in moved]}


def scored_lines(scored: Scored, moved: Sequence[Moved]) -> list[Text]:
    """Say it in words; what nobody scored is left out."""
    lines = [_line(one) for one in moved if one.live.of]
    if scored.behind > 0:
        rest = f"! Scoring is {count(scored.behind)} events behind: the rates are of what it has seen. It goes on with `llmtower up`."
        lines.append(Text(rest, style="yellow"))
    return lines


def _line(one: Moved) -> Text:
    mark, style = ("●", "bold yellow") if one.moved else ("○", "dim")
    before = f"{_share(one.week)} in its week before" if one.week.of else "no week to compare with"
    said = f"{mark} Scores: {one.watched.says} of {one.watched.app}: {_share(one.live)} of {count(round(one.live.of))} live, {before}"
    return Text(said, style=style)


def _share(rate: Rate) -> str:
    return f"{percent(round(rate.bad), round(rate.of))} %"


def behind_line(scored: Scored) -> Text:
    """Say in the view how far scoring is."""
    behind = f"{count(scored.behind)} events behind" if scored.behind > 0 else "nothing waits"
    newest = (
        "no live call yet"
        if scored.newest_age_s is None
        else f"newest scored call began {significant(max(0.0, scored.newest_age_s))} s ago"
    )
    return Text(f"Scores   {behind}, {newest}", no_wrap=True, overflow="ellipsis")
