"""What live traffic says of versions of a prompt: one query each for calls, scores and feedback. Edge: asks ClickHouse."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.prompts.statistics import Estimate, Good, mean, quantile_ranks, rate

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Figures = dict[str, tuple[str, Good, Estimate | None]]
"""By name: unit, which way is good, estimate."""

_GRID: Final = (*(round(0.40 + 0.01 * step, 2) for step in range(21)), *(round(0.88 + 0.005 * step, 3) for step in range(24)), 0.999)
_WHERE: Final = """prompt_name = {name:String} AND prompt_version IN {versions:Array(String)} AND environment = {environment:String}
    AND started_at >= {start:DateTime64(6)} AND started_at < {end:DateTime64(6)}"""
_CALLS: Final = f"""
SELECT prompt_version, count() AS calls, countIf(status != 'ok') AS errors,
    count(cost_nano_usd) AS priced, avg(cost_nano_usd) / 1e6, varSamp(toFloat64(cost_nano_usd)) / 1e12,
    avgIf(output_tokens + reasoning_tokens, status = 'ok'), varSampIf(toFloat64(output_tokens + reasoning_tokens), status = 'ok'),
    countIf(status = 'ok') AS answered,
    quantilesTDigest({", ".join(map(str, _GRID))})(duration_us / 1e6) AS levels
FROM calls WHERE {_WHERE} GROUP BY prompt_version
"""  # noqa: S608 - literals; values are bound
_SCORES: Final = f"""
SELECT prompt_version, name, sum(weight * value) / sum(weight) AS m,
    (sum(weight * weight * value * value) - 2 * m * sum(weight * weight * value)) / sum(weight * weight) + m * m,
    sum(weight) * sum(weight) / sum(weight * weight)
FROM scores_of_calls WHERE {_WHERE} AND status = 'ok' AND isNotNull(value) AND weight > 0 GROUP BY prompt_version, name
"""  # noqa: S608
"""Of each score the weighted mean, the effective sample (Kish 1965), and the variance with which both give the error of the mean:
squares of weights in it, since those that stand for many others are as uncertain as they are many (Horvitz and Thompson 1952)."""
_FEEDBACK: Final = f"""
SELECT prompt_version, said.name, count(), countIf(said.score > 0) FROM
(
    SELECT toString(call_id) AS target, prompt_version FROM calls WHERE {_WHERE}
    UNION ALL SELECT response_id AS target, prompt_version FROM calls WHERE {_WHERE} AND response_id != ''
) AS asked
INNER JOIN (SELECT target_id, name, score FROM feedback_current WHERE isNotNull(score)) AS said ON said.target_id = asked.target
GROUP BY prompt_version, said.name
"""  # noqa: S608
_LOWER_IS_BETTER: Final = (
    *("toxic", "threat", "insult", "obscene", "attack", "sexual", "pii", "injection", "refus", "empty", "truncat", "loop"),
    *("drift", "error", "document_age"),
)
_NEITHER: Final = ("length", "input_")
"""A length is no merit, and what people ask is not the prompt's doing."""


def traffic(
    client: "Client", name: str, versions: Sequence[str], *, environment: str, start: datetime, end: datetime
) -> dict[str, Figures]:
    """Give the figures of versions by version; one that nobody used has none."""
    bound = {"name": name, "versions": list(versions), "environment": environment, "start": start, "end": end}
    found: dict[str, Figures] = {version: {} for version in versions}
    for version, *row in client.query(_CALLS, parameters=bound).result_rows:
        found[version] |= _of_calls(row)
    for version, score, value, variance, effective in client.query(_SCORES, parameters=bound).result_rows:
        found[version][f"score {score}"] = ("", way(score), _mean_score(value, variance, effective))
    for version, said, count, good in client.query(_FEEDBACK, parameters=bound).result_rows:
        found[version][f"feedback {said}, share positive"] = ("%", "higher", rate(good, count))
    return found


def _of_calls(row: Sequence[Any]) -> Figures:
    calls, errors, priced, cost, cost_variance, tokens, token_variance, answered, levels = row
    grid = dict(zip(_GRID, levels, strict=True))
    return {
        "error rate": ("%", "lower", rate(errors, calls)),
        "cost per 1,000 calls": ("$", "lower", mean(cost, cost_variance, priced) if priced else None),
        "p50 duration": ("s", "lower", _quantile(0.5, grid, calls)),
        "p95 duration": ("s", "lower", _quantile(0.95, grid, calls)),
        "output tokens per answer": ("", "neither", mean(tokens, token_variance, answered) if answered else None),
    }


def _mean_score(value: float, variance: float, effective: float) -> Estimate | None:
    """Where all scores are alike their variance says nothing: a share that is 0 or 1 so far has an interval all the same."""
    alike = variance < 1e-12 and 0 <= value <= 1
    return rate(value * effective, effective) if alike else mean(value, variance, effective)


def _quantile(level: float, grid: Mapping[float, float], n: int) -> Estimate | None:
    """Bound a percentile by the levels around it; None where the sample is too small for that."""
    low, high = quantile_ranks(level, n)
    below, above = [at for at in grid if at <= low], [at for at in grid if at >= high]
    if not below or not above:
        return None
    return Estimate(grid[level], grid[max(below)], grid[min(above)], n)


def way(score: str) -> Good:
    """Say which way a score should go: by its name, since scorers do not say."""
    if score.startswith(_NEITHER):
        return "neither"
    return "lower" if any(part in score.lower() for part in _LOWER_IS_BETTER) else "higher"
