"""Where a price comes from, and every reason for having none."""

from datetime import UTC, datetime, timedelta
from typing import Any

import genai_prices
import pytest

from llmtower_processors.pricing import Cost, CostStatus, PriceBook
from llmtower_processors.pricing.book import CACHED_NAMES
from llmtower_processors.pricing.catalog import PROVIDER_ALIASES, Listing, find_listing
from llmtower_schemas.events import ResponseEvent, Usage

ID = "019e70a2-0001-7000-8000-000000000001"
NS = 10**9
MAY_2026 = 1_780_000_000 * NS


TIERS = ("flex", "priority", "batch")


def call(**fields: Any) -> ResponseEvent:
    usual: dict[str, Any] = {
        "app": "a",
        "call_id": ID,
        "provider": "openai",
        "request_model": "gpt-4o",
        "started_at_ns": MAY_2026,
        "duration_us": 1,
        "usage": Usage(input_tokens=10, output_tokens=3),
        "usage_source": "provider",
    }
    return ResponseEvent(**(usual | fields))


def unpriced(status: CostStatus) -> Cost:
    return Cost(None, None, None, None, None, status, "", "")


def test_by_hand() -> None:
    # gpt-4o: 2.50 USD per million in, 1.25 cached, 10 out
    version = f"genai-prices {genai_prices.__version__}"
    usage = Usage(input_tokens=1_000, cache_read_tokens=2_048, output_tokens=300)
    assert PriceBook().price(call(usage=usage)) == Cost(
        8_060_000, 2_500_000, 2_560_000, 3_000_000, 0, CostStatus.PRICED, "genai-prices", version
    )


def test_anthropic_cache_writes_have_two_prices() -> None:
    # claude-sonnet-4-5: 3 in, 0.30 cache read, 3.75 five-minute write, 6 one-hour write, 15 out
    usage = Usage(input_tokens=12, cache_read_tokens=100_000, cache_write_tokens=1_000, cache_write_1h_tokens=30_000, output_tokens=700)
    cost = PriceBook().price(call(provider="anthropic", request_model="claude-sonnet-4-5", usage=usage, tool_fees_nano_usd=10_000_000))
    assert (cost.input, cost.cache, cost.output, cost.fees) == (36_000, 30_000_000 + 3_750_000 + 180_000_000, 10_500_000, 10_000_000)


def test_the_providers_own_figure_wins() -> None:
    cost = PriceBook().price(call(reported_cost_nano_usd=123, request_model="nobody-knows"))
    assert cost == Cost(123, None, None, None, None, CostStatus.PRICED, "provider", "")


def test_a_free_model_costs_nothing_and_says_so() -> None:
    assert PriceBook().price(call(reported_cost_nano_usd=0)).total == 0


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"request_model": "in-house"}, CostStatus.UNKNOWN_MODEL),
        ({"request_model": ""}, CostStatus.UNKNOWN_MODEL),
        ({"provider": "my-gateway"}, CostStatus.UNKNOWN_PROVIDER),
        ({"provider": "", "request_model": "in-house"}, CostStatus.UNKNOWN_PROVIDER),
        ({"usage": None, "usage_source": "missing"}, CostStatus.NO_USAGE),
        ({"usage": Usage(), "usage_source": "missing"}, CostStatus.NO_USAGE),
        ({"usage": Usage.model_validate({"video_tokens": 1}), "usage_source": "missing"}, CostStatus.UNPRICED_USAGE),
        ({"usage": None, "usage_source": "missing", "status": "error"}, CostStatus.FAILED),
        ({"provider": "groq", "request_model": "whisper-large-v3"}, CostStatus.UNPRICED_USAGE),
    ],
)
def test_unknown_is_null_with_a_reason(fields: dict[str, Any], status: CostStatus) -> None:
    assert PriceBook().price(call(**fields)) == unpriced(status)


