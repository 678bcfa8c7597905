"""What a call costs, by two who do not know of each other: the worker's price book on our event, genai-prices on the provider's answer."""

from decimal import Decimal
from typing import Any

from genai_prices import calc_price, extract_usage

from llmtower_processors.pricing.book import PriceBook
from llmtower_schemas.events import ResponseEvent

_BOOK = PriceBook()


def our_cost(event: dict[str, Any]) -> int | None:
    """Price an event in nano-USD as the worker does."""
    return _BOOK.price(ResponseEvent.model_validate(event)).total


def their_cost(answer: dict[str, Any], provider: str, flavor: str = "default") -> int:
    """Price a provider's raw answer in nano-USD by genai-prices' own extraction."""
    found = extract_usage(answer, provider_id=provider, api_flavor=flavor)
    assert found.model is not None
    total = calc_price(found.usage, found.model.id, provider_id=provider).total_price
    return int((total * 1_000_000_000).to_integral_value()) if isinstance(total, Decimal) else round(total * 1e9)
