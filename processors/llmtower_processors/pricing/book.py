"""Where a price comes from: the provider's own figure, your prices file, the price book of `genai-prices`; else NULL with a reason."""

from collections.abc import Sequence
from functools import lru_cache
from operator import attrgetter
from typing import Protocol, cast

from llmtower_processors.pricing import catalog
from llmtower_processors.pricing.cost import Cost, CostStatus, reported, unpriced
from llmtower_processors.pricing.custom import CustomPrice, CustomPrices
from llmtower_processors.pricing.rates import Rates, Tokens
from llmtower_schemas.events import TOKEN_BUCKETS, Usage

CACHED_NAMES = 8_192
"""Distinct (provider, models, tier) remembered; beyond, the least recently used is forgotten and found again when it comes back."""

_SEGMENTS = 64
"""Spans of constant price remembered for one model."""

_counts = attrgetter(*TOKEN_BUCKETS)

Quote = tuple[Rates, str, str] | CostStatus
"""Prices with their source and its version, or why there are none."""


class Call(Protocol):
    """The fields of a `ResponseEvent` that decide its cost."""

    provider: str
    request_model: str
    response_model: str
    service_tier: str
    started_at_ns: int
    status: str
    usage: Usage | None
    usage_source: str
    tool_fees_nano_usd: int
    reported_cost_nano_usd: int | None


class PriceBook:
    """Prices calls, dated by the event's own time. Deterministic: the same book and event give the same cost."""

    def __init__(self, custom: CustomPrices | None = None) -> None:
        """Take the prices file, if any, as `read_prices` gives it."""
        self._custom = custom or CustomPrices((), "")
        self._tariff = lru_cache(maxsize=CACHED_NAMES)(self._find)

    def price(self, call: Call) -> Cost:
        """Give the exact cost of a call, or NULL with the reason."""
        if call.reported_cost_nano_usd is not None:
            return reported(call.reported_cost_nano_usd)
        usage = call.usage
        tokens = cast(Tokens, _counts(usage)) if usage is not None else None
        if tokens is None or (call.usage_source == "missing" and not any(tokens)):
            return unpriced(CostStatus.FAILED if call.status == "error" else CostStatus.NO_USAGE)
        tariff = self._tariff(call.provider, call.response_model, call.request_model, call.service_tier)
        quote = tariff.quote(call.started_at_ns)
        if isinstance(quote, CostStatus):
            return unpriced(quote)
        parts = quote[0].charge(tokens, call.tool_fees_nano_usd)
        if parts is None:
            return unpriced(CostStatus.UNPRICED_USAGE)
        status = CostStatus.ESTIMATED_USAGE if call.usage_source == "estimated" else CostStatus.PRICED
        return Cost(*parts, status, quote[1], quote[2])

    def remembered(self) -> int:
        """Number of name combinations held in memory; never above `CACHED_NAMES`."""
        return self._tariff.cache_info().currsize

    def _find(self, provider: str, response_model: str, request_model: str, tier: str) -> "_Tariff":
        models = tuple(dict.fromkeys(name for name in (response_model, request_model) if name))
        custom = self._custom.matching(provider, models)
        return _Tariff(custom, _first_listing(provider, models, tier), self._custom.version, tier)


def _first_listing(provider: str, models: Sequence[str], tier: str) -> catalog.Listing | CostStatus:
    """Look for the model that answered, then for the one that was asked for."""
    found: catalog.Listing | CostStatus = CostStatus.UNKNOWN_MODEL
    for model in models:
        found = catalog.find_listing(provider, model, tier)
        if isinstance(found, catalog.Listing):
            break
    return found


class _Tariff:
    """Everything that may price one combination of names, with the quotes already worked out."""

    def __init__(self, custom: Sequence[CustomPrice], listing: catalog.Listing | CostStatus, version: str, tier: str) -> None:
        self._custom = custom
        self._listing = listing
        self._version = version
        self._tier = tier
        self._quotes: dict[tuple[int, int, int], Quote] = {}

    def quote(self, at_ns: int) -> Quote:
        rule = next((i for i, price in enumerate(self._custom) if price.valid_at(at_ns)), -1) if self._custom else -1
        source = self._listing if rule < 0 else self._alias(self._custom[rule])
        segment = source.segment(at_ns) if isinstance(source, catalog.Listing) else (0, 0)
        key = (rule, *segment)
        quote = self._quotes.get(key)
        if quote is None:
            if len(self._quotes) >= _SEGMENTS:
                self._quotes.clear()
            quote = self._quotes[key] = self._work_out(rule, source, at_ns)
        return quote

    def _alias(self, price: CustomPrice) -> catalog.Listing | CostStatus:
        return _aliased(price.alias, self._tier) if price.alias else CostStatus.UNKNOWN_MODEL

    def _work_out(self, rule: int, source: catalog.Listing | CostStatus, at_ns: int) -> Quote:
        if rule >= 0 and (own := self._custom[rule].rates):
            return own, "custom", self._version
        if isinstance(source, CostStatus):
            return source
        return (source.rates(at_ns), *(("custom", self._version) if rule >= 0 else (catalog.SOURCE, catalog.VERSION)))


@lru_cache(maxsize=1_024)
def _aliased(alias: tuple[str, str], tier: str) -> catalog.Listing | CostStatus:
    return catalog.find_listing(*alias, tier)
