"""What panels over scores, feedback, drift, the pipeline's books and single calls must say."""

import math
import statistics
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from tests.integration.dashboards.oracle import Between, Found, Look, Values, at, floor, grouped, share, weighted, weighted_as_one, wilson
from tests.integration.dashboards.pipeline import Row, us

BAD: Final[dict[str, Callable[[float], bool]]] = {
    "toxicity": lambda value: value >= 0.5,
    "pii": lambda value: value >= 0.5,
    "injection": lambda value: value >= 0.5,
    "refusal": lambda value: value >= 0.5,
    "groundedness": lambda value: value < 0.5,
    "relevance": lambda value: value < 0.5,
}


def wide(look: Look) -> int:
    """Seconds of a bucket of single events."""
    return max(look.frame.interval_s, 60)


def whole(look: Look, table: str, *, time: str = "started_at") -> list[Row]:
    """Rows of the range, whole buckets."""
    return look.rows(table, floor(look.frame.start, wide(look)), time=time)


def scores(look: Look, seconds: int = 0) -> list[Row]:
    """Scores of both homes, one a row, from the start of the bucket that the range begins in."""
    start = floor(look.frame.start, seconds) if seconds else look.start()
    return [*look.rows("scores", start), *(score for row in look.rows("call_scores", start) for score in _single(row))]


def _single(row: Row) -> Sequence[Row]:
    """The scores of one call."""
    arrays = {"name": "names", "value": "score_values", "weight": "weights", "status": "statuses", "reason": "reasons", "scorer": "scorers"}
    arrays["scorer_version"] = "scorer_versions"
    count = len(row["names"])
    return [row | {"target_id": str(row["call_id"])} | {n: row[c][i] for n, c in arrays.items()} for i in range(count)]


def score_now(look: Look, name: str) -> Found:
    rows = [row for row in scores(look) if row["name"] == name and row["value"] is not None]
    if not rows:
        return {}
    found = weighted(rows, BAD[name])
    return {(): {"value": found.pop("rate"), **found}}


def score_series(look: Look, name: str) -> Found:
    rows = [row for row in scores(look, look.bucket_s(86_400)) if row["name"] == name and row["value"] is not None]
    return grouped(rows, lambda row: (at(row["started_at"], look.bucket_s(86_400)),), lambda found: weighted(found, BAD[name]))


def scores_by(look: Look, *columns: str) -> Found:
    rows = [row for row in scores(look) if row["name"] in BAD and row["value"] is not None]
    return grouped(
        rows, lambda row: (*(row[column] for column in columns), row["name"]), lambda found: weighted(found, BAD[found[0]["name"]])
    )


def unscored(look: Look) -> Found:
    rows = scores(look)
    bad = [row for row in rows if row["status"] != "ok"]

    def figures(found: Sequence[Row]) -> Values:
        alike = [row for row in rows if (row["name"], row["scorer"]) == (found[0]["name"], found[0]["scorer"])]
        return {"events": len(found), "share": len(found) / len(alike)}

    return grouped(bad, lambda row: (row["name"], row["scorer"], row["status"], row["reason"]), figures)


def scorers(look: Look) -> Found:
    rows = [row for row in scores(look) if row["value"] is not None]
    return grouped(
        rows,
        lambda row: (row["name"], row["scorer"], row["scorer_version"]),
        lambda found: {"scored": len(found), "stood": sum(row["weight"] for row in found)},
    )


def score_means(look: Look) -> Found:
    rows = [row for row in scores(look, look.bucket_s(86_400)) if row["value"] is not None and row["name"] != "retrieval_score"]

    def figures(found: Sequence[Row]) -> Values:
        mean = sum(row["weight"] * row["value"] for row in found) / sum(row["weight"] for row in found)
        return {"mean": mean, "sample": len(found)}

    return grouped(rows, lambda row: (at(row["started_at"], look.bucket_s(86_400)), row["name"]), figures)


def retrieval(look: Look) -> Found:
    names = ("retrieval_empty", "retrieval_score")
    rows = [row for row in scores(look, look.bucket_s(86_400)) if row["name"] in names and row["value"] is not None]

    def figures(found: Sequence[Row]) -> Values:
        empty, best = ([row["value"] for row in found if row["name"] == name] for name in names)
        return {"empty": share(sum(empty), len(empty)), "best": share(sum(best), len(best)), "age": None, "sample": len(found)}

    return grouped(rows, lambda row: (at(row["started_at"], look.bucket_s(86_400)),), figures)


