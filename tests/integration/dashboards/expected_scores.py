"""What panels over scores, feedback and the judge must say."""

import math
from collections.abc import Callable
from datetime import datetime
from typing import Final

import numpy as np
from tests.integration.dashboards.columns import TARGETS, Array, Bucket, Column, Table, Words, joined, known
from tests.integration.dashboards.oracle import (
    Between,
    Found,
    Look,
    Values,
    at,
    bucket,
    floor,
    grouped,
    share,
    total,
    weighted,
    weighted_as_one,
    wilson,
)
from tests.integration.dashboards.pipeline import us

BAD: Final[dict[str, Callable[[Array], Array]]] = {
    "toxicity": lambda value: value >= 0.5,
    "pii": lambda value: value >= 0.5,
    "injection": lambda value: value >= 0.5,
    "refusal": lambda value: value >= 0.5,
    "groundedness": lambda value: value < 0.5,
    "relevance": lambda value: value < 0.5,
}


def scores(look: Look, seconds: int = 0) -> Table:
    """Scores of both homes, one a row, from the start of the bucket that the range begins in."""
    return both_homes(look, floor(look.frame.start, seconds) if seconds else look.start())


def both_homes(look: Look, start: datetime) -> Table:
    """Scores of both homes, one a row."""
    place = ("both homes", us(start), 0)
    if place not in look.kept:
        look.kept[place] = joined(look.rows("scores", start), _single(look.rows("call_scores", start)))
    return look.kept[place]


_ARRAYS: Final = {
    "name": "names",
    "value": "score_values",
    "weight": "weights",
    "status": "statuses",
    "reason": "reasons",
    "scorer": "scorers",
    "scorer_version": "scorer_versions",
}


def _single(rows: Table) -> Table:
    """The scores of calls, one a row."""
    many = rows["names"].numbers.shape[1] if len(rows) else 0
    each = rows.take(np.repeat(np.arange(len(rows)), many))
    arrays = {name: _flat(rows[column]) for name, column in _ARRAYS.items()}
    return each.with_columns(target_id=Words(each["call_id"].numbers, TARGETS), **arrays)


def _flat(column: Column) -> Column:
    return Words(column.numbers.reshape(-1), column.names) if isinstance(column, Words) else column.reshape(-1)


def _valued(rows: Table, name: str = "") -> Table:
    return rows.where(known(rows["value"]) & (rows["name"] == name if name else True))


def score_now(look: Look, name: str) -> Found:
    rows = _valued(scores(look), name)
    if not len(rows):
        return {}
    found = weighted(rows, BAD[name](rows["value"]))
    return {(): {"value": found.pop("rate"), **found}}


def score_series(look: Look, name: str) -> Found:
    rows = _valued(scores(look, look.bucket_s(86_400)), name)
    return grouped(rows, (Bucket("started_at", look.bucket_s(86_400)),), lambda found: weighted(found, BAD[name](found["value"])))


def scores_by(look: Look, *columns: str) -> Found:
    rows = _valued(scores(look))
    rows = rows.where(rows["name"].isin(BAD))
    return grouped(rows, (*columns, "name"), lambda found: weighted(found, BAD[found.first("name")](found["value"])))


def unscored(look: Look) -> Found:
    rows = scores(look)
    alike = grouped(rows, ("name", "scorer"), lambda found: {"events": len(found)})

    def figures(found: Table) -> Values:
        return {"events": len(found), "share": len(found) / alike[found.first("name"), found.first("scorer")]["events"]}

    return grouped(rows.where(rows["status"] != "ok"), ("name", "scorer", "status", "reason"), figures)


def scorers(look: Look) -> Found:
    return grouped(
        _valued(scores(look)),
        ("name", "scorer", "scorer_version"),
        lambda found: {"scored": len(found), "stood": total(found, "weight")},
    )


def score_means(look: Look) -> Found:
    rows = _valued(scores(look, look.bucket_s(86_400)))

    def figures(found: Table) -> Values:
        return {"mean": float((found["weight"] * found["value"]).sum() / found["weight"].sum()), "sample": len(found)}

    rows = rows.where(~rows["name"].isin(("retrieval_score", "document_age")))
    return grouped(rows, (Bucket("started_at", look.bucket_s(86_400)), "name"), figures)


