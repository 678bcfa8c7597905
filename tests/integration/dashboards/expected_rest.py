"""What panels over drift and the pipeline's books must say."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from tests.integration.dashboards.columns import Array, Row, Table, Words
from tests.integration.dashboards.expected_changes import before
from tests.integration.dashboards.oracle import (
    Found,
    Look,
    Values,
    at,
    bucket,
    floor,
    grouped,
    share,
    total,
)
from tests.integration.dashboards.pipeline import us

_SEGMENT: Final = ("app", "request_model", "prompt_name", "prompt_version", "direction", "metric", "window_minutes", "reference")


def _recent(look: Look) -> list[Row]:
    """The last verdict of each segment."""
    rows = look.rows("drift", max(look.frame.start, look.frame.end - timedelta(hours=1)), time="at")
    by = ("project", "environment", "embedder", *_SEGMENT)
    return [row for _, found in rows.groups(by) for row in found.take(np.array([np.argmax(found["at"])]))]


def drift_now(look: Look) -> Found:
    states = [row["status"] for row in _recent(look)]
    drifting, little = states.count("drift"), states.count("insufficient")
    return {(): {"value": drifting, "sample": len(states) - little, "insufficient": little}} if states else {}


def drift_ratio(look: Look) -> Found:
    return _drifted(look, lambda row: row["statistic"] / row["threshold"], "ratio")


def drift_mass(look: Look) -> Found:
    return _drifted(look, lambda row: row["moved"], "moved")


def _drifted(look: Look, figure: Callable[[Row], float], name: str) -> Found:
    """The worst of each bucket and segment."""
    rows = look.whole("drift", time="at")
    rows = rows.where(rows["status"] != "insufficient")
    by = (bucket("drift", "at", look.wide()), "app", spoken_metric(rows))
    return grouped(rows, by, lambda found: {name: max(map(figure, found))})


def spoken_metric(rows: Table) -> Words:
    """What drifts, and on which side."""
    return Words.of(f"{row['metric']} {row['direction']}" for row in rows)


def sessions(look: Look) -> Found:
    seconds = max(look.frame.interval_s, 3_600)
    rows = look.rows("drift_ranges", floor(look.frame.start, seconds), time="minute")

    def figures(found: Table) -> Values:
        calls = total(found, "session_calls")
        return {"value": calls / len({one for row in found for one in row["sessions"]}), "sample": calls}

    spoken = rows.where((rows["direction"] == "input") & (rows["session_calls"] > 0))
    return grouped(spoken, (bucket("drift_ranges", "minute", seconds), "app"), figures)


def hours_asked(look: Look) -> Found:
    end = floor(look.frame.end, 3_600)
    rows = look.rows("calls", end - timedelta(days=8), end)
    now = int((rows["started_at"] >= us(end - timedelta(days=1))).sum())

    def figures(found: Table) -> Values:
        late = int((found["started_at"] >= us(end - timedelta(days=1))).sum())
        return {"now": share(late, now), "usual": share(len(found) - late, len(rows) - now), "calls": late}

    of_day = rows["started_at"] // 3_600_000_000 % 24
    return {(f"{hour:02}:00",): values for (hour,), values in grouped(rows, (of_day,), figures).items()}


def drift_segments(look: Look) -> Found:
    """Of what is not judged for want of data, how much there is."""
    return {tuple(row[name] * (60 if name == "window_minutes" else 1) for name in _SEGMENT): _verdict(row) for row in _recent(look)}


def _verdict(row: Row) -> Values:
    figures = ("statistic", "threshold", "distance", "rank", "moved")
    unjudged = row["status"] == "insufficient"
    return {
        "status": row["status"],
        "reason": row["reason"],
        "ratio": share(row["statistic"], row["threshold"]),
        "texts": row["texts"],
        **{name: None if unjudged else row[name] for name in figures},
        "time": datetime.fromtimestamp(row["at"], UTC),
    }


def drift_alarms(look: Look) -> Found:
    """When a segment left its reference, and what had changed in that app."""
    rows = look.rows("drift", time="at")
    rows = rows.where(rows["status"] == "drift")

    def figures(found: Table) -> Values:
        began, last = (datetime.fromtimestamp(int(end), UTC) for end in (found["at"].min(), found["at"].max()))
        peak = float((found["statistic"] / found["threshold"]).max())
        coincided = before(look, found.first("app"), began)
        return {"time": began, "last": last, "minutes": len(np.unique(found["at"])), "peak": peak, "coincided": coincided}

    return grouped(rows, ("app", spoken_metric(rows)), figures)


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
        Table.of(rows),
        ("reason", "app"),
        lambda found: {"segments": len(found), "most_texts": max(row["texts"] for row in found)},
    )


def behaviour(look: Look, figure: Callable[[Table], float]) -> Found:
    seconds = look.bucket_s(86_400)
    rows = look.rows("drift_ranges", floor(look.frame.start, seconds), time="minute")
    by = (bucket("drift_ranges", "minute", seconds), "app")
    return grouped(rows.where(rows["direction"] == "output"), by, lambda found: {"value": figure(found)})


def vectorless(look: Look) -> Found:
    seconds = 60 if look.span.total_seconds() <= 86_400 else 3_600
    rows = look.rows("drift_ranges", floor(look.frame.start, seconds), time="minute")

    def figures(found: Table) -> Values:
        bad = total(found, "bad_vectors")
        last = at(int(found["minute"].max()) * 1_000_000, seconds)
        return {"bad": bad, "texts": bad + total(found, "texts"), "share": share(bad, bad + total(found, "texts")), "time": last}

    spoken = grouped(rows, ("app", "direction", "embedder"), figures)
    return {key: values for key, values in spoken.items() if values["bad"]}


def per_answer(column: str, without: str = "without_text") -> Callable[[Table], float]:
    return lambda rows: total(rows, column) / (total(rows, "calls") - total(rows, without))


def languages(look: Look) -> Found:
    seconds = look.bucket_s(86_400)
    rows = look.rows("drift_ranges", floor(look.frame.start, seconds), time="minute")
    minutes = max(look.frame.interval_s, 60) / 60
    by = (bucket("drift_ranges", "minute", seconds), "language")
    return grouped(rows.where(rows["direction"] == "input"), by, lambda found: {"texts": total(found, "texts") / minutes})


def mark(look: Look, figure: Callable[[Table], Array], over: Callable[[list[Any]], Any] = max) -> Found:
    """Of the last word on each project: the worst, or all together."""
    rows = look.rows("watermarks", time="at")
    last = [figure(found)[np.argmax(found["at"])] for _, found in rows.groups(("project",))]
    return {(): {"value": over(last).item()}} if last else {}


def mark_series(look: Look, figure: Callable[[Table], Array]) -> Found:
    by = (bucket("watermarks", "at", look.wide()), "project")
    return grouped(look.whole("watermarks", time="at"), by, lambda found: {"value": figure(found).max().item()})


def audits(look: Look) -> Found:
    """What the audits of each kind found wrong in the range."""
    rows = look.rows("audits", time="at")

    def figures(found: Table) -> Values:
        sums = {name: total(found, name) for name in ("found", "repaired")}
        last = datetime.fromtimestamp(int(found["at"].max()) / 1_000, UTC)
        return {"time": last, **sums, "hours": len(np.unique(found["hour"]))}

    return grouped(rows.where(rows["check"] != "audited_to"), ("check",), figures)


def letters(look: Look) -> Found:
    rows = look.rows("dead_letters", time="at")
    if not len(rows):
        return {}
    return {(): {"value": len(rows), "bytes": total(rows, "bytes"), "apps": len(np.unique(rows["app"].numbers))}}


def letters_by_reason(look: Look) -> Found:
    def figures(found: Table) -> Values:
        first, last = (datetime.fromtimestamp(end.item() / 1_000, UTC) for end in (found["at"].min(), found["at"].max()))
        return {"events": len(found), "first": first, "last": last}

    return grouped(look.rows("dead_letters", time="at"), ("app", "processor", "reason"), figures)


def letters_series(look: Look) -> Found:
    by = (bucket("dead_letters", "at", look.wide()), "reason")
    return grouped(look.whole("dead_letters", time="at"), by, lambda found: {"events": len(found)})


def stored(look: Look) -> Found:
    def figures(found: Table) -> Values:
        once, again = (total(found.where(found["duplicate"] == double), "count") for double in (0, 1))
        return {"stored": once / look.wide(), "doubles": again}

    return grouped(look.whole("ledger", time="minute"), (bucket("ledger", "minute", look.wide()), "processor"), figures)


def _cores(rows: Table) -> float:
    return total(rows, "cpu_s") / total(rows, "seconds")


def own_cpu(look: Look) -> Found:
    """What was used up to a bucket's end less what was used up to its start, over the time between; no longer than there were rows."""
    wide, found = look.wide() * 1_000, {}
    for (process,), rows in look.whole("own_cost", time="at").groups(("process",)):
        until = rows["at"].astype(float)
        since = until - rows["seconds"] * 1_000.0

        def used(moment: float, rows: Table = rows, since: Array = since, until: Array = until) -> float:
            return float((rows["cpu_s"] * np.clip((moment - since) / (until - since), 0, 1)).sum())

        first = floor(look.frame.start, look.wide()).timestamp() * 1_000
        for start in np.arange(max(first, since.min() // wide * wide), until.max(), wide):
            low, high = max(start, since.min()), min(start + wide, until.max())
            time = datetime.fromtimestamp(start / 1_000, UTC)
            found[time, process] = {"cores": (used(high) - used(low)) / ((high - low) / 1_000)}
    return found


def own_cost(look: Look) -> Found:
    def figures(found: Table) -> Values:
        failed = total(found, "failed_queries") if found.first("process") == "clickhouse" else None
        last = datetime.fromtimestamp(found["at"].max().item() / 1_000, UTC)
        return {"time": last, "cores": _cores(found), "memory": int(found["memory_bytes"].max()), "failed": failed}

    return grouped(look.rows("own_cost", time="at"), ("process", "instance"), figures)
