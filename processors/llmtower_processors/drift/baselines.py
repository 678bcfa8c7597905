"""Baselines: spans of traffic that people named as what is right."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.drift.slices import Slice, SliceError, sources

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_ALL: Final = """
SELECT project, name, argMax(tuple(slice, start, end, note), set_at) AS one FROM drift_baselines
GROUP BY project, name HAVING one.2 < one.3 ORDER BY project, name
"""


@dataclass(frozen=True, slots=True)
class Baseline:
    """A named span of a slice of a project's traffic."""

    project: str
    name: str
    slice_text: str
    """Its filters as `name=value` between commas, with the names of columns."""
    start: datetime
    end: datetime
    note: str

    def where(self) -> dict[str, str]:
        """Give the filters by column."""
        return dict(part.split("=", 1) for part in self.slice_text.split(",")) if self.slice_text else {}


def baselines(client: "Client") -> list[Baseline]:
    """Give every baseline that was not deleted."""
    return [Baseline(str(p), str(n), str(s), _utc(a), _utc(b), str(note)) for p, n, (s, a, b, note) in client.query(_ALL).result_rows]


def set_baseline(client: "Client", project: str, name: str, chosen: Slice, *, note: str, now: datetime) -> int:
    """Name a slice, and give the number of its texts. Raises SliceError when it has none, or belongs to another project."""
    if chosen.where.get("project", project) != project:
        raise SliceError(f"The slice is of project {chosen.where['project']}, the baseline of {project}. Leave one of them out.")
    whole = Slice(dict(chosen.where) | {"project": project}, chosen.start, chosen.end)
    parts, values = sources(whole, "s")
    sql = " UNION ALL ".join(f"SELECT sum(texts) FROM {table} WHERE {where}" for table, where in parts)  # noqa: S608 - names from literal tables
    texts = sum(int(row[0]) for row in client.query(sql, parameters=values).result_rows)
    if not texts:
        raise SliceError(f"There are no texts in this slice of project {project}: it cannot be a baseline.")
    filters = ",".join(f"{column}={value}" for column, value in chosen.where.items() if column != "project")
    _write(client, project, name, now, {"slice": filters, "start": chosen.start, "end": chosen.end, "note": note})
    return texts


def delete_baseline(client: "Client", project: str, name: str, *, now: datetime) -> None:
    """Forget a baseline. Raises SliceError when there is none of that name."""
    if not any(one.project == project and one.name == name for one in baselines(client)):
        raise SliceError(f"Project {project} has no baseline {name}. `llmtower drift baseline list` shows them.")
    _write(client, project, name, now, {"slice": "", "start": now, "end": now, "note": ""})


def _write(client: "Client", project: str, name: str, now: datetime, values: dict[str, Any]) -> None:
    row = {"set_at": int(now.timestamp() * 1_000), "project": project, "name": name, **values}
    token = f"baseline:{project}:{name}:{row['set_at']}"
    client.insert("drift_baselines", [list(row.values())], list(row), settings={"insert_deduplication_token": token, "async_insert": 0})


def _utc(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