def test_estimated_usage_is_priced_and_flagged() -> None:
    book = PriceBook()
    exact, estimated = book.price(call()), book.price(call(usage_source="estimated"))
    assert estimated == exact._replace(status=CostStatus.ESTIMATED_USAGE)
    assert exact.total is not None


def test_the_model_that_answered_is_priced() -> None:
    book = PriceBook()
    answered = book.price(call(provider="azure", request_model="my-deployment", response_model="gpt-4o-2024-08-06"))
    assert answered.total == book.price(call(request_model="gpt-4o-2024-08-06")).total


def test_an_answering_model_nobody_knows_falls_back_to_the_one_asked_for() -> None:
    assert PriceBook().price(call(response_model="gpt-4o-secret-build!")).total == PriceBook().price(call()).total


def test_without_a_provider_the_model_says_which() -> None:
    assert PriceBook().price(call(provider="")).total == PriceBook().price(call()).total


@pytest.mark.parametrize("name", PROVIDER_ALIASES)
def test_every_alias_leads_to_a_provider(name: str) -> None:
    assert find_listing(name, "no-such-model-anywhere", "") == CostStatus.UNKNOWN_MODEL


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("x_ai", "grok-4.3"),
        ("gcp.gen_ai", "gemini-2.5-flash"),
        ("azure.ai.inference", "gpt-4o"),
        ("aws.bedrock", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
        ("litellm", "anthropic/claude-sonnet-4-5"),
    ],
)
def test_names_of_the_conventions_resolve(provider: str, model: str) -> None:
    assert isinstance(find_listing(provider, model, ""), Listing)


def test_prices_follow_the_events_time() -> None:
    # o3 fell from 10/40 to 2/8 USD on 2025-06-10
    usage = Usage(input_tokens=1_000_000, output_tokens=1_000_000)
    change = int(datetime(2025, 6, 10, tzinfo=UTC).timestamp()) * NS
    book = PriceBook()
    before = book.price(call(request_model="o3", usage=usage, started_at_ns=change - 1))
    after = book.price(call(request_model="o3", usage=usage, started_at_ns=change))
    again = book.price(call(request_model="o3", usage=usage, started_at_ns=change - 1))
    assert (before.total, after.total, again.total) == (50 * NS, 10 * NS, 50 * NS)


def test_prices_follow_the_hour() -> None:
    # deepseek-chat before September 2025: half price from 16:30 to 00:30 UTC
    book, day = PriceBook(), datetime(2025, 6, 1, tzinfo=UTC)
    totals = {}
    for hour, minute in ((0, 29), (0, 30), (16, 29), (16, 30)):
        at_ns = int((day + timedelta(hours=hour, minutes=minute)).timestamp()) * NS
        event = call(provider="deepseek", request_model="deepseek-chat", started_at_ns=at_ns, usage=Usage(input_tokens=1_000_000))
        totals[hour, minute] = book.price(event).total
    assert totals[0, 29] == totals[16, 30] == 135_000_000
    assert totals[0, 30] == totals[16, 29] == 270_000_000


def test_service_tiers_have_prices_of_their_own() -> None:
    book = PriceBook()
    usage, november = Usage(input_tokens=1_000_000), int(datetime(2026, 11, 20, tzinfo=UTC).timestamp()) * NS
    events = [call(request_model="gpt-5", service_tier=tier, usage=usage, started_at_ns=november) for tier in ("", *TIERS)]
    totals = [book.price(event).total for event in events]
    assert totals == [1_250_000_000, 625_000_000, 2_500_000_000, 625_000_000]


def test_hostile_names_do_not_grow_memory() -> None:
    book = PriceBook()
    for number in range(CACHED_NAMES + 500):
        book.price(call(provider="hostile", request_model=f"model-{number}"))
    assert book.remembered() == CACHED_NAMES
    snapshot = genai_prices.data_snapshot.get_snapshot()
    assert not snapshot._provider_misses
    assert len(snapshot._lookup_cache) < 10_000
    assert book.price(call()).total is not None
