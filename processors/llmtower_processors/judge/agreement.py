"""How far a judge agrees with people: Cohen's κ with its interval, from calls that both have spoken of. Logic: pure, but for one query."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmtower_schemas.judged import TRACE_S, judged_feedback

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Z: Final = 1.96
_SINCE: Final = "fromUnixTimestamp64Milli({from:Int64})"
_JUDGED: Final = (
    f"started_at >= {_SINCE} AND (empty({{names:Array(String)}}) OR has({{names:Array(String)}}, name))"
    " AND (empty({apps:Array(String)}) OR has({apps:Array(String)}, app))"
)
_CELLS: Final = f"""
SELECT name, scorer_version, count(), sum(weight), sum(weight * weight),
    sumIf(weight, judge_bad AND person_bad), sumIf(weight, judge_bad AND NOT person_bad),
    sumIf(weight, NOT judge_bad AND person_bad), sumIf(weight, NOT judge_bad AND NOT person_bad)
FROM (
{judged_feedback(_JUDGED, f"started_at >= {_SINCE} - toIntervalSecond({TRACE_S})")}
)
GROUP BY name, scorer_version ORDER BY name, scorer_version
"""  # noqa: S608 - literals


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of one scorer. `kappa` is 1 for full agreement, 0 for what chance would give; None where one side always says the same."""

    name: str
    version: str
    pairs: int
    agreed: float
    """Share of calls, weighted."""
    kappa: float | None
    low: float | None
    high: float | None


def kappa(cells: tuple[float, float, float, float], effective: float) -> tuple[float | None, float | None, float | None]:
    """Give κ and the ends of its 95 % interval from shares (both bad, judge alone, person alone, both good) of `effective` pairs.

    J. Cohen 1960; the variance is that of J. L. Fleiss, J. Cohen and B. S. Everitt, Psychological Bulletin 72 (1969), formula 13.
    """
    total = sum(cells)
    if not total or effective <= 0:
        return None, None, None
    (a, b), (c, d) = ((cells[0] / total, cells[1] / total), (cells[2] / total, cells[3] / total))
    judge, person = (a + b, c + d), (a + c, b + d)
    by_chance = judge[0] * person[0] + judge[1] * person[1]
    if by_chance >= 1 - 1e-12:
        return None, None, None
    found = (a + d - by_chance) / (1 - by_chance)
    same = sum(share * (1 - (judge[i] + person[i]) * (1 - found)) ** 2 for i, share in enumerate((a, d)))
    other = (1 - found) ** 2 * (b * (person[0] + judge[1]) ** 2 + c * (person[1] + judge[0]) ** 2)
    variance = max(0.0, same + other - (found - by_chance * (1 - found)) ** 2) / (effective * (1 - by_chance) ** 2)
    half = Z * math.sqrt(variance)
    return found, max(-1.0, found - half), min(1.0, found + half)


def agreements(client: "Client", *, from_ms: int, names: Sequence[str] = (), apps: Sequence[str] = ()) -> list[Agreement]:
    """Ask the tables; calls that the judge picked with a small chance count for as many as they stand for."""
    values: dict[str, Any] = {"from": from_ms, "names": list(names), "apps": list(apps)}
    return [_agreement(*row) for row in client.query(_CELLS, parameters=values).result_rows]


def _agreement(name: str, version: str, pairs: int, weight: float, squares: float, *cells: float) -> Agreement:
    """An unequally weighted sample is as sure as a smaller equal one (L. Kish, Survey Sampling, 1965)."""
    found = kappa((cells[0], cells[1], cells[2], cells[3]), weight**2 / squares if squares else 0.0)
    return Agreement(str(name), str(version), int(pairs), (cells[0] + cells[3]) / weight if weight else 0.0, *found)
