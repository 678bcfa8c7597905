"""Late texts in SQL: the messages of a call that travelled apart from it (`late_contents`), put together again.

A call that two instrumentations saw stands under one of their spans; the texts that the other one sent apart name its own span.
A row of the name `WITHIN`, without texts, ties that span to the call.
"""

from typing import Final

WITHIN: Final = "llmtower.within"
_COLUMNS: Final = "input, output, at, kafka_offset, event_index"


def messages(side: str) -> str:
    """One side's late texts as one JSON list, in the order of their times; an event of several is a list, of none an empty one.

    An aggregate over rows of `late_contents`; `side` is `input` or `output`. Of one call at most 1,000 are taken.
    """
    inner = f"trimBoth(if(startsWith({side}, '['), substring({side}, 2, length({side}) - 2), {side}))"
    ordered = f"arraySort(groupArrayIf(1000)((at, kafka_offset, event_index, {inner}), {inner} != ''))"
    return f"if(max({inner}) = '', '', concat('[', arrayStringConcat(arrayMap(one -> one.4, {ordered}), ','), ']'))"


def texts_of(calls: str, within: str = "1") -> str:
    """Give the late texts of calls, those of their left-out spans too: a SELECT of `call_id` and what `messages` reads.

    `calls` is a condition on `call_id`, `within` one on the other columns of the table.
    """
    links = f"SELECT DISTINCT call_id, project, app, trace_id, span_id FROM late_contents WHERE {calls} AND {within} AND name = '{WITHIN}'"  # noqa: S608 - literals
    return f"""
    SELECT call_id, {_COLUMNS} FROM late_contents WHERE {calls} AND {within}
    UNION ALL
    SELECT links.call_id AS call_id, {_COLUMNS}
    FROM (
        SELECT project, app, trace_id, span_id, {_COLUMNS} FROM late_contents
        WHERE {within} AND (project, app, trace_id, span_id) IN (SELECT project, app, trace_id, span_id FROM ({links}))
    ) AS apart
    INNER JOIN ({links}) AS links USING (project, app, trace_id, span_id)
"""  # noqa: S608 - literals
