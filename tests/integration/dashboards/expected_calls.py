"""What panels over calls must say: cost, latency, errors, prompts, models."""

import math
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from tests.integration.dashboards.columns import Array, Bucket, By, Table, known
from tests.integration.dashboards.columns import joined as stacked
from tests.integration.dashboards.oracle import (
    Between,
    Found,
    Look,
    OneOf,
    Values,
    at,
    cost,
    failed,
    floor,
    flow,
    grouped,
    moment,
    percentile,
    priced,
    ratio_interval,
    seconds,
    share,
    total,
    unpriced,
    wilson,
)
from tests.integration.dashboards.pipeline import us
from tests.integration.dashboards.world import SOUND, TOKENS

FINE_SUMS: Final = 86_400
FINE_DIGESTS: Final = 21_600
LEVELS: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def stat(value: Values) -> Found:
    return {(): value}


def compared_sum(look: Look, value: Callable[[Table], float], *, with_unpriced: bool = False) -> Found:
    rows = look.calls()
    before = [value(found) for days in look.back() if len(found := look.shifted(days, hourly=False))]
    baseline = sum(before) / len(before) if before else None
    more = {"unpriced": unpriced(rows)} if with_unpriced else {}
    return stat({"value": value(rows), "baseline": baseline, **more, "sample": len(rows)})


def compared(look: Look, value: Callable[[Table], Any], sample: Callable[[Table], float], fine_s: int) -> Found:
    rows = look.calls(fine_s)
    before = stacked(*(look.shifted(days, hourly=True) for days in look.back()))
    return stat({"value": value(rows), "baseline": value(before) if len(before) else None, "sample": sample(rows)})


def _p95(column: str) -> Callable[[Table], Between | None]:
    return lambda rows: percentile(seconds(rows, column), 0.95)


def _streamed(rows: Table) -> int:
    return int(rows["stream"].sum())


def unpriced_share(look: Look) -> Found:
    found = compared(look, lambda rows: share(unpriced(rows), len(rows)), len, FINE_SUMS)
    found[()]["unpriced"] = unpriced(look.calls())
    return found


def today(look: Look) -> Found:
    day = floor(look.frame.end - timedelta(seconds=1), 86_400)
    rows = look.rows("calls", day)
    last = look.rows("calls", look.frame.end - timedelta(days=1))
    left = 86_400 - (look.frame.end - day).total_seconds()
    forecast = cost(rows) + cost(last) / 86_400 * left
    return stat({"value": cost(rows), "forecast": forecast, "unpriced": unpriced(rows), "sample": len(rows)})