def mean_score(found: Sequence[Row]) -> Values:
    """The weighted mean with its interval, which ten scores at least have."""
    weight = sum(row["weight"] for row in found)
    mean = sum(row["weight"] * row["value"] for row in found) / weight
    half = 1.96 * sum((row["weight"] * (row["value"] - mean)) ** 2 for row in found) ** 0.5 / weight
    low, high = (Between(end - 1e-7, end + 1e-7) for end in (mean - half, mean + half))
    ends = {"low": None, "high": None} if len(found) < 10 else {"low": low, "high": high}
    return {"scored": len(found), "mean": mean, **ends}


def scores_by_version(look: Look) -> Found:
    rows = [row for row in scores(look) if row["value"] is not None]
    return grouped(rows, lambda row: (row["prompt_name"], row["prompt_version"], row["name"]), mean_score)


def last_words(rows: Sequence[Row]) -> list[Row]:
    said: dict[Any, Row] = {}
    for row in sorted(rows, key=lambda row: row["at"]):
        said[row["app"], row["target_id"], row["user_id"], row["name"]] = row
    return list(said.values())


def is_negative(row: Row) -> bool:
    return bool((row["score"] is not None and row["score"] < 0) or row["label"] == "bad")


def negative(rows: Sequence[Row]) -> Values:
    bad = sum(map(is_negative, rows))
    low, high = wilson(bad, len(rows))
    return {"rate": bad / len(rows), "low": low, "high": high, "sample": len(rows)}


def feedback_now(look: Look) -> Found:
    rows = last_words(look.rows("feedback", time="at"))
    if not rows:
        return {}
    found = negative(rows)
    return {(): {"value": found.pop("rate"), **found, "share": share(len({row["target_id"] for row in rows}), len(look.calls()))}}


def feedback_series(look: Look) -> Found:
    made = look.by_time(lambda row: (), lambda rows: {"calls": len(rows)})

    def figures(rows: Sequence[Row]) -> Values:
        calls = made.get((at(rows[0]["at"], wide(look)),), {}).get("calls", 0)
        return negative(rows) | {"share": share(len({row["target_id"] for row in rows}), calls)}

    return grouped(last_words(whole(look, "feedback", time="at")), lambda row: (at(row["at"], wide(look)),), figures)


def feedback_share(look: Look) -> Found:
    answers, calls = len({row["target_id"] for row in look.rows("feedback", time="at")}), len(look.calls())
    return {(): {"value": answers / calls, "answers": answers, "made": calls}} if calls else {}


def feedback_by_app(look: Look) -> Found:
    calls = look.calls()

    def figures(found: Sequence[Row]) -> Values:
        made = sum(row["app"] == found[0]["app"] for row in calls)
        return negative(found) | {"share": share(len({row["target_id"] for row in found}), made)}

    return grouped(last_words(look.rows("feedback", time="at")), lambda row: (row["app"], row["name"]), figures)


def _money(rows: Sequence[Row]) -> Values:
    last = max(rows, key=lambda row: row["at"])
    return {"spent": last["spent_nano_usd"] / 1e9, "budget": last["budget_nano_usd"] / 1e9}


def judge_budget(look: Look) -> Found:
    rows = look.rows("judge_rounds", time="at")
    if not rows:
        return {}
    money = _money(rows)
    return {(): {"value": money["spent"] / money["budget"], **money}}


def judge_rounds(look: Look) -> Found:
    return grouped(whole(look, "judge_rounds", time="at"), lambda row: (at(row["at"] * 1_000, wide(look)),), _money)


def judge_rates(look: Look) -> Found:
    rows = [row for row in look.rows("scores") if row["scorer"] == "llmtower-judge"]
    return grouped(
        rows,
        lambda row: (row["app"], row["name"]),
        lambda found: weighted_as_one(found, lambda value: value < 0.5) | {"failed": sum(row["status"] != "ok" for row in found)},
    )


def judge_agreement(look: Look) -> Found:
    """By the delta method with slopes found numerically, where the panel has a formula."""
    answers = {row["response_id"]: str(row["call_id"]) for row in look.world["calls"]}
    said = {answers.get(row["target_id"], row["target_id"]): row for row in last_words(look.world["feedback"])}
    pairs = []
    for row in look.rows("scores"):
        word = said.get(row["target_id"])
        if row["scorer"] == "llmtower-judge" and row["status"] == "ok" and word is not None and (word["score"] or word["label"]):
            pairs.append((row["weight"], row["label"] == "bad", is_negative(word)))
    if not pairs:
        return {}
    weight, size = sum(one[0] for one in pairs), sum(one[0] for one in pairs) ** 2 / sum(one[0] ** 2 for one in pairs)
    cells = {(judge, person): sum(w for w, j, p in pairs if (j, p) == (judge, person)) / weight for judge in (0, 1) for person in (0, 1)}

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
    return {("judge_helpfulness", "1/m"): {"agreed": cells[0, 0] + cells[1, 1], "kappa": found, **ends, "sample": len(pairs)}}


