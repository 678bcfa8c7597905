"""What a call costs, by two who do not know of each other: the worker's price book on our event, genai-prices on the provider's answer."""

from typing import Any

from genai_prices import extract_usage

from llmtower_processors.pricing.book import PriceBook
from llmtower_schemas.events import ResponseEvent

_BOOK = PriceBook()


def our_cost(event: dict[str, Any]) -> int | None:
    """Price an event in nano-USD as the worker does."""
    return _BOOK.price(ResponseEvent.model_validate(event)).total


def their_cost(answer: dict[str, Any], provider: str, flavor: str = "default") -> int:
    """Price a provider's raw answer in nano-USD by genai-prices' own extraction."""
    found = extract_usage(answer, provider_id=provider, api_flavor=flavor)
    return int((found.calc_price().total_price * 1_000_000_000).to_integral_value())
