"""Which colour a name has: the same on every chart, for as long as the names keep their order."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from llmtower_dashboards.panel import Variable
from llmtower_dashboards.web.theme import HUES, OTHER, series

DIMENSIONS: Final = ("app", "model", "provider", "prompt")
"""What keeps its colours; other labels are coloured by their place on the chart."""

_COLUMNS: Final = {"app": "app", "model": "request_model", "provider": "provider", "prompt": "prompt_name"}


@dataclass(frozen=True, slots=True)
class Palette:
    """Names by dimension, oldest first: the first eight have a hue, the rest share one."""

    names: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def colour(self, dimension: str, name: str, fallback: int) -> str:
        """The colour of a name; `fallback` is its place on the chart, for dimensions without an order."""
        known = self.names.get(dimension)
        if known is None:
            return series(fallback)
        return series(known.index(name)) if name in known else OTHER


def order(dimension: str) -> Variable:
    """The query for a dimension's names, those seen first come first: who joins later changes nobody's colour."""
    column = _COLUMNS[dimension]
    sql = (
        f"SELECT {column} FROM rollup_1h WHERE $__timeFilter(hour) AND {column} != '' "  # noqa: S608 - literals of this table
        f"GROUP BY {column} ORDER BY min(hour), sum(calls) DESC, {column} LIMIT {HUES}"
    )
    return Variable(name=dimension, title=dimension.capitalize(), column=column, sql=sql)


def palette(found: Iterable[tuple[str, Sequence[str]]]) -> Palette:
    """Make a palette of the answers to `order`."""
    return Palette({dimension: tuple(names) for dimension, names in found})
