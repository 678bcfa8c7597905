"""What alerts there are now, who was told, and what is silenced, from the tables. Pure but for the client that is passed in."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol

from llmtower_schemas.alerts import group_text

UNTOLD_DAYS: Final = 2
_STATES: Final = """
SELECT state, severity, rule, title, group_text, value, threshold, unit, sample, completeness, since, changed_at, silence_id, shadow,
    dedup_key
FROM alert_states
WHERE state IN ('pending', 'firing') OR ({past:UInt32} > 0 AND changed_at >= now() - toIntervalHour({past:UInt32}))
ORDER BY state = 'firing' DESC, severity = 'critical' DESC, since DESC
"""
_UNTOLD: Final = f"""
SELECT dedup_key, arraySort(groupUniqArray(route))
FROM (SELECT dedup_key, transition_id, route FROM alert_events ARRAY JOIN routes AS route
      WHERE notify AND at >= now() - INTERVAL {UNTOLD_DAYS} DAY)
WHERE (transition_id, route) NOT IN (SELECT transition_id, route FROM alert_sends WHERE at >= now() - INTERVAL {UNTOLD_DAYS} DAY)
GROUP BY dedup_key
"""  # noqa: S608 - a literal
_SILENCES: Final = """
SELECT silence_id, kind, rule, group_values, starts_at, ends_at, by, comment FROM silences WHERE ends_at > now64(6) ORDER BY ends_at
"""


class Asks(Protocol):
    """A client of ClickHouse, as far as it is needed here."""

    def query(self, query: str, parameters: dict[str, Any] | None = None) -> Any:
        """Ask."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One alert."""

    state: str
    severity: str
    rule: str
    title: str
    group: str
    value: float | None
    threshold: float | None
    unit: str
    sample: float | None
    completeness: float | None
    since: datetime
    changed_at: datetime
    silence_id: str
    shadow: bool
    dedup_key: str
    untold: tuple[str, ...]
    """Routes that have not taken the last word yet."""

    @property
    def note(self) -> str:
        """What keeps people from knowing, in a few words."""
        if self.untold:
            return f"not taken yet: {', '.join(self.untold)}"
        return f"silenced by {self.silence_id}" if self.silence_id else "told by Grafana" if self.shadow else ""


def alerts(client: Asks, *, past_hours: int = 0) -> list[Listed]:
    """Give what is pending or firing, and what was over within the last hours."""
    untold = {key: tuple(routes) for key, routes in client.query(_UNTOLD).result_rows}
    rows = client.query(_STATES, parameters={"past": past_hours}).result_rows
    return [Listed(*(*row, untold.get(row[-1], ()))) for row in rows]


def silences(client: Asks) -> list[tuple[Any, ...]]:
    """Give what is silenced now or will be: id, kind, rule, group, start, end, by whom, comment."""
    rows = client.query(_SILENCES).result_rows
    return [(row[0], row[1], row[2], group_text(row[3]) or "every group", *row[4:]) for row in rows]
