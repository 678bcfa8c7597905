"""From a running stack to closed books. Loaded while the stack starts: it needs what takes a second to import."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from clickhouse_connect.driver.exceptions import ClickHouseError
from rich.console import Console

from .accounts import Accounts
from .drifting import drift_lines, drift_summary, read_drift
from .play import Play
from .runs import Runs
from .scored import read_moves, scored_lines, scored_summary
from .staging import Ending, Parts, Wishes
from .summary import print_alerts, print_books
from .told import Told, behind, scenes_told


async def perform(parts: Parts, runs: Runs, *, wishes: Wishes, console: Console, ending: Ending) -> int:
    """Play, close the books and print them; gives 0 when they balance, else 1. Raises DemoError when a part fails."""
    accounts = Accounts(wishes.data_dir, runs)
    play = Play(accounts, console, ending, wishes)
    accounts.open(history=parts.sender is not None, began=datetime.now(UTC).isoformat(timespec="seconds"))
    await play.perform(parts)
    accounts.close(play.said)
    await play.drain()
    summary = await asyncio.to_thread(_publish, accounts, play, console)
    print_alerts(console, parts.inbox.told, play.scenes)
    summary["alerts"] = _alerts(parts.inbox.told, play.scenes)
    if wishes.json_file is not None:
        await asyncio.to_thread(wishes.json_file.write_text, json.dumps(summary, indent=2) + "\n", "utf-8")
    return 0 if summary["balanced"] else 1


def _publish(accounts: Accounts, play: Play, console: Console) -> dict[str, object]:
    """Print the books of this run and, where there were others, of all on this data directory; gives the JSON summary of all."""
    overall = accounts.books(play.client, accounts.runs.said)
    summary = overall.summary()
    demos = len(accounts.runs.runs)
    if demos > 1:
        this = accounts.books(play.client, play.said)
        summary["run"] = this.summary()
        print_books(console, "This run", this)
    print_books(console, "The books" if demos == 1 else f"All {demos} demos on this data directory", overall)
    if accounts.runs.has_history:
        summary["drift"] = _drift(play, console)
        summary["scores"] = _scores(play, console)
    for note in accounts.notes():
        console.print(note, style="dim", highlight=False)
    return summary


def _drift(play: Play, console: Console) -> list[dict[str, Any]]:
    """Say how far the topics have drifted; the books are closed without it where it cannot be read."""
    try:
        moved = read_drift(play.client)
    except (ClickHouseError, OSError) as error:
        console.print(f"Drift could not be read ({type(error).__name__}).", style="dim", highlight=False)
        return []
    for line in drift_lines(moved):
        console.print(line, highlight=False)
    return drift_summary(moved)


def _scores(play: Play, console: Console) -> dict[str, Any]:
    """Say how the rates of scores have moved; the books are closed without it where it cannot be read."""
    try:
        scored, moved = read_moves(play.client, play.began)
    except (ClickHouseError, OSError) as error:
        console.print(f"Scores could not be read ({type(error).__name__}).", style="dim", highlight=False)
        return {}
    for line in scored_lines(scored, moved):
        console.print(line, highlight=False)
    return scored_summary(scored, moved)


def _alerts(told: Sequence[Told], began: Mapping[str, float]) -> dict[str, object]:
    times = behind(told)
    return {
        "told": len(told),
        "titles": [one.title for one in told],
        "scene_to_notification_s": {name: seconds and round(seconds, 2) for name, seconds in scenes_told(told, began).items()},
        "event_to_notification_s": None if times is None else {"median": round(times[0], 2), "longest": round(times[1], 2)},
    }
