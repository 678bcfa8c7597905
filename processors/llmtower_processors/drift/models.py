"""What was learnt of each segment's reference, in `drift_thresholds`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from llmtower_processors.audit.tables import insert
from llmtower_processors.drift.judge import Key
from llmtower_processors.drift.thresholds import Calibration, Tail
from llmtower_processors.runtime.model import Block

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

REMEMBERED_DAYS: Final = 3
_COLUMNS: Final = (
    *("days", "reference_texts", "variance", "between", "tail_start", "tail_scale", "tail_shape", "spread", "ranks", "reason"),
)
_LATEST: Final = f"""
SELECT {", ".join(Key._fields)}, window_minutes, metric, reference, toUnixTimestamp(max(drift_thresholds.at)),
    argMax(tuple({", ".join(_COLUMNS)}), drift_thresholds.at)
FROM drift_thresholds WHERE at >= toDateTime({{since:UInt32}}, 'UTC')
GROUP BY {", ".join(Key._fields)}, window_minutes, metric, reference
"""  # noqa: S608 - names from literals


class What(NamedTuple):
    """What a threshold is for."""

    key: Key
    window: int
    metric: str
    reference: str


@dataclass(frozen=True, slots=True)
class Learnt:
    """A calibration, or why there is none; when (seconds) it was learnt, and of how many texts of its reference."""

    model: Calibration | str
    at: int
    texts: int


def load(client: "Client", now: int) -> dict[What, Learnt]:
    """Give the last of each that is not too old."""
    width = len(Key._fields)
    found: dict[What, Learnt] = {}
    for row in client.query(_LATEST, parameters={"since": now - REMEMBERED_DAYS * 86_400}).result_rows:
        window, metric, reference, at, values = row[width:]
        what = What(Key(*map(str, row[:width])), int(window), str(metric), str(reference))
        found[what] = Learnt(_model(int(window), *values), int(at), int(values[1]))
    return found


def _model(window: int, days: int, _texts: int, variance: float, between: float, *rest: object) -> Calibration | str:
    start, scale, shape, spread, ranks, reason = rest
    if reason:
        return str(reason)
    tail = Tail(float(str(start)), float(str(scale)), float(str(shape)))
    levels = tuple(map(float, ranks)) if isinstance(ranks, list | tuple) else ()
    return Calibration(window, days, variance, between, tail, float(str(spread)), levels)


def save(client: "Client", made: Sequence[tuple[What, Learnt]], token: str) -> None:
    """Store what was learnt, once per token."""
    if not made:
        return
    columns: dict[str, list[object]] = {"at": [learnt.at for _, learnt in made], "window_minutes": [what.window for what, _ in made]}
    columns |= {name: [getattr(what.key, name) for what, _ in made] for name in Key._fields}
    columns |= {name: [getattr(what, name) for what, _ in made] for name in ("metric", "reference")}
    values = [_values(learnt) for _, learnt in made]
    columns |= {name: list(column) for name, column in zip(_COLUMNS, zip(*values, strict=True), strict=True)}
    insert(client, Block("drift_thresholds", columns), token)


def _values(learnt: Learnt) -> tuple[object, ...]:
    model = learnt.model
    if isinstance(model, str):
        return (0, learnt.texts, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, [], model)
    tail = model.tail
    head = (model.days, learnt.texts, model.variance, model.between)
    return (*head, tail.start, tail.scale, tail.shape, model.spread, list(model.ranks), "")
