"""What live traffic says of versions of a prompt, or of snapshots of a model: one query each for calls, scores and feedback. Edge."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from llmtower_processors.prompts.statistics import Compared, Estimate, Good, compare, mean, quantile_ranks, rate

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Figures = dict[str, tuple[str, Good, Estimate | None]]
"""By name: unit, which way is good, estimate."""

_GRID: Final = (*(round(0.40 + 0.01 * step, 2) for step in range(21)), *(round(0.88 + 0.005 * step, 3) for step in range(24)), 0.999)


@dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """Which traffic counts; '' = all."""

    start: datetime
    end: datetime
    project: str = ""
    app: str = ""
    environment: str = ""


@dataclass(frozen=True, slots=True)
class Axis:
    """What is held against each other: values of `side` among the calls of one `name`; `scores` is where their scores are found."""

    side: str
    name: str
    scores: str


_SLICE: Final = """started_at >= {start:DateTime64(6)} AND started_at < {end:DateTime64(6)}
    AND ({project:String} = '' OR project = {project:String}) AND ({app:String} = '' OR app = {app:String})
    AND ({environment:String} = '' OR environment = {environment:String})"""
_WHERE: Final = f"@name = {{name:String}} AND @side IN {{sides:Array(String)}} AND {_SLICE}"
_CALLS: Final = f"""
SELECT @side, count() AS calls, countIf(status != 'ok') AS errors,
    count(cost_nano_usd) AS priced, avg(cost_nano_usd) / 1e6, varSamp(toFloat64(cost_nano_usd)) / 1e12,
    avgIf(output_tokens + reasoning_tokens, status = 'ok'), varSampIf(toFloat64(output_tokens + reasoning_tokens), status = 'ok'),
    countIf(status = 'ok') AS answered,
    quantilesTDigest({", ".join(map(str, _GRID))})(duration_us / 1e6) AS levels
FROM calls WHERE {_WHERE} GROUP BY @side
"""  # noqa: S608 - literals; values are bound
_SCORES: Final = """
SELECT @side, name, sum(weight * value) / sum(weight) AS m,
    (sum(weight * weight * value * value) - 2 * m * sum(weight * weight * value)) / sum(weight * weight) + m * m,
    sum(weight) * sum(weight) / sum(weight * weight)
FROM @scores AND status = 'ok' AND isNotNull(value) AND weight > 0 GROUP BY @side, name
"""
"""Of each score the weighted mean, the effective sample (Kish 1965), and the variance with which both give the error of the mean:
squares of weights in it, since those that stand for many others are as uncertain as they are many (Horvitz and Thompson 1952)."""
_BY_ID: Final = f"""
(
    SELECT toString(call_id) AS target, @side FROM calls WHERE {_WHERE}
    UNION ALL SELECT response_id AS target, @side FROM calls WHERE {_WHERE} AND response_id != ''
) AS asked"""  # noqa: S608
_FEEDBACK: Final = f"""
SELECT @side, said.name, count(), countIf(said.score > 0) FROM {_BY_ID}
INNER JOIN (SELECT target_id, name, score FROM feedback_current WHERE isNotNull(score)) AS said ON said.target_id = asked.target
GROUP BY @side, said.name
"""  # noqa: S608
VERSIONS: Final = Axis("prompt_version", "prompt_name", f"scores_of_calls WHERE {_WHERE}")
SNAPSHOTS: Final = Axis(
    "response_model",
    "request_model",
    f"{_BY_ID} INNER JOIN scores_of_calls AS said ON said.target_id = asked.target"
    f" WHERE request_model IN ('', {{name:String}}) AND {_SLICE}",
)
"""Scores do not carry the snapshot that answered: it is looked up by the call. Those of others may not name the model either."""
_LOWER_IS_BETTER: Final = (
    *("toxic", "threat", "insult", "obscene", "attack", "sexual", "pii", "injection", "refus", "empty", "truncat", "loop"),
    *("drift", "error", "document_age"),
)
_NEITHER: Final = ("length", "input_")
"""A length is no merit, and what people ask is not the prompt's doing."""


def traffic(client: "Client", name: str, sides: Sequence[str], among: Slice, axis: Axis = VERSIONS) -> dict[str, Figures]:
    """Give the figures by side; one that nobody used has none."""
    bound = {"name": name, "sides": list(sides), **asdict(among)}
    found: dict[str, Figures] = {side: {} for side in sides}

    def rows(sql: str) -> Sequence[Any]:
        return client.query(_along(sql, axis), parameters=bound).result_rows

    for side, *row in rows(_CALLS):
        found[side] |= _of_calls(row)
    for side, score, value, variance, effective in rows(_SCORES):
        found[side][f"score {score}"] = ("", way(score), _mean_score(value, variance, effective))
    for side, said, count, good in rows(_FEEDBACK):
        found[side][f"feedback {said}, share positive"] = ("%", "higher", rate(good, count))
    return found


def beside(client: "Client", name: str, pair: tuple[str, str], among: Slice, axis: Axis = VERSIONS) -> list[Compared]:
    """Hold two sides against each other, figure by figure."""
    found = traffic(client, name, pair, among, axis)
    a, b = (found[side] for side in pair)
    names = list(dict.fromkeys((*a, *b)))
    kinds = {figure: (a.get(figure) or b[figure])[:2] for figure in names}
    figures = [(one, *kinds[one], a[one][2] if one in a else None, b[one][2] if one in b else None) for one in names]
    return compare(figures, least=LEAST)


def _along(sql: str, axis: Axis) -> str:
    """Names of columns are literals of ours; values are bound."""
    return sql.replace("@scores", axis.scores).replace("@side", axis.side).replace("@name", axis.name)


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


def _least(level: float) -> int:
    """Give the smallest sample whose percentile can be bounded."""
    return next(n for n in range(2, 10_000) if quantile_ranks(level, n)[0] >= _GRID[0] and quantile_ranks(level, n)[1] <= _GRID[-1])


LEAST: Final = {"p50 duration": _least(0.5), "p95 duration": _least(0.95)}
"""Calls of each side without which a figure has no interval; of all others it is two observations."""


def way(score: str) -> Good:
    """Say which way a score should go: by its name, since scorers do not say."""
    if score.startswith(_NEITHER):
        return "neither"
    return "lower" if any(part in score.lower() for part in _LOWER_IS_BETTER) else "higher"
