"""Why two slices differ: moved mass with example calls, terms, languages, lengths, and what was deployed or answered by another model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import msgspec

from llmtower_processors.drift.said import answered, asked
from llmtower_processors.drift.slices import Slice, sources
from llmtower_processors.drift.witness import Moved, Term, moved, terms
from llmtower_schemas.late import messages, texts_of

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

TEXTS: Final = 1_000
"""Texts of each side that are read; drawn by the hash of the call's id."""
EARLIER: Final = timedelta(hours=1)
"""A deploy so long before the second slice may be its cause."""
CHANGED: Final = 0.05
"""Shares of all calls that differ by less are not named."""
_CALLS_COLUMNS: Final = ("project", "app", "environment", "request_model", "prompt_name", "prompt_version")


@dataclass(frozen=True, slots=True)
class Share:
    """One value of something that calls are divided by, and its share of the calls of either side."""

    what: str
    value: str
    before: float
    now: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """What is different in the second slice."""

    moved: Moved
    examples: Sequence[str]
    """Ids of calls that lie farthest out."""
    terms: Sequence[Term]
    shares: Sequence[Share]
    characters: tuple[float, float]
    """Mean length of a text, before and now."""
    deploys: Sequence[tuple[datetime, str, str]]
    """Time, app and version of what went live during the second slice or within the hour before."""
    texts: tuple[int, int]
    """Texts that were read of either side: 0 where content is not captured."""


def explain(client: "Client", a: Slice, b: Slice, direction: str) -> Explanation:
    """Hold slice `b` against slice `a`. The client must be allowed to read `contents`; texts are embedded with hashed words."""
    ids, texts = zip(*(_texts(client, one, direction) for one in (a, b)), strict=True)
    found = moved(*texts)
    mixes = [_mix(client, one, direction) for one in (a, b)]
    return Explanation(
        found,
        [ids[1][index] for index in found.farthest],
        terms(*texts),
        [*_changed(_languages(mixes[0]), _languages(mixes[1]), "language"), *_of_calls(client, a, b)],
        (_characters(mixes[0]), _characters(mixes[1])),
        _deploys(client, b),
        (len(texts[0]), len(texts[1])),
    )


def _where(one: Slice) -> tuple[str, dict[str, Any]]:
    values: dict[str, Any] = {"start": int(one.start.timestamp()), "end": int(one.end.timestamp())}
    values |= {name: value for name, value in one.where.items() if name in _CALLS_COLUMNS}
    within = "started_at >= toDateTime({start:UInt32}, 'UTC') AND started_at < toDateTime({end:UInt32}, 'UTC')"
    return within + "".join(f" AND {name} = {{{name}:String}}" for name in _CALLS_COLUMNS if name in one.where), values


def _texts(client: "Client", one: Slice, direction: str) -> tuple[list[str], list[str]]:
    """Draw calls and give their ids and texts, where there is any text: their own, or what came apart from them."""
    column = "output" if direction == "output" else "input"
    read = answered if direction == "output" else asked
    asks = [ask(one, column) for ask in (_apart, _with_calls)]
    drawn = [row for sql, values in asks for row in client.query(sql, parameters=values).result_rows]
    found = {str(call): (draw, text) for draw, call, raw in drawn if (text := _read(read, str(raw)))}
    order = sorted(found, key=found.__getitem__)[:TEXTS]
    return order, [found[call][1] for call in order]


_DRAW: Final = "cityHash64(call_id)"


def _with_calls(one: Slice, column: str) -> tuple[str, dict[str, Any]]:
    where, values = _where(one)
    of = "".join(f" AND {name} = {{{name}:String}}" for name in ("project", "app") if name in one.where)
    sql = (
        f"SELECT {_DRAW}, toString(call_id), {column} FROM contents WHERE kind = 'call' AND {column} != ''{of}"  # noqa: S608 - names from literals, values bound
        " AND started_at >= toDateTime({start:UInt32}, 'UTC') AND started_at < toDateTime({end:UInt32}, 'UTC') AND call_id IN"
        f" (SELECT call_id FROM calls WHERE {where} ORDER BY {_DRAW} LIMIT {TEXTS}) ORDER BY {_DRAW}"
    )
    return sql, values


