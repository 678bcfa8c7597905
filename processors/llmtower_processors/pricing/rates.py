"""Prices compiled to integers, and the one place where money is rounded.

A price list is a mapping from the price keys of `genai-prices` (`input_mtok`, `cache_read_mtok`, `requests_kcount` …) to exact
numbers. Its token counts are inclusive (cached tokens are part of the input), ours are exclusive; with exclusive buckets the rule
"subtract what has a price of its own, charge the rest to the parent" becomes "each bucket pays the nearest price above it".
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from math import lcm

Tokens = tuple[int, int, int, int, int, int, int, int, int]
"""Counts in the order of `llmtower_schemas.events.TOKEN_BUCKETS`."""

Parts = tuple[int, int, int, int, int]
"""Total, input, cache, output, fees: whole nano-USD."""

NEAREST_PRICES: dict[str, tuple[str, ...]] = {
    "input_tokens": ("input_text_mtok", "input_mtok"),
    "cache_read_tokens": ("cache_read_mtok", "input_mtok"),
    "cache_write_tokens": ("cache_write_5m_mtok", "cache_write_mtok", "input_mtok"),
    "cache_write_1h_tokens": ("cache_write_1h_mtok", "cache_write_mtok", "input_mtok"),
    "output_tokens": ("output_text_mtok", "output_mtok"),
    "reasoning_tokens": ("output_reasoning_mtok", "output_mtok"),
    "audio_input_tokens": ("input_audio_mtok", "input_mtok"),
    "audio_output_tokens": ("output_audio_mtok", "output_mtok"),
    "image_input_tokens": ("input_image_mtok", "input_mtok"),
}
"""For each bucket, in the order of `TOKEN_BUCKETS`: the prices that may apply, the most specific first."""

REQUEST_PRICE = "requests_kcount"
"""USD for a thousand requests."""

_NANO_PER_MTOK = 1_000
"""1 USD per million tokens is 1,000 nano-USD per token."""
_NANO_PER_KCOUNT = 1_000_000


@dataclass(frozen=True, slots=True)
class Tiered:
    """A price that depends on the call's whole input: above a tier's start (exclusive) its price applies to *all* tokens."""

    base: Fraction
    tiers: tuple[tuple[int, Fraction], ...]
    """(start, price) in ascending order."""

    def at(self, input_tokens: int) -> Fraction:
        """Give the price for a call with so many input tokens, cached ones included."""
        return next((price for start, price in reversed(self.tiers) if input_tokens > start), self.base)


Price = Fraction | Tiered
"""USD per unit of its key."""


@dataclass(frozen=True, slots=True)
class Rates:
    """One model's prices at one time, as integers over a common denominator; one band per tier."""

    starts: tuple[int, ...]
    """Input tokens above which the next band applies."""
    bands: tuple[tuple[int, ...], ...]
    """Per band: numerators in nano-USD per token in the order of the buckets, then the fee per request."""
    unpriced: tuple[int, ...]
    """Positions of buckets without any price: a call that uses one has no known cost."""
    denominator: int

    def charge(self, tokens: Tokens, tool_fees: int) -> Parts | None:
        """Price one call; None when it used something that has no price."""
        for bucket in self.unpriced:
            if tokens[bucket]:
                return None
        text, read, write, write_1h, output, reasoning, audio, audio_output, image = tokens
        band = self.bands[bisect_left(self.starts, text + read + write + write_1h + audio + image) if self.starts else 0]
        return settle(
            text * band[0] + audio * band[6] + image * band[8],
            read * band[1] + write * band[2] + write_1h * band[3],
            output * band[4] + reasoning * band[5] + audio_output * band[7],
            band[9] + tool_fees * self.denominator,
            self.denominator,
        )


def settle(input_: int, cache: int, output: int, fees: int, denominator: int) -> Parts:
    """Round a sum of four numerators once, half to even, and its parts so that they add up to it.

    Each part is rounded down; the few nano-USD still missing from the rounded total go to the parts with the largest remainders
    (the first in order on a tie), as seats are given by Hamilton's method.
    """
    exact = input_ + cache + output + fees
    if denominator == 1:
        return exact, input_, cache, output, fees
    total, remainder = divmod(exact, denominator)
    if 2 * remainder > denominator or (2 * remainder == denominator and total & 1):
        total += 1
    divided = [divmod(part, denominator) for part in (input_, cache, output, fees)]
    parts = [whole for whole, _ in divided]
    missing = total - sum(parts)
    if missing:
        for index in sorted(range(4), key=lambda i: -divided[i][1])[:missing]:
            parts[index] += 1
    return total, parts[0], parts[1], parts[2], parts[3]


def compile_rates(prices: Mapping[str, Price]) -> Rates:
    """Turn a price list into integers; keys that no bucket uses (prices per hour, page, search …) are left out."""
    nearest = [next((prices[key] for key in keys if key in prices), None) for keys in NEAREST_PRICES.values()]
    request = prices.get(REQUEST_PRICE, Fraction(0))
    starts = sorted({start for price in (*nearest, request) if isinstance(price, Tiered) for start, _ in price.tiers})
    bands = [
        [_at(price, probe) * _NANO_PER_MTOK for price in nearest] + [_at(request, probe) * _NANO_PER_KCOUNT]
        for probe in (0, *(start + 1 for start in starts))
    ]
    denominator = _common_denominator(chain.from_iterable(bands))
    return Rates(
        starts=tuple(starts),
        bands=tuple(tuple(int(rate * denominator) for rate in band) for band in bands),
        unpriced=tuple(index for index, price in enumerate(nearest) if price is None),
        denominator=denominator,
    )


def _at(price: Price | None, input_tokens: int) -> Fraction:
    if price is None:
        return Fraction(0)
    return price.at(input_tokens) if isinstance(price, Tiered) else price


def _common_denominator(rates: Iterable[Fraction] | Sequence[Fraction]) -> int:
    return lcm(*(rate.denominator for rate in rates))
