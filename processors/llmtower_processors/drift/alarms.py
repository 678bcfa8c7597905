"""Alarms are explained when they begin, and each hour while they last: where the mass moved, by ids of calls and shares, never by texts."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from llmtower_processors.audit.tables import insert
from llmtower_processors.drift.explain import Explanation, Share, explain
from llmtower_processors.drift.judge import DRIFT, HOUR_S, Key, Verdict
from llmtower_processors.drift.models import What
from llmtower_processors.drift.reference import HOUR
from llmtower_processors.drift.scopes import others
from llmtower_processors.drift.slices import Slice
from llmtower_processors.runtime.model import Block

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

AGAIN_S: Final = HOUR_S
"""An alarm that lasts is explained anew so often."""
MOST: Final = 3
"""Alarms explained by one firing, the worst first; the others by the next ones."""
TEXTS_WANTED: Final = 20_000
"""Of a window: of busier traffic its last minutes do."""
FEWEST: Final = 30
DAYS_BACK: Final = 7
_OF_CALLS: Final = ("project", "app", "environment", "request_model", "prompt_name", "prompt_version")
_EXPLAINED: Final = f"""
SELECT DISTINCT {", ".join(Key._fields)} FROM drift_explanations
WHERE at > toDateTime({{since:UInt32}}, 'UTC') AND at <= toDateTime({{until:UInt32}}, 'UTC')
"""  # noqa: S608 - names from literals
Alarm = tuple[What, Verdict]


def explain_alarms(client: "Client", verdicts: Sequence[Alarm], end: int, token: str) -> int:
    """Explain the worst alarm of each segment that was not explained lately; the rows are stored once per token. Gives their number."""
    worst = worst_of(verdicts)
    if not worst:
        return 0
    known = {Key(*map(str, row)) for row in client.query(_EXPLAINED, parameters={"since": end - AGAIN_S, "until": end}).result_rows}
    chosen = [alarm for key, alarm in worst.items() if key not in known][:MOST]
    if chosen:
        insert(client, Block("drift_explanations", _columns(end, [(alarm, _why(client, alarm, end)) for alarm in chosen])), token)
    return len(chosen)


def worst_of(verdicts: Sequence[Alarm]) -> dict[Key, Alarm]:
    """Give of each segment the alarm that is farthest beyond its threshold, meaning before behaviour; the farthest segment first."""
    alarms = [one for one in verdicts if one[1].status == DRIFT]
    found: dict[Key, Alarm] = {}
    for what, verdict in sorted(alarms, key=lambda one: (one[0].metric != "embedding", -one[1].statistic / one[1].threshold)):
        found.setdefault(what.key, (what, verdict))
    return found


def _why(client: "Client", alarm: Alarm, end: int) -> Explanation:
    """Hold the window's last minutes, an hour of them at most, against the same minutes of the first day before that has enough texts."""
    what, verdict = alarm
    minutes = min(what.window, HOUR, max(1, TEXTS_WANTED * what.window // max(1, verdict.texts)))
    until = datetime.fromtimestamp(end, UTC)
    now = Slice({name: getattr(what.key, name) for name in _OF_CALLS}, until - timedelta(minutes=minutes), until)
    usual = {name: value for name, value in now.where.items() if name != others(what.reference)}
    for days in range(1, DAYS_BACK + 1):
        back = timedelta(days=days)
        found = explain(client, Slice(usual, now.start - back, now.end - back), now, what.key.direction)
        if found.texts[0] >= FEWEST or not found.texts[1]:
            break
    return found


def _columns(end: int, explained: Sequence[tuple[Alarm, Explanation]]) -> Mapping[str, list[object]]:
    alarms = [what for (what, _), _ in explained]
    why = [one for _, one in explained]
    columns: dict[str, list[object]] = {"at": [end] * len(alarms)}
    columns |= {name: [getattr(what.key, name) for what in alarms] for name in Key._fields}
    columns |= {"metric": [what.metric for what in alarms], "window_minutes": [what.window for what in alarms]}
    columns |= {"reference": [what.reference for what in alarms], "moved": [one.moved.share for one in why]}
    columns |= {"examples": [list(one.examples) for one in why]}
    columns |= {f"texts_{side}": [one.texts[number] for one in why] for number, side in enumerate(_SIDES)}
    columns |= {f"characters_{side}": [one.characters[number] for one in why] for number, side in enumerate(_SIDES)}
    columns |= {"shares": [[_share(share) for share in one.shares] for one in why]}
    return columns | {"deploys": [[f"{app} {version}" for _, app, version in one.deploys] for one in why]}


_SIDES: Final = ("before", "now")


def _share(one: Share) -> tuple[str, str, float, float]:
    return one.what, one.value, one.before, one.now
