"""Two slices side by side: one query for the distance and the behaviour, one for how much of it chance explains."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.drift.blocks import Blocks, chance
from llmtower_processors.drift.features import SCALE
from llmtower_processors.drift.slices import Slice, comparison, sources

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

BLOCKS: Final = 48
"""Blocks of time into which each slice is cut, as far as it is long enough."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two slices differ in one direction, under one embedder."""

    direction: str
    embedder: str
    counts: Mapping[str, int]
    """`texts_a`, `texts_b`, `refusals_a` …"""
    mmd2: float
    """Unbiased: about 0 (it may be below) where nothing differs; nan where a side has fewer than two texts."""
    mean_distance: float
    chance: float | None
    """Share of random re-deals of blocks of time that lie as far apart; None: too few blocks to say."""

    @property
    def verdict(self) -> str:
        """Say it in a word."""
        if self.chance is None:
            return "insufficient"
        return "differs" if self.chance <= LEVEL else "no difference seen"

    def rate(self, name: str, per: str, side: str) -> float | None:
        """Give a rate of one side, None where there is nothing to divide by."""
        whole = self.counts[f"{per}_{side}"]
        return self.counts[f"{name}_{side}"] / whole if whole else None


LEVEL: Final = 0.01


def missing(found: Sequence[Comparison]) -> str:
    """Say in a sentence why nothing can be compared; '' where something can."""
    embedders = {side: sorted({one.embedder for one in found if one.counts[f"texts_{side}"]}) for side in "ab"}
    empty = [side for side in "ab" if not any(one.counts[f"calls_{side}"] or one.counts[f"texts_{side}"] for one in found)]
    if empty:
        known = "`llmtower query 'SELECT DISTINCT app, request_model, prompt_name, prompt_version FROM drift_hours'` shows what there is."
        which = "Neither slice has" if len(empty) == 2 else f"Slice {empty[0]} does not have"
        return f"{which} a call in its span. {known}"
    if any(not labels for labels in embedders.values()):
        return "One of the slices has calls but no texts: capture was off or hashed. Behaviour is compared, meaning cannot be."
    if not set(embedders["a"]) & set(embedders["b"]):
        said = "; ".join(f"{side}: {', '.join(labels)}" for side, labels in embedders.items())
        return f"The slices have no embedder in common ({said}). Sums of different embedders are never compared."
    return ""


def compare(client: "Client", a: Slice, b: Slice) -> list[Comparison]:
    """Compare two slices, most texts first."""
    sql, values = comparison(a, b)
    result = client.query(sql, parameters=values)
    found = [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]
    both = any(row["texts_a"] > 1 and row["texts_b"] > 1 for row in found)
    sides = [_blocks(client, one) if both else {} for one in (a, b)]
    return [_comparison(row, sides) for row in found]


def _comparison(row: dict[str, Any], sides: Sequence[Mapping[tuple[str, str], Blocks]]) -> Comparison:
    direction, embedder = str(row.pop("direction")), str(row.pop("embedder"))
    key = (direction, embedder)
    likely = chance(sides[0][key], sides[1][key]) if all(key in side for side in sides) else None
    mmd2, mean_distance = float(row.pop("mmd2")), float(row.pop("mean_distance"))
    return Comparison(direction, embedder, {name: int(value) for name, value in row.items()}, mmd2, mean_distance, likely)


def _blocks(client: "Client", one: Slice) -> dict[tuple[str, str], Blocks]:
    """Read a slice in BLOCKS pieces of time: of whole hours where it is long, of minutes where it is short."""
    seconds = max(60, int((one.end - one.start).total_seconds() / BLOCKS) // 60 * 60)
    parts, values = sources(one, "s")
    if seconds >= 3_600:
        seconds = seconds // 3_600 * 3_600
    else:
        where = "".join(f" AND {name} = {{{name}_s:String}}" for name in one.where)
        within = "minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')"
        parts = [("drift_sketches", within + where)]
        values |= {"start": int(one.start.timestamp()), "end": int(one.end.timestamp())}
    union = " UNION ALL ".join(
        f"SELECT direction, embedder, {'hour' if table == 'drift_hours' else 'minute'} AS at, texts, features FROM {table} WHERE {where}"  # noqa: S608 - names from literal tables
        for table, where in parts
    )
    sql = (
        f"SELECT direction, embedder, sum(found.texts), sumForEachMerge(found.features) FROM ({union}) AS found"  # noqa: S608 - as above
        " GROUP BY direction, embedder, intDiv(toUnixTimestamp(at), {seconds:UInt32}) HAVING sum(found.texts) > 0"
    )
    grouped: dict[tuple[str, str], tuple[list[float], list[list[float]]]] = {}
    for direction, embedder, texts, features in client.query(sql, parameters=values | {"seconds": seconds}).result_rows:
        counts, sums = grouped.setdefault((str(direction), str(embedder)), ([], []))
        counts.append(float(texts))
        sums.append([value / SCALE for value in features])
    return {key: Blocks.of(sums, counts) for key, (counts, sums) in grouped.items()}
