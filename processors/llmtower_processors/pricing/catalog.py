"""The bundled price list of `genai-prices`: finds a provider and a model, and gives their prices at a time.

Its own entry points remember every model name they ever saw; this module uses its data only, so that hostile names cost no memory.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from fractions import Fraction

import genai_prices
from genai_prices.data import providers as PROVIDERS  # noqa: N812 - a constant there
from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.types import ModelInfo, ModelPrice, Provider, StartDateConstraint, TieredPrices, TimeOfDateConstraint

from llmtower_processors.pricing.cost import CostStatus
from llmtower_processors.pricing.rates import Price, Rates, Tiered, compile_rates

SOURCE = "genai-prices"
VERSION = f"{SOURCE} {genai_prices.__version__}"

PROVIDER_ALIASES: dict[str, str] = {
    "amazon.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure_ai": "azure",
    "fireworks_ai": "fireworks",
    "gcp.gen_ai": "google",
    "meta_llama": "meta",
    "togetherai": "together",
    "x_ai": "x-ai",
}
"""Names used by OpenTelemetry's conventions, LiteLLM and LangChain that `genai-prices` does not resolve itself."""

TIER_CONTEXT: dict[str, dict[str, str]] = {
    "batch": {"processing": "batch"},
    "fast": {"service_tier": "fast", "speed": "fast"},
}
"""What a service tier means in the words of `genai-prices`, where it is more than `service_tier` itself."""

_DAY_NS = 86_400 * 10**9
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Listing:
    """One model of one provider in one service tier; its prices are constant between `dates` and, within a day, `clock` times."""

    model: ModelInfo
    context: Mapping[str, str]
    dates: tuple[int, ...]
    """Nanoseconds since 1970 at which a price starts."""
    clock: tuple[int, ...]
    """Nanoseconds since midnight UTC at which a daily price starts or ends."""

    def segment(self, at_ns: int) -> tuple[int, int]:
        """Identify the span of time with constant prices that an instant falls into."""
        return bisect_right(self.dates, at_ns), bisect_right(self.clock, at_ns % _DAY_NS)

    def span(self, at_ns: int) -> tuple[int, int]:
        """Give a span of constant prices around an instant, as [start, end) in nanoseconds; empty where prices change with the hour."""
        if self.clock:
            return 0, 0
        index = bisect_right(self.dates, at_ns)
        return self.dates[index - 1] if index else -(1 << 63), self.dates[index] if index < len(self.dates) else 1 << 63

    def rates(self, at_ns: int) -> Rates:
        """Give the prices at an instant."""
        at = _EPOCH + timedelta(microseconds=at_ns // 1_000)
        return compile_rates(_price_list(self.model.get_prices(at, dict(self.context) or None)))


def find_listing(provider: str, model: str, tier: str) -> Listing | CostStatus:
    """Find a model by the names an application uses, or say which of the two is unknown."""
    name = provider.lower().strip()
    reference = model.lower()
    if name in ("litellm", "litellm_proxy") and "/" in reference:
        prefix, _, rest = reference.partition("/")
        name, reference = (prefix, rest) if _provider(prefix) else ("", reference)
    found = _provider(name) if name else _provider_of_model(reference)
    if found is None:
        return CostStatus.UNKNOWN_PROVIDER if reference else CostStatus.UNKNOWN_MODEL
    listed = found.find_model(reference, all_providers=PROVIDERS) if reference else None
    if listed is None:
        return CostStatus.UNKNOWN_MODEL
    own = any(listed is candidate for candidate in found.models)
    return _listing(listed, _context(tier) if own else {})


def _provider(name: str) -> Provider | None:
    return find_provider_by_id(PROVIDERS, PROVIDER_ALIASES.get(name, name))


def _provider_of_model(reference: str) -> Provider | None:
    matches = (p for p in PROVIDERS if p.model_match is not None and p.model_match.is_match(reference))
    return next(matches, None) if reference else None


def _context(tier: str) -> Mapping[str, str]:
    name = tier.lower()
    return TIER_CONTEXT.get(name, {"service_tier": name}) if name else {}


def _listing(model: ModelInfo, context: Mapping[str, str]) -> Listing:
    conditions = [price.constraint for price in model.prices] if isinstance(model.prices, list) else []
    conditions += [variant.constraint for variant in model.price_variants or ()]
    dates = {_instant_ns(c.start_date.isoformat()) for c in conditions if isinstance(c, StartDateConstraint)}
    daily = [c for c in conditions if isinstance(c, TimeOfDateConstraint)]
    clock = {_clock_ns(at) for c in daily for at in (c.start_time, c.end_time)}
    return Listing(model, context, tuple(sorted(dates)), tuple(sorted(clock)))


def _instant_ns(day: str) -> int:
    return (datetime.fromisoformat(day).replace(tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) * 1_000


def _clock_ns(at: time) -> int:
    moment = datetime.combine(_EPOCH.date(), at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000 % _DAY_NS


def _price_list(prices: ModelPrice) -> dict[str, Price]:
    return {key: _exact(value) for key, value in vars(prices).items() if value is not None and not key.startswith("_")}


def _exact(value: object) -> Price:
    if isinstance(value, TieredPrices):
        return Tiered(Fraction(value.base), tuple((tier.start, Fraction(tier.price)) for tier in value.tiers))
    return Fraction(str(value))
