"""Edge: somebody is forgotten in datasets: the texts of their rows go, the rows stay, so that counts and places still hold."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_ID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_AT_A_TIME: Final = 2_000
_SAID: Final = "SELECT target_id FROM feedback WHERE project = {project:String} AND user_id = {user:String} AND target_kind = "
_CALLS: Final = f"""
SELECT toString(call_id) FROM calls WHERE project = {{project:String}} AND
    (user_id = {{user:String}} OR (response_id != '' AND response_id IN ({_SAID}'response_id'))
    OR (trace_id != '' AND trace_id IN ({_SAID}'trace_id')))
UNION DISTINCT
{_SAID}'call_id'
"""  # noqa: S608 - literals, values bound
"""Feedback names a call by its id, its answer or its trace, as in `question.py`; that of a trace means every call of it."""
_ROWS: Final = """
SELECT toString(build_id), count() FROM dataset_items
WHERE project = {project:String} AND call_id IN {calls:Array(UUID)} AND (input != '' OR output != '' OR correction != '')
GROUP BY build_id
"""
_ERASE: Final = """
ALTER TABLE dataset_items UPDATE input = '', output = '', correction = '', parameters = '', item_hash = toFixedString('', 16)
WHERE project = {project:String} AND call_id IN {calls:Array(UUID)}
SETTINGS mutations_sync = 2
"""


def calls_of(client: "Client", project: str, user: str) -> list[str]:
    """Give the calls of a user that are still known, and those they said something of."""
    rows = client.query(_CALLS, parameters={"project": project, "user": user}).result_rows
    return [str(call) for (call,) in rows if _ID.fullmatch(str(call))]


def rows_of(client: "Client", project: str, calls: Sequence[str]) -> Counter[str]:
    """Count the rows that hold texts of calls, by build."""
    found: Counter[str] = Counter()
    for some in _some(calls):
        for build, count in client.query(_ROWS, parameters={"project": project, "calls": some}).result_rows:
            found[str(build)] += int(count)
    return found


def erase(client: "Client", project: str, calls: Sequence[str]) -> None:
    """Empty the texts of all rows of calls, in every version; returns when it is done on the disk."""
    for some in _some(calls):
        client.command(_ERASE, parameters={"project": project, "calls": some})


def _some(calls: Sequence[str]) -> Iterator[list[str]]:
    return (list(calls[start : start + _AT_A_TIME]) for start in range(0, len(calls), _AT_A_TIME))
