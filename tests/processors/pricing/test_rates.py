"""Rounding and tiers, by hand and by property."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.pricing.rates import NEAREST_PRICES, Rates, Tiered, Tokens, compile_rates, settle
from llmtower_schemas.events import TOKEN_BUCKETS

F = Fraction
numerators = st.integers(min_value=0, max_value=10**18)


def tokens(**counts: int) -> Tokens:
    return tuple(counts.get(bucket, 0) for bucket in TOKEN_BUCKETS)  # type: ignore[return-value]  # nine of them


def charge(rates: Rates, fees: int = 0, **counts: int) -> tuple[int, ...] | None:
    return rates.charge(tokens(**counts), fees)


def test_every_bucket_has_its_prices() -> None:
    assert tuple(NEAREST_PRICES) == TOKEN_BUCKETS


def test_parts_of_an_ordinary_call() -> None:
    rates = compile_rates({"input_mtok": F("2.5"), "cache_read_mtok": F("1.25"), "output_mtok": F(10)})
    assert charge(rates, input_tokens=1_000, cache_read_tokens=77, output_tokens=333) == (5_926_250, 2_500_000, 96_250, 3_330_000, 0)


def test_a_bucket_without_its_own_price_pays_its_parents() -> None:
    rates = compile_rates({"input_mtok": F(1), "output_mtok": F(2), "cache_write_mtok": F(4)})
    assert charge(rates, cache_read_tokens=1, audio_input_tokens=1, image_input_tokens=1) == (3_000, 2_000, 1_000, 0, 0)
    assert charge(rates, cache_write_1h_tokens=1) == (4_000, 0, 4_000, 0, 0)
    assert charge(rates, reasoning_tokens=1, audio_output_tokens=1) == (4_000, 0, 0, 4_000, 0)


def test_prices_of_their_own_win() -> None:
    prices: dict[str, F] = {"input_mtok": F(1), "output_mtok": F(1)}
    own = {"cache_write_1h_mtok": F(6), "input_audio_mtok": F(7), "input_image_mtok": F(8)}
    own |= {"output_audio_mtok": F(9), "output_reasoning_mtok": F(5)}
    rates = compile_rates(prices | own)
    assert charge(rates, cache_write_1h_tokens=1, audio_input_tokens=1, image_input_tokens=1) == (21_000, 15_000, 6_000, 0, 0)
    assert charge(rates, audio_output_tokens=1, reasoning_tokens=1) == (14_000, 0, 0, 14_000, 0)


def test_what_has_no_price_is_not_free() -> None:
    rates = compile_rates({"input_mtok": F(1)})
    assert charge(rates, input_tokens=5) == (5_000, 5_000, 0, 0, 0)
    assert charge(rates, input_tokens=5, output_tokens=1) is None
    assert charge(compile_rates({"audio_hours": F(1)}), input_tokens=1) is None


def test_fees_are_a_part() -> None:
    rates = compile_rates({"input_mtok": F(1), "output_mtok": F(1), "requests_kcount": F(5)})
    assert charge(rates, fees=7, input_tokens=1) == (5_001_007, 1_000, 0, 0, 5_000_007)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ({"input_tokens": 200_000}, 200_000 * 1_250),
        ({"input_tokens": 200_001}, 200_001 * 2_500),
        ({"input_tokens": 1, "cache_read_tokens": 199_999}, 1_250 + 199_999 * 125),
        ({"input_tokens": 1, "cache_read_tokens": 200_000}, 2_500 + 200_000 * 250),
        ({"input_tokens": 100_000, "audio_input_tokens": 100_000, "output_tokens": 2}, 200_000 * 1_250 + 2 * 10_000),
        ({"input_tokens": 100_001, "image_input_tokens": 100_000, "output_tokens": 2}, 200_001 * 2_500 + 2 * 15_000),
        ({"output_tokens": 300_000}, 300_000 * 10_000),
    ],
)
def test_a_tier_starts_above_its_start_and_holds_for_all_tokens(counts: dict[str, int], expected: int) -> None:
    rates = compile_rates(
        {
            "input_mtok": Tiered(F("1.25"), ((200_000, F("2.5")),)),
            "cache_read_mtok": Tiered(F("0.125"), ((200_000, F("0.25")),)),
            "output_mtok": Tiered(F(10), ((200_000, F(15)),)),
        }
    )
    priced = charge(rates, **counts)
    assert priced is not None
    assert priced[0] == expected


@pytest.mark.parametrize(("input_tokens", "expected"), [(10, 10 + 1), (11, 22 + 1), (15, 30 + 1), (16, 32 + 9), (20, 40 + 9), (21, 63 + 9)])
def test_tiers_that_start_at_different_places(input_tokens: int, expected: int) -> None:
    rates = compile_rates({"input_mtok": Tiered(F(1), ((10, F(2)), (20, F(3)))), "output_mtok": Tiered(F(1), ((15, F(9)),))})
    priced = charge(rates, input_tokens=input_tokens, output_tokens=1)
    assert priced is not None
    assert priced[0] == expected * 1_000


@pytest.mark.parametrize(("quarters", "rounded"), [(1, 0), (2, 0), (3, 1), (5, 1), (6, 2), (10, 2), (14, 4), (-2, 0), (-6, -2)])
def test_half_goes_to_the_even_neighbour(quarters: int, rounded: int) -> None:
    assert settle(0, 0, 0, quarters, 4)[0] == rounded


@given(numerators, numerators, numerators, st.integers(-(10**18), 10**18), st.sampled_from([1, 2, 3, 7, 10, 1_000, 3_600, 10**6]))
def test_parts_add_up_and_the_total_is_rounded_once(a: int, b: int, c: int, fees: int, denominator: int) -> None:
    total, *parts = settle(a, b, c, fees, denominator)
    assert sum(parts) == total
    assert total == round(F(a + b + c + fees, denominator))
    assert all(abs(part - F(exact, denominator)) < 1 for part, exact in zip(parts, (a, b, c, fees), strict=True))


@given(numerators, numerators)
def test_a_part_that_is_zero_stays_zero(a: int, b: int) -> None:
    total, input_, cache, output, fees = settle(a, 0, b, 0, 7)
    assert (cache, fees) == (0, 0)
    assert input_ + output == total