def latest_negative(look: Look) -> list[str]:
    rows = [row for row in last_words(look.rows("feedback", time="at")) if is_negative(row)]
    return [row["target_id"] for row in sorted(rows, key=lambda row: (-row["at"], row["target_id"]))][:100]


def flagged(look: Look) -> list[str]:
    single = [*look.rows("scores"), *(score for row in look.rows("call_scores") for score in _single(row))]
    rows = [row for row in single if row["name"] in BAD and row["value"] is not None and BAD[row["name"]](row["value"])]
    return [row["target_id"] for row in sorted(rows, key=lambda row: (-row["started_at"], row["target_id"], row["name"]))][:100]


def _recent(look: Look) -> list[Row]:
    """The last verdict of each segment."""
    last: dict[Any, Row] = {}
    for row in sorted(
        look.rows("drift", max(look.frame.start, look.frame.end - timedelta(hours=1)), time="at"), key=lambda row: int(row["at"])
    ):
        last[row["app"], row["metric"]] = row
    return list(last.values())


def drift_now(look: Look) -> Found:
    states = [row["status"] for row in _recent(look)]
    drifting, little = states.count("drift"), states.count("insufficient")
    return {(): {"value": drifting, "sample": len(states) - little, "insufficient": little}} if states else {}


def drift_ratio(look: Look) -> Found:
    rows = [row for row in whole(look, "drift", time="at") if row["status"] != "insufficient"]
    return grouped(
        rows,
        lambda row: (at(row["at"] * 1_000_000, wide(look)), row["app"], f"{row['metric']} {row['direction']}"),
        lambda found: {"ratio": max(row["statistic"] / row["threshold"] for row in found)},
    )


def drift_mass(look: Look) -> Found:
    rows = [row for row in whole(look, "drift", time="at") if row["status"] != "insufficient"]
    return grouped(
        rows,
        lambda row: (at(row["at"] * 1_000_000, wide(look)), row["app"], f"{row['metric']} {row['direction']}"),
        lambda found: {"moved": max(row["moved"] for row in found)},
    )


def sessions(look: Look) -> Found:
    seconds = max(look.frame.interval_s, 3_600)
    rows = look.rows("drift_ranges", floor(look.frame.start, seconds), time="minute")

    def figures(found: Sequence[Row]) -> Values:
        calls = sum(row["session_calls"] for row in found)
        return {"value": calls / len({one for row in found for one in row["sessions"]}), "sample": calls}

    spoken = [row for row in rows if row["direction"] == "input" and row["session_calls"]]
    return grouped(spoken, lambda row: (at(row["minute"] * 1_000_000, seconds), row["app"]), figures)


def hours_asked(look: Look) -> Found:
    end = floor(look.frame.end, 3_600)
    rows = look.rows("calls", end - timedelta(days=8), end)
    before = [row for row in rows if row["started_at"] < us(end - timedelta(days=1))]
    now = len(rows) - len(before)

    def figures(found: Sequence[Row]) -> Values:
        late = sum(row["started_at"] >= us(end - timedelta(days=1)) for row in found)
        return {"now": share(late, now), "usual": share(len(found) - late, len(before)), "calls": late}

    return grouped(rows, lambda row: (f"{at(row['started_at'], 3_600):%H}:00",), figures)


def drift_segments(look: Look) -> Found:
    return {
        (row["app"], row["metric"]): {
            "status": row["status"],
            "reason": row["reason"],
            "ratio": share(row["statistic"], row["threshold"]),
            "texts": row["texts"],
            "moved": row["moved"],
            "window": 3_600,
            "time": datetime.fromtimestamp(row["at"], UTC),
        }
        for row in _recent(look)
    }


def drift_alarms(look: Look) -> Found:
    rows = [row for row in look.rows("drift", time="at") if row["status"] == "drift"]

    def figures(found: Sequence[Row]) -> Values:
        began, last = (datetime.fromtimestamp(pick(row["at"] for row in found), UTC) for pick in (min, max))
        changed = [
            f"deploy version {row['version']}"
            for row in sorted(look.rows("deploys", time="at"), key=lambda row: -int(row["at"]))
            if row["app"] == found[0]["app"] and row["at"] <= us(began)
        ]
        peak = max(row["statistic"] / row["threshold"] for row in found)
        return {"time": began, "last": last, "minutes": len(found), "peak": peak, "deploys": changed}

    return grouped(rows, lambda row: (row["app"], f"{row['metric']} {row['direction']}"), figures)