def month(look: Look) -> Found:
    first = (look.frame.end - timedelta(seconds=1)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    rows, recent = look.rows("calls", first), look.rows("calls", look.frame.end - timedelta(days=7))
    following = (first + timedelta(days=32)).replace(day=1)
    since = at(int(recent["started_at"].min()), 3_600)
    pace = cost(recent) / max(3_600, (look.frame.end - since).total_seconds())
    values = {"value": cost(rows), "forecast": cost(rows) + pace * (following - look.frame.end).total_seconds()}
    return stat(values | {"unpriced": unpriced(rows), "unpriced_share": share(unpriced(rows), len(rows)), "sample": len(rows)})


def sums(rows: Table) -> Values:
    return {
        "cost": cost(rows),
        "calls": len(rows),
        "cost_per_call": share(cost(rows), priced(rows)),
        "cost_per_success": share(cost(rows), len(rows) - failed(rows)),
        "unpriced": unpriced(rows),
    }


def by_prompt(look: Look) -> Found:
    rows = look.calls()
    return grouped(rows.where(rows["prompt_name"] != ""), ("prompt_name", "prompt_version"), sums)


def by_user(look: Look) -> Found:
    rows = look.rows("calls", floor(look.frame.start, 3_600))

    def figures(found: Table) -> Values:
        tokens = sum(total(found, name) for name in TOKENS)
        return {"cost": cost(found), "calls": len(found), "tokens": tokens, "unpriced": unpriced(found)}

    return grouped(rows, ("user_id",), figures)


def by_session(look: Look) -> Found:
    rows = look.rows("calls", max(look.frame.start, look.frame.end - timedelta(hours=1)))

    def figures(found: Table) -> Values:
        moments = found["started_at"] // 1_000_000
        return {
            "cost": cost(found) if priced(found) else None,
            "calls": len(found),
            "unpriced": unpriced(found),
            "minutes": int(moments.max() - moments.min()) / 60,
            "user": OneOf(frozenset(found["user_id"].plain())),
            "app": OneOf(frozenset(found["app"].plain())),
        }

    return grouped(rows, ("session_id",), figures)


def kinds(look: Look) -> Found:
    def figures(rows: Table) -> Values:
        lines = {name: total(rows, f"cost_{name}_nano_usd") / 1e9 / look.minutes() * 60 for name in ("input", "cache", "output", "fees")}
        return {**lines, "unpriced": unpriced(rows)}

    return look.by_time((), figures)


def tokens(look: Look) -> Found:
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")
    return look.by_time((), lambda rows: {name: total(rows, name) / look.minutes() for name in names})


def savings(look: Look) -> Found:
    """Minutes (hours) of a model with an unpriced call in them are left out of what is compared."""
    fine = 60 if look.span.total_seconds() <= FINE_SUMS else 3_600
    cached = ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")

    def figures(rows: Table) -> Values:
        whole = [found for _, found in rows.groups((Bucket("started_at", fine),)) if not unpriced(found)]
        plain = [found for found in whole if not any(total(found, name) for name in SOUND)]
        compared = sum(total(found, name) for found in whole for name in cached)
        paid = sum(total(found, "cost_cache_nano_usd") for found in whole) / 1e9
        price = share(
            sum(total(found, "cost_input_nano_usd") for found in plain) / 1e9, sum(total(found, "input_tokens") for found in plain)
        )
        tokens = sum(total(rows, name) for name in cached)
        return {
            "saved": compared * price - paid if compared and price is not None else None,
            "cached": tokens,
            "paid": paid,
            "hit_ratio": share(total(rows, "cache_read_tokens"), tokens + total(rows, "input_tokens")),
            "unpriced": unpriced(rows),
        }

    return grouped(look.calls(), ("request_model", "provider"), figures)


def unpriced_models(look: Look) -> Found:
    found = grouped(
        look.calls(),
        ("request_model", "provider", "app"),
        lambda rows: {"unpriced": unpriced(rows), "calls": len(rows), "share": share(unpriced(rows), len(rows))},
    )
    return {key: values for key, values in found.items() if values["unpriced"]}


def percentiles(look: Look, values: Callable[[Table], Array]) -> Found:
    def figures(rows: Table) -> Values:
        return {name: percentile(values(rows), level) for name, level in LEVELS.items()}

    return look.by_time((), figures, fine_s=FINE_DIGESTS)


def both(look: Look, key: Sequence[By]) -> Found:
    def figures(rows: Table) -> Values:
        return {
            "calls": len(rows),
            **{name: percentile(seconds(rows, "duration_us"), level) for name, level in LEVELS.items()},
            "ttft_p95": percentile(seconds(rows, "ttft_us"), 0.95),
            "token_time_p50": percentile(flow(rows), 0.5),
            "error_rate": failed(rows) / len(rows),
        }

    return grouped(look.calls(FINE_DIGESTS), key, figures)


def error_rate(look: Look) -> Found:
    def figures(rows: Table) -> Values:
        low, high = wilson(failed(rows), len(rows))
        return {"rate": failed(rows) / len(rows), "low": low, "high": high, "sample": len(rows)}

    return look.by_time((), figures)


def classes(look: Look) -> Found:
    return look.by_time(("error_class",), lambda rows: {"errors": len(rows) / look.minutes()}, keep=lambda rows: rows["status"] != "ok")


def by_class(look: Look) -> Found:
    rows = look.calls()
    bad = rows.where(rows["status"] != "ok")
    return grouped(bad, ("error_class", "app", "request_model", "provider"), lambda found: {"errors": len(found)})


def headroom(look: Look, of: str) -> Found:
    column, wide = f"rate_limit_remaining_{of}", max(look.frame.interval_s, 60)
    rows = look.rows("calls", max(look.frame.start, look.frame.end - timedelta(hours=6)))
    told = rows.where(known(rows[column]))
    return grouped(told, (Bucket("started_at", wide), "request_model", "provider"), lambda found: {"left": int(found[column].min())})


def heat(look: Look, column: str) -> Found:
    """Calls per cell: half a power of two high."""
    rows = look.rows("calls", floor(look.frame.start, look.bucket_s(FINE_SUMS)))
    rows = rows.where(known(rows[column]))
    cell = np.floor(4 * np.log2(np.ma.getdata(rows[column]))).astype(np.int64) // 2
    found = grouped(rows, (Bucket("started_at", look.bucket_s(FINE_SUMS)), cell), lambda cells: {"calls": len(cells)})
    starts = {number: 2.0 ** (number / 2) / 1e6 for _, number in found}
    return {(moment, starts[number]): {"bucket_end": starts[number] * 2**0.5, **values} for (moment, number), values in found.items()}


def speed(look: Look) -> Found:
    rows = look.calls(FINE_DIGESTS)
    middle = percentile(flow(rows), 0.5)
    return stat({"value": middle and Between(1 / middle.high, 1 / middle.low), "sample": _streamed(rows)})


def hung(look: Look) -> Found:
    """Begun in the last three hours, waiting beyond their own limit or five minutes, and never ended; the first hundred."""
    rows = look.rows("requests", max(look.frame.start, look.frame.end - timedelta(hours=3)))
    waited = us(look.frame.end) // 1_000_000 - rows["started_at"] // 1_000_000
    limit = np.ma.filled(rows["timeout_ms"], 300_000) / 1_000
    lost = rows.where((waited > limit) & ~np.isin(rows["call_id"].numbers, look.world["calls"]["call_id"].numbers))
    first = lost.take(np.lexsort((lost["call_id"].numbers, lost["started_at"]))[:100])
    same = {"app": "app", "model": "request_model", "provider": "provider", "user": "user_id"}
    return {
        (str(row["call_id"]),): {
            "time": moment(row["started_at"]),
            "waiting": us(look.frame.end) // 1_000_000 - row["started_at"] // 1_000_000,
            "timeout": None if row["timeout_ms"] is None else row["timeout_ms"] / 1_000,
            **{name: row[column] for name, column in same.items()},
        }
        for row in first
    }


def seen(look: Look) -> Found:
    """First and last hour of each version before the end of the range."""
    rows = look.rows("calls", datetime.fromtimestamp(0, UTC))

    def hours(found: Table) -> Values:
        first, last = (at(int(moment), 3_600) for moment in (found["started_at"].min(), found["started_at"].max()))
        return {"first": first, "last": last, "calls": len(found)}

    return grouped(rows.where(rows["prompt_name"] != ""), ("prompt_name", "prompt_version"), hours)


def _ends(values: Array, level: float) -> tuple[Between | None, Between | None]:
    """The interval of a percentile by order statistics, read in steps of half a percent; unknown where an end lies beyond what is read."""
    half = 1.96 * math.sqrt(level * (1 - level) / len(values))
    low, high = math.floor((level - half) * 200) / 200, math.ceil((level + half) * 200) / 200
    return percentile(values, low) if low >= 0.3 else None, percentile(values, high) if high <= 0.995 else None


def side_by_side(look: Look, key: Sequence[By], *, named: bool) -> Found:
    fine = 3_600 if look.span.total_seconds() > FINE_DIGESTS else 60

    def figures(rows: Table) -> Values:
        low, high = wilson(failed(rows), len(rows))
        buckets = [found for _, found in rows.groups((Bucket("started_at", fine),))]
        money = ratio_interval([cost(found) for found in buckets], [priced(found) for found in buckets])
        words = ratio_interval(
            [total(found, "output_tokens") + total(found, "reasoning_tokens") for found in buckets], [len(found) for found in buckets]
        )
        values: Values = {"calls": len(rows), "error_rate": failed(rows) / len(rows), "error_rate_low": low, "error_rate_high": high}
        times = seconds(rows, "duration_us")
        for name in ("p50", "p95"):
            ends = _ends(times, LEVELS[name])
            values |= dict(zip((name, f"{name}_low", f"{name}_high"), (percentile(times, LEVELS[name]), *ends), strict=True))
        values["ttft_p95"] = percentile(seconds(rows, "ttft_us"), 0.95)
        for name, found in (("cost_per_call", money), ("tokens_per_call", words)):
            values |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
        return values | {"unpriced": unpriced(rows)}

    rows = look.calls(FINE_DIGESTS)
    return grouped(rows.where(rows["prompt_name"] != "") if named else rows, key, figures)
