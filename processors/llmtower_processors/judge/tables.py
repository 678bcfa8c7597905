"""Edge: the calls to judge, their texts, and what was spent, from ClickHouse."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
import orjson

from llmtower_processors.audit.tables import insert
from llmtower_processors.drift.said import answered, asked
from llmtower_processors.judge.model import APP, Material, Pick, Round
from llmtower_processors.judge.question import Said
from llmtower_processors.judge.rubric import Rubric
from llmtower_processors.judge.sampling import Quota
from llmtower_processors.runtime.model import Block
from llmtower_schemas.prompts import EXPERIMENT

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_WITHIN: Final = "started_at >= fromUnixTimestamp64Milli({from:Int64}) AND started_at < fromUnixTimestamp64Milli({until:Int64})"
_DOCUMENTS: Final = f"AND call_id IN (SELECT call_id FROM contents WHERE {_WITHIN} AND kind = 'call' AND retrieved != '')"  # noqa: S608 - literals
_CANDIDATES: Final = f"""
FROM (
    SELECT toString(call_id) AS id, project, app, environment, request_model, prompt_name, prompt_version, started_at
    FROM calls
    WHERE {_WITHIN} AND status = 'ok' AND capture = 'full' AND operation IN ('chat', 'text_completion') AND app != {{own:String}}
        AND environment != {{experiment:String}}
        AND (empty({{apps:Array(String)}}) OR has({{apps:Array(String)}}, app)) {{documents}}
) AS candidates
LEFT JOIN (
    SELECT target_id, anyLast(assumeNotNull(value)) AS local, 1 AS has_score
    FROM scores_of_calls
    WHERE {_WITHIN} AND name = {{local:String}} AND target_kind = 'call_id' AND isNotNull(value)
    GROUP BY target_id
) AS scored ON candidates.id = scored.target_id
"""  # noqa: S608 - literals
_COUNT: Final = "SELECT count(), countIf(has_score = 1)"
_PICK: Final = "SELECT id, project, app, environment, request_model, prompt_name, prompt_version, toUnixTimestamp64Micro(started_at)"
_NEAREST: Final = "WHERE has_score = 1 ORDER BY abs(local - {at:Float64}), cityHash64(id, {rubric:String}) LIMIT {take:UInt32}"
_CHANCE: Final = "WHERE NOT has({taken:Array(String)}, id) ORDER BY cityHash64(id, {rubric:String}) LIMIT {take:UInt32}"
_TEXTS: Final = """
SELECT toString(call_id), input, output, retrieved FROM contents
WHERE kind = 'call' AND started_at >= fromUnixTimestamp64Micro({first:Int64}) AND started_at <= fromUnixTimestamp64Micro({last:Int64})
    AND has({ids:Array(UUID)}, call_id)
"""
_SCORED: Final = """
SELECT DISTINCT target_id FROM scores
WHERE name = {name:String} AND scorer_version = {version:String} AND target_kind = 'call_id' AND has({ids:Array(String)}, target_id)
    AND started_at >= fromUnixTimestamp64Micro({first:Int64}) AND started_at <= fromUnixTimestamp64Micro({last:Int64})
