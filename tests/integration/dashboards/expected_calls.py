"""What panels over calls must say: cost, latency, errors, prompts, models."""

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from tests.integration.dashboards.oracle import (
    Between,
    Found,
    Look,
    Values,
    at,
    cost,
    failed,
    floor,
    flow,
    grouped,
    percentile,
    priced,
    ratio_interval,
    seconds,
    share,
    total,
    unpriced,
    wilson,
)
from tests.integration.dashboards.pipeline import Row
from tests.integration.dashboards.world import SOUND, TOKENS

FINE_SUMS: Final = 86_400
FINE_DIGESTS: Final = 21_600
LEVELS: Final = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


def stat(value: Values) -> Found:
    return {(): value}


def compared_sum(look: Look, value: Callable[[Sequence[Row]], float], *, with_unpriced: bool = False) -> Found:
    rows = look.calls()
    before = [value(found) for days in look.back() if (found := look.shifted(days, hourly=False))]
    baseline = sum(before) / len(before) if before else None
    more = {"unpriced": unpriced(rows)} if with_unpriced else {}
    return stat({"value": value(rows), "baseline": baseline, **more, "sample": len(rows)})


def compared(look: Look, value: Callable[[Sequence[Row]], Any], sample: Callable[[Sequence[Row]], float], fine_s: int) -> Found:
    rows = look.calls(fine_s)
    before = [row for days in look.back() for row in look.shifted(days, hourly=True)]
    return stat({"value": value(rows), "baseline": value(before) if before else None, "sample": sample(rows)})


def _p95(column: str) -> Callable[[Sequence[Row]], Between | None]:
    return lambda rows: percentile(seconds(rows, column), 0.95)


def _streamed(rows: Sequence[Row]) -> int:
    return sum(row["stream"] for row in rows)


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
    since = floor(min(at(row["started_at"], 1) for row in recent), 3_600)
    pace = cost(recent) / max(3_600, (look.frame.end - since).total_seconds())
    values = {"value": cost(rows), "forecast": cost(rows) + pace * (following - look.frame.end).total_seconds()}
    return stat(values | {"unpriced": unpriced(rows), "unpriced_share": share(unpriced(rows), len(rows)), "sample": len(rows)})


def sums(rows: Sequence[Row]) -> Values:
    return {
        "cost": cost(rows),
        "calls": len(rows),
        "cost_per_call": share(cost(rows), priced(rows)),
        "cost_per_success": share(cost(rows), len(rows) - failed(rows)),
        "unpriced": unpriced(rows),
    }


def by_prompt(look: Look) -> Found:
    named = [row for row in look.calls() if row["prompt_name"]]
    return grouped(named, lambda row: (row["prompt_name"], row["prompt_version"]), sums)


def by_user(look: Look) -> Found:
    rows = look.rows("calls", floor(look.frame.start, 3_600))

    def figures(found: Sequence[Row]) -> Values:
        tokens = sum(total(found, name) for name in TOKENS)
        return {"cost": cost(found), "calls": len(found), "tokens": tokens, "unpriced": unpriced(found)}

    return grouped(rows, lambda row: (row["user_id"],), figures)