_RETRIEVED: Final = {"empty": "retrieval_empty", "best": "retrieval_score", "age": "document_age"}


def _mean(found: Table) -> float | None:
    return share(float((found["weight"] * found["value"]).sum()), float(found["weight"].sum()))


def retrieval(look: Look) -> Found:
    rows = _valued(scores(look, look.bucket_s(86_400)))

    def figures(found: Table) -> Values:
        means = {figure: _mean(found.where(found["name"] == name)) for figure, name in _RETRIEVED.items()}
        return {**means, "sample": len(found)}

    return grouped(rows.where(rows["name"].isin(_RETRIEVED.values())), (Bucket("started_at", look.bucket_s(86_400)),), figures)


def mean_score(found: Table) -> Values:
    """The weighted mean with its interval, which ten scores at least have."""
    weights, values = found["weight"], np.ma.getdata(found["value"])
    weight = float(weights.sum())
    mean = float((weights * values).sum()) / weight
    half = 1.96 * float(((weights * (values - mean)) ** 2).sum()) ** 0.5 / weight
    low, high = (Between(end - 1e-7, end + 1e-7) for end in (mean - half, mean + half))
    ends = {"low": None, "high": None} if len(found) < 10 else {"low": low, "high": high}
    return {"scored": len(found), "mean": mean, **ends}


def scores_by_version(look: Look) -> Found:
    return grouped(_valued(scores(look)), ("prompt_name", "prompt_version", "name"), mean_score)


def last_words(rows: Table) -> Table:
    """What each person said last of an answer."""
    ordered = rows.take(np.argsort(rows["at"], kind="stable"))
    keys = np.stack([ordered[name].numbers for name in ("app", "target_id", "user_id", "name")], axis=1)
    order = np.lexsort(keys.T) if len(keys) else np.zeros(0, dtype=np.int64)
    ends = np.append((keys[order][1:] != keys[order][:-1]).any(axis=1), len(keys) > 0)
    return ordered.take(np.sort(order[ends[: len(order)]]))


def is_negative(rows: Table) -> Array:
    return np.asarray((known(rows["score"]) & (np.ma.getdata(rows["score"]) < 0)) | (rows["label"] == "bad"))


def negative(rows: Table) -> Values:
    bad = int(is_negative(rows).sum())
    low, high = wilson(bad, len(rows))
    return {"rate": bad / len(rows), "low": low, "high": high, "sample": len(rows)}


def _answers(rows: Table) -> int:
    return len(np.unique(rows["target_id"].numbers))


def feedback_now(look: Look) -> Found:
    rows = last_words(look.rows("feedback", time="at"))
    if not len(rows):
        return {}
    found = negative(rows)
    return {(): {"value": found.pop("rate"), **found, "share": share(_answers(rows), len(look.calls()))}}


def feedback_series(look: Look) -> Found:
    made = look.by_time((), lambda rows: {"calls": len(rows)})

    def figures(rows: Table) -> Values:
        calls = made.get((at(int(rows["at"][0]), look.wide()),), {}).get("calls", 0)
        return negative(rows) | {"share": share(_answers(rows), calls)}

    return grouped(last_words(look.whole("feedback", time="at")), (Bucket("at", look.wide()),), figures)


def feedback_share(look: Look) -> Found:
    answers, calls = _answers(look.rows("feedback", time="at")), len(look.calls())
    return {(): {"value": answers / calls, "answers": answers, "made": calls}} if calls else {}


def feedback_by_app(look: Look) -> Found:
    made = grouped(look.calls(), ("app",), lambda found: {"calls": len(found)})

    def figures(found: Table) -> Values:
        calls = made.get((found.first("app"),), {}).get("calls", 0)
        return negative(found) | {"share": share(_answers(found), calls)}

    return grouped(last_words(look.rows("feedback", time="at")), ("app", "name"), figures)


def _money(rows: Table) -> Values:
    last = max(rows, key=lambda row: int(row["at"]))
    return {"spent": last["spent_nano_usd"] / 1e9, "budget": last["budget_nano_usd"] / 1e9}


def judge_budget(look: Look) -> Found:
    rows = look.rows("judge_rounds", time="at")
    if not len(rows):
        return {}
    money = _money(rows)
    return {(): {"value": money["spent"] / money["budget"], **money}}