def drift_why(look: Look) -> Found:
    found: Found = {}
    for row in look.rows("drift_explanations", time="at"):
        mix = [f"{what} {value} {100 * before:.0f} → {100 * now:.0f} %" for what, value, before, now in row["shares"]]
        lengths = [f"characters {row['characters_before']:.0f} → {row['characters_now']:.0f}"] if row["characters_before"] else []
        why = "; ".join([*lengths, *mix, *(f"deployed {one}" for one in row["deploys"])])
        for call in row["examples"] or [""]:
            found[datetime.fromtimestamp(row["at"], UTC), call] = {
                "app": row["app"],
                "model": row["request_model"],
                "version": row["prompt_version"],
                "direction": row["direction"],
                "moved": row["moved"],
                "metric": row["metric"],
                "why": why,
            }
    return found


def unjudged(look: Look) -> Found:
    rows = [row for row in _recent(look) if row["status"] == "insufficient"]
    return grouped(
        rows,
        lambda row: (row["reason"], row["app"]),
        lambda found: {"segments": len(found), "most_texts": max(row["texts"] for row in found)},
    )


def behaviour(look: Look, figure: Callable[[Sequence[Row]], float]) -> Found:
    seconds = look.bucket_s(86_400)
    rows = [r for r in look.rows("drift_ranges", floor(look.frame.start, seconds), time="minute") if r["direction"] == "output"]
    return grouped(rows, lambda row: (at(row["minute"] * 1_000_000, seconds), row["app"]), lambda found: {"value": figure(found)})


def per_answer(column: str, without: str = "without_text") -> Callable[[Sequence[Row]], float]:
    return lambda rows: sum(row[column] for row in rows) / sum(row["calls"] - row[without] for row in rows)


def languages(look: Look) -> Found:
    seconds = look.bucket_s(86_400)
    rows = [r for r in look.rows("drift_ranges", floor(look.frame.start, seconds), time="minute") if r["direction"] == "input"]
    minutes = max(look.frame.interval_s, 60) / 60
    return grouped(
        rows,
        lambda row: (at(row["minute"] * 1_000_000, seconds), row["language"]),
        lambda found: {"texts": sum(row["texts"] for row in found) / minutes},
    )


def _behind(row: Row) -> float:
    return float(row["at"] * 1_000 - row["watermark"]) / 1e6


def mark(look: Look, figure: Callable[[Row], float]) -> Found:
    rows = look.rows("watermarks", time="at")
    return {(): {"value": figure(max(rows, key=lambda row: int(row["at"])))}} if rows else {}


def mark_series(look: Look, figure: Callable[[Row], float]) -> Found:
    return grouped(
        whole(look, "watermarks", time="at"),
        lambda row: (at(row["at"] * 1_000, wide(look)), row["project"]),
        lambda found: {"value": max(map(figure, found))},
    )


def letters(look: Look) -> Found:
    rows = look.rows("dead_letters", time="at")
    if not rows:
        return {}
    return {(): {"value": len(rows), "bytes": sum(row["bytes"] for row in rows), "apps": len({row["app"] for row in rows})}}


def letters_by_reason(look: Look) -> Found:
    def figures(found: Sequence[Row]) -> Values:
        moments = [datetime.fromtimestamp(row["at"] / 1_000, UTC) for row in found]
        return {"events": len(found), "first": min(moments), "last": max(moments)}

    return grouped(look.rows("dead_letters", time="at"), lambda row: (row["app"], row["processor"], row["reason"]), figures)


def letters_series(look: Look) -> Found:
    rows = whole(look, "dead_letters", time="at")
    return grouped(rows, lambda row: (at(row["at"] * 1_000, wide(look)), row["reason"]), lambda found: {"events": len(found)})


def stored(look: Look) -> Found:
    def figures(found: Sequence[Row]) -> Values:
        once, again = (sum(row["count"] for row in found if bool(row["duplicate"]) is double) for double in (False, True))
        return {"stored": once / wide(look), "doubles": again}

    return grouped(whole(look, "ledger", time="minute"), lambda row: (at(row["minute"] * 1_000_000, wide(look)), row["processor"]), figures)


def median(values: Sequence[float]) -> float:
    """The lower of the two in the middle."""
    return statistics.median_low(sorted(values))
