"""The calls of a question, page by page, with their texts, in an order drawn by chance from their ids and a seed."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.question import DRIFTED, SEGMENT, Question, Window, chosen, span
from llmtower_schemas.late import messages, texts_of

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

PAGE: Final = 50_000
"""Calls of a page at most: the engine sorts their texts."""
CALL_COLUMNS: Final = (
    *("call_id", "app", "environment", "provider", "request_model", "response_model", "prompt_name", "prompt_version", "started_at"),
    *("status", "cost_nano_usd"),
)
_COUNT: Final = "SELECT count(), countIf({chosen}) FROM calls WHERE {span}"
_DRAW: Final = "cityHash64(call_id, {seed:UInt64})"
_PICKED: Final = """
SELECT {columns}, response_id, {draw} AS draw FROM calls
WHERE {span} AND ({chosen}) AND draw > {{after:UInt64}}
ORDER BY draw LIMIT {{page:UInt64}}
"""
_PICKED_EVENLY: Final = """
SELECT {columns}, response_id, found.draw AS draw
FROM calls INNER JOIN
(
    SELECT drawn.2 AS call_id, bitOr(bitShiftLeft(toUInt64(rank), 40), bitShiftRight(drawn.1, 24)) AS draw
    FROM (SELECT groupArraySorted({limit})(({draw}, call_id)) AS tops FROM calls WHERE {span} AND ({chosen}) GROUP BY {strata})
    ARRAY JOIN tops AS drawn, arrayEnumerate(tops) AS rank
    WHERE draw > {{after:UInt64}} ORDER BY draw LIMIT {{page:UInt64}}
) AS found USING call_id
WHERE {span}
"""
_TEXTS: Final = """
WITH picked AS ({picked})
SELECT {columns}, draw, contents.input AS input, contents.output AS output, contents.parameters AS parameters,
    if(by_call.words > 0, by_call.score, by_response.score) AS feedback,
    if(by_call.correction != '', by_call.correction, by_response.correction) AS correction
FROM picked
LEFT JOIN
(
    {contents}
) AS contents ON contents.call_id = picked.call_id
LEFT JOIN ({said_of_calls}) AS by_call ON by_call.target = picked.call_id
LEFT JOIN ({said_of_responses}) AS by_response ON by_response.target = picked.response_id
ORDER BY draw
"""
_CONTENTS: Final = """
SELECT call_id, input, output, parameters FROM contents
WHERE {span} AND kind = 'call' AND call_id IN (SELECT call_id FROM picked)
"""
_SOME_LATE: Final = "SELECT 1 FROM late_contents WHERE {late} LIMIT 1"
_LATE: Final = (
    "project = {project:String} AND at >= fromUnixTimestamp64Micro({start:Int64}) - INTERVAL 1 DAY"
    " AND at < fromUnixTimestamp64Micro({end:Int64}) + INTERVAL 1 DAY"
)
"""Texts that travel apart come before their call or after it: a day of either is looked through."""
_WITH_LATE: Final = f"""
SELECT call_id, argMinIf(input, late, input != '') AS input, argMinIf(output, late, output != '') AS output, max(parameters) AS parameters
FROM
(
    SELECT call_id, 0 AS late, input, output, parameters FROM ({{contents}})
    UNION ALL
    SELECT call_id, 1, {messages("input")}, {messages("output")}, ''
    FROM ({texts_of("call_id IN (SELECT call_id FROM picked)", "{late}")}) GROUP BY call_id
)
GROUP BY call_id
"""  # noqa: S608 - literals
"""The same, and where a call carries no text, what came apart from it; asked only where a project has any, for it costs a look more."""
_SAID: Final = """
SELECT {target} AS target, avg(last) AS score, count() AS words, argMax(correction, (correction != '', at)) AS correction
FROM
(
    SELECT target_id, user_id, name, max(given.at) AS at, argMax(given.score, given.at) AS last,
        argMax(words.correction, given.at) AS correction
    FROM feedback AS given
    LEFT JOIN
    (
        SELECT call_id, correction FROM contents WHERE project = {{project:String}} AND kind = 'feedback' AND correction != ''
    ) AS words ON words.call_id = given.feedback_id
    WHERE project = {{project:String}} AND target_kind = '{kind}' AND target_id != ''
    GROUP BY target_id, user_id, name
)
GROUP BY target_id
"""


class Found(NamedTuple):
    """One call with its texts, as they are stored; `draw` is its place in the order."""

    call: Mapping[str, Any]
    draw: int
    input: str
    output: str
    parameters: str
    feedback: float | None
    correction: str


def count(client: "Client", question: Question) -> tuple[int, int]:
    """Give how many calls the span has and how many of them are asked for. Raises DatasetError for a condition the engine refuses."""
    from clickhouse_connect.driver.exceptions import DatabaseError

    where, values = chosen(question)
    within, bound = span(question)
    try:
        ((whole, matched),) = client.query(_COUNT.format(chosen=where, span=within), parameters=values | bound).result_rows
    except DatabaseError as error:
        if not question.condition:
            raise
        raise DatasetError(f"ClickHouse does not understand --where: {_reason(error)}") from error
    return int(whole), int(matched)


def drifted_windows(client: "Client", project: str, start: int, end: int) -> tuple[Window, ...]:
    """Give the segments of a project that drifted between two times (microseconds), the latest 200."""
    rows = client.query(DRIFTED, parameters={"project": project, "start": start, "end": end}).result_rows
    return tuple(Window(row[0], row[1], dict(zip(SEGMENT, map(str, row[2:]), strict=True))) for row in rows)


def pages(client: "Client", question: Question, page: int) -> Iterator[list[Found]]:
    """Give what is found, a page at a time, until there is no more; blocks of the answer are read as they come."""
    where, values = chosen(question)
    within, bound = span(question)
    columns = ", ".join(CALL_COLUMNS)
    form = _PICKED_EVENLY if question.stratify else _PICKED
    limit, strata = max(1, min(question.size, PAGE)), ", ".join(question.stratify)
    picked = form.format(columns=columns, span=within, chosen=where, draw=_DRAW, limit=limit, strata=strata)
    said = [
        _SAID.format(target=target, kind=kind) for target, kind in (("toUUIDOrZero(target_id)", "call_id"), ("target_id", "response_id"))
    ]
    named = ", ".join(f"picked.{name} AS {name}" for name in CALL_COLUMNS)
    contents = _CONTENTS.format(span=within)
    if client.query(_SOME_LATE.format(late=_LATE), parameters=bound).result_rows:
        contents = _WITH_LATE.format(contents=contents, late=_LATE)
    sql = _TEXTS.format(picked=picked, columns=named, contents=contents, said_of_calls=said[0], said_of_responses=said[1])
    values |= bound | {"seed": question.seed, "after": 0, "page": page}
    while True:
        size = 0
        with client.query_row_block_stream(sql, parameters=values) as stream:
            for block in stream:
                found = [_found(row) for row in block]
                size += len(found)
                values["after"] = found[-1].draw if found else values["after"]
                yield found
        if size < page:
            return


def _found(row: Any) -> Found:
    call = dict(zip(CALL_COLUMNS, row, strict=False))
    draw, given, answered, parameters, feedback, correction = row[len(CALL_COLUMNS) :]
    return Found(call, int(draw), given, answered, parameters, None if feedback is None else float(feedback), correction)


def _reason(error: Exception) -> str:
    """Give the first line of what the engine says, without its stack and the statement it repeats."""
    text = str(error).replace("\n", " ")
    return text.partition("DB::Exception: ")[2].partition(": In scope")[0].partition(": while")[0][:200] or text[:200]