def judge_rounds(look: Look) -> Found:
    return grouped(look.whole("judge_rounds", time="at"), (bucket("judge_rounds", "at", look.wide()),), _money)


def judge_rates(look: Look) -> Found:
    rows = look.rows("scores")

    def figures(found: Table) -> Values:
        return weighted_as_one(found, found["value"] < 0.5) | {"failed": int((found["status"] != "ok").sum())}

    return grouped(rows.where(rows["scorer"] == "llmtower-judge"), ("app", "name"), figures)


def _pairs(look: Look) -> tuple[Array, Array, Array]:
    """Weights of the calls that both a judge and a person spoke of, and whether each called them bad."""
    calls, said = look.world["calls"], last_words(look.world["feedback"])
    order = np.argsort(calls["response_id"].numbers)
    answers = calls["response_id"].numbers[order]
    target = said["target_id"].numbers
    place = np.minimum(np.searchsorted(answers, target), max(0, len(answers) - 1))
    target = np.where(answers[place] == target, calls["call_id"].numbers[order][place], target) if len(target) else target
    said = said.with_columns(target_id=Words(target, TARGETS))
    said = said.where((known(said["score"]) & (np.ma.getdata(said["score"]) != 0)) | (said["label"] != ""))
    last = {number: bool(bad) for number, bad in zip(said["target_id"].numbers.tolist(), is_negative(said), strict=True)}
    rows = look.rows("scores")
    rows = rows.where((rows["scorer"] == "llmtower-judge") & (rows["status"] == "ok"))
    rows = rows.where(np.isin(rows["target_id"].numbers, said["target_id"].numbers))
    person = np.array([last[number] for number in rows["target_id"].numbers.tolist()], dtype=bool)
    return rows["weight"], rows["label"] == "bad", person


def judge_agreement(look: Look) -> Found:
    """By the delta method with slopes found numerically, where the panel has a formula."""
    weights, judges, people = _pairs(look)
    if not len(weights):
        return {}
    weight, size = float(weights.sum()), float(weights.sum() ** 2 / (weights**2).sum())
    cells = {
        (judge, person): float(weights[(judges == judge) & (people == person)].sum()) / weight for judge in (0, 1) for person in (0, 1)
    }

    def value(of: dict[tuple[int, int], float]) -> float:
        total = sum(of.values())
        judge, person = (of[1, 0] + of[1, 1]) / total, (of[0, 1] + of[1, 1]) / total
        chance = judge * person + (1 - judge) * (1 - person)
        return ((of[0, 0] + of[1, 1]) / total - chance) / (1 - chance)

    slopes = {key: (value({**cells, key: share + 1e-6}) - value({**cells, key: share - 1e-6})) / 2e-6 for key, share in cells.items()}
    mean = sum(slopes[key] * share for key, share in cells.items())
    spread = math.sqrt(sum(share * (slopes[key] - mean) ** 2 for key, share in cells.items()) / size)
    found = value(cells)
    ends = {name: Between(end - 1e-6, end + 1e-6) for name, end in (("low", found - 1.96 * spread), ("high", found + 1.96 * spread))}
    return {("judge_helpfulness", "1/m"): {"agreed": cells[0, 0] + cells[1, 1], "kappa": found, **ends, "sample": len(weights)}}


def latest_negative(look: Look) -> list[str]:
    rows = last_words(look.rows("feedback", time="at"))
    return _latest(rows.where(is_negative(rows)), "at")


def flagged(look: Look) -> list[str]:
    rows = _valued(both_homes(look, look.frame.start))
    bad = np.zeros(len(rows), dtype=bool)
    for name, is_bad in BAD.items():
        bad |= (rows["name"] == name) & np.ma.getdata(is_bad(rows["value"]))
    return _latest(rows.where(bad), "started_at")


def _latest(rows: Table, time: str) -> list[str]:
    """The hundred latest: of one moment by the texts of their ids (and by what was scored), like the panels."""
    newest = rows.take(np.argsort(-rows[time], kind="stable")[:200])
    listed = sorted(newest, key=lambda row: (-row[time], row["target_id"], row["name"]))
    return [row["target_id"] for row in listed][:100]
