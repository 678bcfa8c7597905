"""Where a price comes from: the provider's own figure, your prices file, the price book of `genai-prices`; else NULL with a reason."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import attrgetter
from pathlib import Path
from typing import Any

from llmtower_processors.pricing import catalog
from llmtower_processors.pricing.cost import Cost, CostStatus, reported, unpriced
from llmtower_processors.pricing.custom import CustomPrice, CustomPrices, read_prices
from llmtower_processors.pricing.rates import Rates, Tokens
from llmtower_schemas.events import TOKEN_BUCKETS, ResponseEvent, uses_unknown

CACHED_NAMES = 8_192
"""Distinct (provider, models, tier) remembered; beyond, the least recently used is forgotten and found again when it comes back."""

_SEGMENTS = 64
"""Spans of constant price remembered for one model."""

_counts: Callable[[Any], Tokens] = attrgetter(*TOKEN_BUCKETS)
_NONE: Tokens = (0, 0, 0, 0, 0, 0, 0, 0, 0)
_ALWAYS = (-(1 << 63), 1 << 63)


class PriceBook:
    """Prices calls, dated by the event's own time. Deterministic: the same book and event give the same cost."""

    def __init__(self, custom: CustomPrices | None = None) -> None:
        """Take the prices file, if any, as `read_prices` gives it."""
        self._custom = custom or CustomPrices((), "")
        self._tariff = lru_cache(maxsize=CACHED_NAMES)(self._find)

    @property
    def version(self) -> str:
        """Name the edition of every source in use."""
        return ", ".join(filter(None, (catalog.VERSION, self._custom.version)))

    def price(self, call: ResponseEvent) -> Cost:
        """Give the exact cost of a call (its event, or the struct of it), or NULL with the reason."""
        return Cost._make(self.price_row(call))

    def price_row(self, call: ResponseEvent) -> tuple[Any, ...]:
        """Give the same as a plain tuple, for columns."""
        if call.reported_cost_nano_usd is not None:
            return reported(call.reported_cost_nano_usd)
        usage = call.usage
        tokens = _counts(usage) if usage is not None else _NONE
        source = call.usage_source
        strange = uses_unknown(usage)
        if usage is None or (source == "missing" and tokens == _NONE and not strange):
            return unpriced(CostStatus.FAILED if call.status == "error" else CostStatus.NO_USAGE)
        quote = self._tariff(call.provider, call.response_model, call.request_model, call.service_tier).quote(call.started_at_ns)
        if quote.rates is None:
            return unpriced(quote.status)
        parts = None if strange else quote.rates.charge(tokens, call.tool_fees_nano_usd)
        if parts is None:
            return unpriced(CostStatus.UNPRICED_USAGE)
        return parts + (quote.estimated if source == "estimated" else quote.exact)

    def remembered(self) -> int:
        """Number of name combinations held in memory; never above `CACHED_NAMES`."""
        return self._tariff.cache_info().currsize

    def _find(self, provider: str, response_model: str, request_model: str, tier: str) -> "_Tariff":
        models = tuple(dict.fromkeys(name for name in (response_model, request_model) if name))
        return _Tariff(self._custom.matching(provider, models), _first_listing(provider, models, tier), self._custom.version, tier)


def load_price_book(path: Path | None = None) -> PriceBook:
    """Give the price book with the prices file at `path`, if any. Raises PricesFileError."""
    return PriceBook(read_prices(path) if path else None)


class Quote:
    """The prices of one model in one span of time with what goes into the columns beside them, or why there are none."""

    __slots__ = ("estimated", "exact", "rates", "status")

    def __init__(self, rates: Rates | None, status: CostStatus, source: str = "", version: str = "") -> None:
        """Take prices with their source and edition; or None with the reason."""
        self.rates = rates
        self.status = status
        self.exact = (CostStatus.PRICED.value, source, version)
        self.estimated = (CostStatus.ESTIMATED_USAGE.value, source, version)


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
        self._last: tuple[int, int, Quote] = (0, 0, Quote(None, CostStatus.UNKNOWN_MODEL))

    def quote(self, at_ns: int) -> Quote:
        """Give the prices at an instant; the span of the last answer is tried first."""
        start, end, quote = self._last
        if start <= at_ns < end:
            return quote
        rule = next((i for i, price in enumerate(self._custom) if price.valid_at(at_ns)), -1)
        source = self._listing if rule < 0 else self._alias(self._custom[rule])
        segment = source.segment(at_ns) if isinstance(source, catalog.Listing) else (0, 0)
        key = (rule, *segment)
        found = self._quotes.get(key)
        if found is None:
            if len(self._quotes) >= _SEGMENTS:
                self._quotes.clear()
            found = self._quotes[key] = self._work_out(rule, source, at_ns)
        if not self._custom:
            self._last = (*(source.span(at_ns) if isinstance(source, catalog.Listing) else _ALWAYS), found)
        return found

    def _alias(self, price: CustomPrice) -> catalog.Listing | CostStatus:
        return _aliased(price.alias, self._tier) if price.alias else CostStatus.UNKNOWN_MODEL

    def _work_out(self, rule: int, source: catalog.Listing | CostStatus, at_ns: int) -> Quote:
        if rule >= 0 and (own := self._custom[rule].rates):
            return Quote(own, CostStatus.PRICED, "custom", self._version)
        if isinstance(source, CostStatus):
            return Quote(None, source)
        named = ("custom", self._version) if rule >= 0 else (catalog.SOURCE, catalog.VERSION)
        return Quote(source.rates(at_ns), CostStatus.PRICED, *named)


@lru_cache(maxsize=1_024)
def _aliased(alias: tuple[str, str], tier: str) -> catalog.Listing | CostStatus:
    return catalog.find_listing(*alias, tier)
