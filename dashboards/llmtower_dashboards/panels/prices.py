"""What caches save, and what has no price."""

from typing import Final

from llmtower_dashboards.panel import Column, Panel, Threshold
from llmtower_dashboards.panels.common import APP, CALLS, MODEL, PROVIDER, UNPRICED
from llmtower_dashboards.panels.sql import OF_ROLLUPS, Resolution, aliased, filters, grouped, metric, resolutions, select

_UNPRICED: Final = "sum(unpriced_calls)"
_CACHED: Final = "cache_read_tokens + cache_write_tokens + cache_write_1h_tokens"
_PRICED: Final = "unpriced_calls = 0"


def _savings() -> str:
    """Per model: the price of an uncached token times the cached ones, less what they cost. Rows with unpriced calls are left out."""
    inner = {
        "model": "request_model",
        "provider": "provider",
        "cached": f"sum({_CACHED})",
        "compared": f"sumIf({_CACHED}, {_PRICED})",
        "paid": f"sumIf(cost_cache_nano_usd, {_PRICED}) / 1e9",
        "price": f"sumIf(cost_input_nano_usd, {_PRICED} AND audio_input_tokens + image_input_tokens = 0) / 1e9"
        f" / nullIf(sumIf(input_tokens, {_PRICED} AND audio_input_tokens + image_input_tokens = 0), 0)",
        "hit_ratio": metric("cache_hit_ratio"),
        "unpriced": _UNPRICED,
    }

    def build(of: Resolution) -> str:
        return select(inner, of.table, f"{of.within()} AND {filters(OF_ROLLUPS)}", ["model", "provider"])

    shown = {"model": "model_", "provider": "provider_", "saved": "if(compared_ > 0, compared_ * price_ - paid_, NULL)"}
    head = aliased({**shown, **{name: f"{name}_" for name in ("cached", "paid", "hit_ratio", "unpriced")}})
    return f"SELECT {head}\nFROM (\n{resolutions(build)}\n)\nWHERE cached_ > 0\nORDER BY saved DESC NULLS LAST, model\nLIMIT 20"


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
)