def by_session(look: Look) -> Found:
    rows = look.rows("calls", max(look.frame.start, look.frame.end - timedelta(hours=1)))

    def figures(found: Sequence[Row]) -> Values:
        moments = [row["started_at"] // 1_000_000 for row in found]
        return {
            "cost": cost(found) if priced(found) else None,
            "calls": len(found),
            "unpriced": unpriced(found),
            "minutes": (max(moments) - min(moments)) / 60,
        }

    return grouped(rows, lambda row: (row["session_id"],), figures)


def kinds(look: Look) -> Found:
    def figures(rows: Sequence[Row]) -> Values:
        lines = {name: total(rows, f"cost_{name}_nano_usd") / 1e9 / look.minutes() * 60 for name in ("input", "cache", "output", "fees")}
        return {**lines, "unpriced": unpriced(rows)}

    return look.by_time(lambda row: (), figures)


def tokens(look: Look) -> Found:
    names = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")
    return look.by_time(lambda row: (), lambda rows: {name: total(rows, name) / look.minutes() for name in names})


def savings(look: Look) -> Found:
    """Minutes (hours) of a model with an unpriced call in them are left out of what is compared."""
    fine = 60 if look.span.total_seconds() <= FINE_SUMS else 3_600
    cached = ("cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens")

    def figures(rows: Sequence[Row]) -> Values:
        kept = grouped(rows, lambda row: (at(row["started_at"], fine),), lambda found: {"rows": found})
        known = [found["rows"] for found in kept.values() if not unpriced(found["rows"])]
        plain = [row for found in known if not any(total(found, name) for name in SOUND) for row in found]
        compared = sum(total(found, name) for found in known for name in cached)
        paid = sum(total(found, "cost_cache_nano_usd") for found in known) / 1e9
        price = share(total(plain, "cost_input_nano_usd") / 1e9, total(plain, "input_tokens"))
        tokens = sum(total(rows, name) for name in cached)
        return {
            "saved": compared * price - paid if compared and price is not None else None,
            "cached": tokens,
            "paid": paid,
            "hit_ratio": share(total(rows, "cache_read_tokens"), tokens + total(rows, "input_tokens")),
            "unpriced": unpriced(rows),
        }

    return grouped(look.calls(), lambda row: (row["request_model"], row["provider"]), figures)


def unpriced_models(look: Look) -> Found:
    found = grouped(
        look.calls(),
        lambda row: (row["request_model"], row["provider"], row["app"]),
        lambda rows: {"unpriced": unpriced(rows), "calls": len(rows), "share": share(unpriced(rows), len(rows))},
    )
    return {key: values for key, values in found.items() if values["unpriced"]}


def percentiles(look: Look, values: Callable[[Sequence[Row]], list[float]]) -> Found:
    def figures(rows: Sequence[Row]) -> Values:
        return {name: percentile(values(rows), level, rank=0.02) for name, level in LEVELS.items()}

    return look.by_time(lambda row: (), figures, fine_s=FINE_DIGESTS)


def both(look: Look, key: Callable[[Row], tuple[Any, ...]]) -> Found:
    def figures(rows: Sequence[Row]) -> Values:
        return {
            "calls": len(rows),
            **{name: percentile(seconds(rows, "duration_us"), level) for name, level in LEVELS.items()},
            "ttft_p95": percentile(seconds(rows, "ttft_us"), 0.95),
            "token_time_p50": percentile(flow(rows), 0.5),
            "error_rate": failed(rows) / len(rows),
        }

    return grouped(look.calls(FINE_DIGESTS), key, figures)


def error_rate(look: Look) -> Found:
    def figures(rows: Sequence[Row]) -> Values:
        low, high = wilson(failed(rows), len(rows))
        return {"rate": failed(rows) / len(rows), "low": low, "high": high, "sample": len(rows)}

    return look.by_time(lambda row: (), figures)


def classes(look: Look) -> Found:
    return look.by_time(
        lambda row: (row["error_class"],), lambda rows: {"errors": len(rows) / look.minutes()}, keep=lambda row: row["status"] != "ok"
    )


def by_class(look: Look) -> Found:
    bad = [row for row in look.calls() if row["status"] != "ok"]
    return grouped(
        bad, lambda row: (row["error_class"], row["app"], row["request_model"], row["provider"]), lambda rows: {"errors": len(rows)}
    )


def headroom(look: Look, of: str) -> Found:
    column, wide = f"rate_limit_remaining_{of}", max(look.frame.interval_s, 60)
    rows = look.rows("calls", max(look.frame.start, look.frame.end - timedelta(hours=6)))
    told = [row for row in rows if row[column] is not None]
    return grouped(
        told,
        lambda row: (at(row["started_at"], wide), row["request_model"], row["provider"]),
        lambda found: {"left": min(row[column] for row in found)},
    )


def heat(look: Look, column: str) -> int:
    """How many calls all cells together hold."""
    return len(seconds(look.rows("calls", floor(look.frame.start, look.bucket_s(FINE_SUMS))), column))


def side_by_side(look: Look, key: Callable[[Row], tuple[Any, ...]], *, named: bool) -> Found:
    fine = 3_600 if look.span.total_seconds() > FINE_DIGESTS else 60

    def figures(rows: Sequence[Row]) -> Values:
        low, high = wilson(failed(rows), len(rows))
        buckets: Mapping[Any, Sequence[Row]] = {
            moment: [row for row in rows if at(row["started_at"], fine) == moment] for moment in {at(r["started_at"], fine) for r in rows}
        }
        money = ratio_interval([cost(found) for found in buckets.values()], [priced(found) for found in buckets.values()])
        words = ratio_interval(
            [total(found, "output_tokens") + total(found, "reasoning_tokens") for found in buckets.values()],
            [len(found) for found in buckets.values()],
        )
        values: Values = {"calls": len(rows), "error_rate": failed(rows) / len(rows), "error_rate_low": low, "error_rate_high": high}
        values |= {name: percentile(seconds(rows, "duration_us"), LEVELS[name]) for name in ("p50", "p95")}
        values["ttft_p95"] = percentile(seconds(rows, "ttft_us"), 0.95)
        for name, found in (("cost_per_call", money), ("tokens_per_call", words)):
            values |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
        return values | {"unpriced": unpriced(rows)}

    return grouped([row for row in look.calls(FINE_DIGESTS) if row["prompt_name"] or not named], key, figures)
