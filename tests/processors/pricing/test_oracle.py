"""Our integers against `genai-prices`' own `calc_price` in Decimal, over every model and over seeded random usage."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Context, Decimal

import genai_prices
import pytest
from genai_prices.data import providers

from llmtower_processors.pricing import Cost, CostStatus, PriceBook
from llmtower_schemas.events import TOKEN_BUCKETS, ResponseEvent, Usage

ID = "019e70a2-0001-7000-8000-000000000001"
MODELS = [(provider.id, model.id) for provider in providers for model in provider.models]
START = datetime(2024, 6, 1, tzinfo=UTC)
TIERS = ("", "", "", "default", "flex", "priority", "batch", "standard")
INPUT = ("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_1h_tokens", "audio_input_tokens", "image_input_tokens")
EXACT = Context(prec=60, rounding=ROUND_HALF_EVEN)


def call(provider: str, model: str, *, usage: Usage, at: datetime, tier: str = "") -> ResponseEvent:
    at_ns = (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1_000
    return ResponseEvent(
        app="oracle",
        call_id=ID,
        provider=provider,
        request_model=model,
        started_at_ns=at_ns,
        duration_us=1,
        usage=usage,
        usage_source="provider",
        service_tier=tier,
    )


def oracle(event: ResponseEvent, at: datetime) -> tuple[int, int, int]:
    """Total, and the directions apart, rounded as one number: the independent computation."""
    u = event.usage
    assert u is not None
    inclusive = genai_prices.Usage(
        input_tokens=u.input_tokens
        + u.cache_read_tokens
        + u.cache_write_tokens
        + u.cache_write_1h_tokens
        + u.audio_input_tokens
        + u.image_input_tokens,
        cache_read_tokens=u.cache_read_tokens,
        cache_write_tokens=u.cache_write_tokens + u.cache_write_1h_tokens,
        cache_write_1h_tokens=u.cache_write_1h_tokens,
        output_tokens=u.output_tokens + u.reasoning_tokens + u.audio_output_tokens,
        output_reasoning_tokens=u.reasoning_tokens,
        input_audio_tokens=u.audio_input_tokens,
        output_audio_tokens=u.audio_output_tokens,
        input_image_tokens=u.image_input_tokens,
        **{f"cache_{kind}_{way}_tokens": 0 for kind in ("audio", "image", "text") for way in ("read", "write", "write_1h")},
        output_audio_reasoning_tokens=0,
    )
    context = {"": None, "batch": {"processing": "batch"}}.get(event.service_tier, {"service_tier": event.service_tier})
    price = genai_prices.calc_price(
        inclusive, event.request_model, provider_id=event.provider, genai_request_timestamp=at, price_context=context
    )
    parts = (price.total_price, price.input_price, price.output_price)
    total, input_, output = (int((part * 10**9).quantize(Decimal(1), context=EXACT)) for part in parts)
    return total, input_, output


def cases(seed: int, count: int) -> Iterator[tuple[ResponseEvent, datetime]]:
    random_ = random.Random(seed)
    for _ in range(count):
        provider, model = random_.choice(MODELS)
        counts = {
            bucket: random_.choice((1, 17, 1_000, 199_999, 200_000, 200_001, 272_000, 272_001, random_.randrange(10**6)))
            for bucket in random_.sample(TOKEN_BUCKETS, random_.randrange(1, 6))
        }
        at = START + timedelta(seconds=random_.randrange(900 * 86_400))
        yield call(provider, model, usage=Usage(**counts), at=at, tier=random_.choice(TIERS)), at


def check(book: PriceBook, event: ResponseEvent, at: datetime) -> str:
    cost = book.price(event)
    if cost.status == CostStatus.UNPRICED_USAGE:
        return cost.status
    try:
        total, input_, output = oracle(event, at)
    except LookupError:
        assert cost.status == CostStatus.UNKNOWN_MODEL
        return cost.status
    where = (event.provider, event.request_model, event.usage, at, event.service_tier)
    assert cost.total == total, where
    assert cost.input is not None
    assert cost.cache is not None
    assert cost.output is not None
    assert cost.fees is not None
    assert abs(cost.input + cost.cache - input_) <= 2, where
    assert abs(cost.output - output) <= 1, where
    assert cost.input + cost.cache + cost.output + cost.fees == total, where
    return cost.status


@pytest.mark.filterwarnings("ignore:Unsupported usage key")
def test_thousands_of_random_calls_agree_to_the_nano_dollar() -> None:
    book = PriceBook()
    outcomes = [check(book, event, at) for event, at in cases(seed=20261123, count=4_000)]
    assert outcomes.count(CostStatus.PRICED) > 3_000


@pytest.mark.filterwarnings("ignore:Unsupported usage key")
def test_every_model_of_the_price_book_agrees() -> None:
    book, at = PriceBook(), datetime(2026, 6, 1, 12, tzinfo=UTC)
    usage = Usage(input_tokens=1_234, cache_read_tokens=777, output_tokens=333)
    outcomes = [check(book, call(provider, model, usage=usage, at=at), at) for provider, model in MODELS]
    assert outcomes.count(CostStatus.PRICED) > 1_900


def test_what_has_no_price_is_never_zero_although_the_oracle_says_so() -> None:
    at = datetime(2026, 6, 1, tzinfo=UTC)
    event = call("groq", "whisper-large-v3", usage=Usage(input_tokens=100), at=at)
    assert oracle(event, at)[0] == 0
    assert PriceBook().price(event) == Cost(None, None, None, None, None, CostStatus.UNPRICED_USAGE, "", "")
