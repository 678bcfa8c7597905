"""What caches save, and what has no price."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel, Threshold
from llmtower_dashboards.panels.common import APP, CALLS, MODEL, PROVIDER, UNPRICED, only
from llmtower_dashboards.panels.sql import OF_ROLLUPS, Resolution, aliased, filters, grouped, metric, resolutions, select

_UNPRICED: Final = "sum(unpriced_calls)"
_SUMMED: Final = {
    "cached": "sum(cache_read_tokens + cache_write_tokens + cache_write_1h_tokens)",
    "read": "sum(cache_read_tokens)",
    "plain": "sum(input_tokens)",
    "other": "sum(audio_input_tokens + image_input_tokens)",
    "paid": "sum(cost_cache_nano_usd)",
    "input": "sum(cost_input_nano_usd)",
    "unpriced": "sum(unpriced_calls)",
}
_KEYS: Final = {"model": "request_model", "provider": "provider"}
_PRICED: Final = "unpriced_ = 0"


def _savings() -> str:
    """Per model: the price of an uncached token times the cached ones, less what they cost.

    Minutes (hours) of a model with an unpriced call are left out of what is compared, and those with sound or images out of the price.
    They are added up first: how many rows of a rollup make one is up to merges.
    """

    def build(of: Resolution) -> str:
        return select({"time": of.time, **_KEYS, **_SUMMED}, of.table, f"{of.within()} AND {filters(OF_ROLLUPS)}", ["time", *_KEYS])

    inner = {
        "cached": "sum(cached_)",
        "compared": f"sumIf(cached_, {_PRICED})",
        "paid": f"sumIf(paid_, {_PRICED}) / 1e9",
        "price": f"sumIf(input_, {_PRICED} AND other_ = 0) / 1e9 / nullIf(sumIf(plain_, {_PRICED} AND other_ = 0), 0)",
        "hit_ratio": "sum(read_) / nullIf(sum(cached_ + plain_), 0)",
        "unpriced": "sum(unpriced_)",
    }
    summed = f"SELECT model_, provider_, {aliased({f'all_{name}': sql for name, sql in inner.items()})}\nFROM (\n{resolutions(build)}\n)"
    shown = {"model": "model_", "provider": "provider_", "saved": "if(all_compared > 0, all_compared * all_price - all_paid, NULL)"}
    head = aliased({**shown, **{name: f"all_{name}" for name in ("cached", "paid", "hit_ratio", "unpriced")}})
    return (
        f"SELECT {head}\nFROM (\n{summed}\nGROUP BY model_, provider_\n)\n"
        "WHERE all_cached > 0\nORDER BY saved DESC NULLS LAST, model\nLIMIT 20"
    )


SAVINGS = Panel(
    name="cost_cache_savings",
    title="What caches save",
    question="What would the cached tokens have cost as uncached input, less what they did cost (writing to the cache included)?",
    kind="table",
    unit="usd",
    sql=_savings(),
    columns=(
        MODEL,
        PROVIDER,
        Column("saved", "Saved", "usd"),
        Column("cached", "Cached tokens", "tokens"),
        Column("paid", "Paid for them", "usd"),
        Column("hit_ratio", "Read from cache", "ratio"),
        UNPRICED,
    ),
    no_data="No cached tokens in this range. A saving that is unknown: no priced uncached input of that model to compare with.",
    worse="down",
    variables=OF_ROLLUPS,
    calls=only("cached"),
)
UNPRICED_MODELS = Panel(
    name="cost_unpriced",
    title="Unpriced calls",
    question="Which models have no known price?",
    kind="table",
    unit="calls",
    sql=grouped(
        {"unpriced": _UNPRICED, "calls": "sum(calls)", "share": metric("unpriced_share")},
        by={"model": "request_model", "provider": "provider", "app": "app"},
        order="unpriced DESC, model, app",
        keep="unpriced_ > 0",
    ),
    columns=(MODEL, PROVIDER, APP, UNPRICED, CALLS, Column("share", "Of these calls", "ratio")),
    no_data="Every call has a price.",
    thresholds=(Threshold(1, "warn"),),
    worse="up",
    variables=OF_ROLLUPS,
    calls=only("unpriced"),
)