def _apart(one: Slice, column: str) -> tuple[str, dict[str, Any]]:
    """Late texts seldom name a model and never a prompt: a slice that names one has those of its calls, any other its place's."""
    where, values = _where(one)
    within = "at >= toDateTime({start:UInt32}, 'UTC') AND at < toDateTime({end:UInt32}, 'UTC')"
    named = any(one.where.get(name) for name in ("request_model", "prompt_name", "prompt_version"))
    place = ("project", "app") if named else ("project", "app", "environment")
    within += "".join(f" AND {name} = {{{name}:String}}" for name in place if name in one.where)
    of_calls = f"call_id IN (SELECT call_id FROM calls WHERE {where} ORDER BY {_DRAW} LIMIT {TEXTS})"  # noqa: S608 - names from literals, values bound
    sql = (
        f"SELECT {_DRAW}, toString(call_id), {messages(column)} AS text FROM ({texts_of(of_calls if named else '1', within)})"  # noqa: S608 - as above
        f" GROUP BY call_id HAVING text != '' ORDER BY {_DRAW} LIMIT {TEXTS}"
    )
    return sql, values


def _read(read: Any, raw: str) -> str:
    try:
        return str(read(msgspec.Raw(raw.encode())))
    except (msgspec.MsgspecError, RecursionError):
        return raw


def _mix(client: "Client", one: Slice, direction: str) -> Sequence[tuple[str, int, int]]:
    """Give texts and characters by language, from the sums."""
    whole = Slice({**one.where, "direction": direction}, one.start, one.end)
    parts, values = sources(whole, "s")
    union = " UNION ALL ".join(f"SELECT language, texts, characters FROM {table} WHERE {where}" for table, where in parts)  # noqa: S608 - names from literal tables
    rows = client.query(
        f"SELECT language, sum(found.texts), sum(found.characters) FROM ({union}) AS found GROUP BY language",  # noqa: S608 - as above
        parameters=values,
    ).result_rows
    return [(str(language), int(texts), int(characters)) for language, texts, characters in rows]


def _languages(mix: Sequence[tuple[str, int, int]]) -> dict[str, float]:
    total = sum(texts for _, texts, _ in mix)
    return {language: texts / total for language, texts, _ in mix} if total else {}


def _characters(mix: Sequence[tuple[str, int, int]]) -> float:
    texts = sum(texts for _, texts, _ in mix)
    return sum(characters for _, _, characters in mix) / texts if texts else 0.0


def _of_calls(client: "Client", a: Slice, b: Slice) -> list[Share]:
    """Compare what answered: prompt versions, models, and the providers' snapshots of them."""
    found: list[Share] = []
    for column in ("prompt_version", "request_model", "response_model"):
        sides = []
        for one in (a, b):
            where, values = _where(one)
            sql = f"SELECT {column}, count() FROM calls WHERE {where} AND status = 'ok' GROUP BY {column}"  # noqa: S608 - names from literals
            counts = {str(value): int(count) for value, count in client.query(sql, parameters=values).result_rows}
            total = sum(counts.values())
            sides.append({value: count / total for value, count in counts.items()})
        found += _changed(sides[0], sides[1], column)
    return found


def _changed(before: Mapping[str, float], now: Mapping[str, float], what: str) -> list[Share]:
    if not before or not now:
        return []
    shares = [Share(what, value, before.get(value, 0.0), now.get(value, 0.0)) for value in sorted(before.keys() | now.keys())]
    return [share for share in shares if abs(share.now - share.before) >= CHANGED]


def _deploys(client: "Client", b: Slice) -> list[tuple[datetime, str, str]]:
    values: dict[str, Any] = {"start": int((b.start - EARLIER).timestamp()), "end": int(b.end.timestamp())}
    names = [name for name in ("project", "app", "environment") if name in b.where]
    values |= {name: b.where[name] for name in names}
    where = "at >= toDateTime({start:UInt32}, 'UTC') AND at < toDateTime({end:UInt32}, 'UTC')"
    where += "".join(f" AND {name} = {{{name}:String}}" for name in names)
    rows = client.query(f"SELECT at, app, version FROM deploys WHERE {where} ORDER BY at DESC LIMIT 10", parameters=values).result_rows  # noqa: S608 - names from literals
    return [(at, str(app), str(version)) for at, app, version in rows]
