"""Figures of models' traffic, each by one query: what it costs and takes, how often it fails and is disliked, which snapshots answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llmtower_processors.prompts.statistics import rate
from llmtower_schemas.metrics import METRICS, SCORED

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

_NEGATIVE: Final = METRICS["negative_feedback"].value.removeprefix("countIf(").partition(") / ")[0]
_WITHIN: Final = "project = {project:String} AND hour >= toDateTime({start:UInt32}, 'UTC') AND hour < toDateTime({end:UInt32}, 'UTC')"
_SEEN: Final = """
SELECT provider, request_model, min(hour) AS first, max(hour) AS last, sumIf(m.calls, hour >= toDateTime({start:UInt32}, 'UTC')) AS recent,
    sumIf(m.cost_nano_usd, hour >= toDateTime({start:UInt32}, 'UTC')) AS cost,
    sumIf(m.unpriced_calls, hour >= toDateTime({start:UInt32}, 'UTC')) AS unpriced,
    groupUniqArray(20)(environment) AS environments
FROM rollup_1h AS m WHERE project = {project:String} GROUP BY provider, request_model ORDER BY recent DESC, request_model
"""
_TRAFFIC: Final = f"""
SELECT request_model, sum(r.calls) AS calls, sum(r.errors) AS errors, sum(r.cost_nano_usd) AS cost, sum(r.priced_calls) AS priced,
    sum(r.unpriced_calls) AS unpriced, sum(r.output_tokens) + sum(r.reasoning_tokens) AS output_tokens,
    quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(r.duration_digest) AS durations
FROM rollup_1h AS r WHERE {_WITHIN} AND request_model IN {{models:Array(String)}} GROUP BY request_model
"""  # noqa: S608 - literals
_SCORES: Final = f"""
SELECT request_model, name, sum(r.w_low) AS low, sum(r.w_high) AS high, sum(r.scored) AS scored
FROM rollup_scores_1h AS r WHERE {_WITHIN} AND request_model IN {{models:Array(String)}} AND name IN {{names:Array(String)}}
GROUP BY request_model, name
"""  # noqa: S608 - literals
_FEEDBACK: Final = f"""
SELECT request_model, countIf({_NEGATIVE}) AS negative, count() AS said
FROM feedback_current INNER JOIN
(
    SELECT request_model, toString(call_id) AS id FROM calls
    WHERE project = {{project:String}} AND request_model IN {{models:Array(String)}}
        AND started_at >= toDateTime({{start:UInt32}}, 'UTC') AND started_at < toDateTime({{end:UInt32}}, 'UTC')
        AND call_id IN (SELECT toUUIDOrZero(target_id) FROM feedback WHERE project = {{project:String}} AND target_kind = 'call_id')
) AS answered ON answered.id = feedback_current.target_id
WHERE project = {{project:String}} AND target_kind = 'call_id'
GROUP BY request_model
"""  # noqa: S608 - literals
_SNAPSHOTS: Final = """
SELECT request_model, response_model, min(hour) AS first, max(hour) AS last, sum(m.calls) AS calls,
    sum(m.errors) / sum(m.calls) AS error_rate, sum(m.duration_us) / sum(m.calls) / 1e6 AS mean_s,
    sum(m.cost_nano_usd) / nullIf(sum(m.calls) - sum(m.unpriced_calls), 0) / 1e6 AS usd_per_1000
FROM rollup_models_1h AS m
WHERE project = {project:String} AND request_model = {model:String} AND response_model != ''
GROUP BY request_model, response_model ORDER BY first, response_model
"""


class Share(NamedTuple):
    """A share with its 95 % interval, and how many it rests on; value None: of nothing."""

    value: float | None
    low: float
    high: float
    of: int


def share(part: float, of: float) -> Share:
    """Give a share with Wilson's interval. Weighted counts are taken as they are."""
    found = rate(min(max(part, 0.0), of), of)
    return Share(None, 0.0, 1.0, 0) if found is None else Share(found.value, found.low, found.high, round(found.n))


@dataclass(frozen=True, slots=True)
class Seen:
    """A model id in traffic; times are hours, `calls` and `usd` of the span, `unpriced` calls are in no sum of money."""

    provider: str
    model: str
    first: datetime
    last: datetime
    calls: int
    usd: float
    unpriced: int
    environments: Sequence[str]


@dataclass(frozen=True, slots=True)
class Traffic:
    """One model's traffic in a span. Durations in seconds, money in US dollars; None where nothing can be said."""

    model: str
    calls: int
    errors: Share
    usd: float | None
    unpriced: int
    usd_per_1000: float | None
    output_tokens: float | None
    p50_s: float | None
    p95_s: float | None
    negative: Share
    bad: dict[str, Share]
    """By name of the score: the share of answers it calls bad."""


def seen(client: "Client", project: str, start: datetime) -> list[Seen]:
    """Give every model id that was ever called, with what it did since `start`."""
    rows = client.query(_SEEN, parameters={"project": project, "start": int(start.timestamp())}).result_rows
    return [Seen(str(r[0]), str(r[1]), r[2], r[3], int(r[4]), int(r[5]) / 1e9, int(r[6]), sorted(map(str, r[7]))) for r in rows]


def snapshots(client: "Client", project: str, model: str) -> list[tuple[Any, ...]]:
    """Give what answered for a model: snapshot, first and last hour, calls, error rate, mean seconds, US dollars per 1,000 calls."""
    return [tuple(row[1:]) for row in client.query(_SNAPSHOTS, parameters={"project": project, "model": model}).result_rows]


def traffic(client: "Client", project: str, models: Sequence[str], start: datetime, end: datetime) -> list[Traffic]:
    """Give the traffic of models side by side, in their order."""
    values = {"project": project, "models": list(models), "start": int(start.timestamp()), "end": int(end.timestamp())}
    values["names"] = [one.score for one in SCORED]
    calls = {str(row[0]): row[1:] for row in client.query(_TRAFFIC, parameters=values).result_rows}
    said = {str(row[0]): share(int(row[1]), int(row[2])) for row in client.query(_FEEDBACK, parameters=values).result_rows}
    bad: dict[str, dict[str, Share]] = {}
    low_is_bad = {one.score: one.bad.startswith("value <") for one in SCORED}
    for model, name, low, high, scored in client.query(_SCORES, parameters=values).result_rows:
        part = float(low if low_is_bad[str(name)] else high)
        found = share(part * int(scored) / (float(low) + float(high)), int(scored)) if low + high else share(0, 0)
        bad.setdefault(str(model), {})[str(name)] = found
    return [_traffic(model, calls.get(model), said.get(model, share(0, 0)), bad.get(model, {})) for model in models]


def _traffic(model: str, row: Any, negative: Share, bad: dict[str, Share]) -> Traffic:
    if row is None:
        return Traffic(model, 0, share(0, 0), None, 0, None, None, None, None, negative, bad)
    calls, errors, cost, priced, unpriced, tokens, durations = row
    usd = int(cost) / 1e9 if priced else None
    per = int(cost) / int(priced) / 1e6 if priced else None
    times = [float(one) / 1e6 for one in durations]
    return Traffic(
        model,
        int(calls),
        share(int(errors), int(calls)),
        usd,
        int(unpriced),
        per,
        int(tokens) / int(calls),
        times[0],
        times[2],
        negative,
        bad,
    )