"""
_SPENT: Final = "SELECT sum(cost_nano_usd) FROM calls WHERE app = {own:String} AND started_at >= fromUnixTimestamp64Milli({from:Int64})"


class ClickHouseCalls:
    """The tables, by a client that may read texts and write."""

    def __init__(self, client: "Client", model: str) -> None:
        self._client, self._model = client, model

    def count(self, rubric: Rubric, span: tuple[int, int]) -> tuple[int, int]:
        """Give how many calls the rubric could judge, and how many of them have its local score."""
        ((population, scored),) = self._ask(f"{_COUNT}{_candidates(rubric)}", _values(rubric, span))
        return int(population), int(scored)

    def pick(self, rubric: Rubric, span: tuple[int, int], quota: Quota) -> list[Pick]:
        """Give the calls that a quota takes, by order of a hash: the same ones whenever it is asked."""
        values = _values(rubric, span)
        certain = self._picks(rubric, _NEAREST, {**values, "at": rubric.uncertain_at, "take": quota.certain}, 1.0)
        taken = [pick.call_id for pick in certain]
        return certain + self._picks(rubric, _CHANCE, {**values, "taken": taken, "take": quota.chance}, quota.weight)

    def _picks(self, rubric: Rubric, tail: str, values: dict[str, Any], weight: float) -> list[Pick]:
        if not values["take"]:
            return []
        rows = self._ask(f"{_PICK}{_candidates(rubric)}{tail}", values)
        return [_pick(row, weight) for row in rows]

    def read(self, picks: Sequence[Pick]) -> list[Material]:
        """Give their texts; a text that is no JSON of ours is taken as it is."""
        if not picks:
            return []
        values = _span_of(picks) | {"ids": [pick.call_id for pick in picks]}
        found = {str(row[0]): row[1:] for row in self._ask(_TEXTS, values)}
        return [Material(pick, _said(*found.get(pick.call_id, ("", "", "")))) for pick in picks]

    def scored(self, rubric: Rubric, picks: Sequence[Pick]) -> set[str]:
        """Give the call ids that have this rubric's score already."""
        if not picks:
            return set()
        values = _span_of(picks) | {"ids": [pick.call_id for pick in picks], "name": rubric.score, "version": version(rubric, self._model)}
        return {str(row[0]) for row in self._ask(_SCORED, values)}

    def spent(self, from_ms: int) -> int:
        """Give what a judge's own stored calls have cost since a moment, nano-USD."""
        ((spent,),) = self._ask(_SPENT, {"own": APP, "from": from_ms})
        return int(spent or 0)

    def record(self, row: Round, token: str) -> None:
        """Store one row of `judge_rounds`, once per token."""
        columns: dict[str, list[Any]] = {
            "at": [row.at_ms],
            "model": [row.model],
            "state": [row.state],
            "budget_nano_usd": [row.budget],
            "spent_nano_usd": [row.spent],
            "population": [row.population],
            "scored": [row.scored],
            "failed": [row.failed],
            "skipped": [row.skipped],
        }
        insert(self._client, Block("judge_rounds", columns), token)

    def _ask(self, sql: str, values: dict[str, Any]) -> Sequence[Sequence[Any]]:
        return self._client.query(sql, parameters=values).result_rows


def version(rubric: Rubric, model: str) -> str:
    """Say by what a score was made: another wording or another model is another scorer."""
    return f"{rubric.version}/{model}"[:256]


def _candidates(rubric: Rubric) -> str:
    return _CANDIDATES.replace("{documents}", _DOCUMENTS if rubric.documents else "")


def _values(rubric: Rubric, span: tuple[int, int]) -> dict[str, Any]:
    return {
        "from": span[0],
        "until": span[1],
        "own": APP,
        "experiment": EXPERIMENT,
        "apps": list(rubric.apps),
        "local": rubric.uncertain_by,
        "rubric": rubric.name,
    }


def _span_of(picks: Sequence[Pick]) -> dict[str, Any]:
    moments = [pick.started_at_us for pick in picks]
    return {"first": min(moments), "last": max(moments)}


def _pick(row: Sequence[Any], weight: float) -> Pick:
    call_id, project, app, environment, model, prompt, version_, started_at = row
    return Pick(call_id, project, app, environment, model, prompt, version_, int(started_at), weight)


def _said(question: str, answer: str, retrieved: str) -> Said:
    return Said(_text(asked, question), _text(answered, answer), tuple(_documents(retrieved)))


def _text(read: Any, raw: str) -> str:
    try:
        return str(read(msgspec.Raw(raw.encode()))) if raw else ""
    except (msgspec.MsgspecError, RecursionError):
        return raw


def _documents(raw: str) -> list[str]:
    try:
        found = orjson.loads(raw) if raw else []
    except orjson.JSONDecodeError:
        return []
    return [str(one["text"]) for one in found if isinstance(one, dict) and one.get("text")]
