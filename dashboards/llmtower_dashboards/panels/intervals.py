"""95 % intervals in SQL: of shares, of percentiles and of means."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Final

Z: Final = 1.96
"""Standard normal quantile of a 95 % interval."""
GRID: Final = 0.005
"""Steps of the levels that are read from a digest to find the ends of a percentile's interval."""
LEVELS: Final = tuple(round(number * GRID, 3) for number in range(round(0.3 / GRID), round(1 / GRID)))
MIN_BUCKETS: Final = 10


def at_least_0(value: str) -> str:
    """Cut below 0; NULL stays NULL (`greatest` of ClickHouse leaves NULLs out: unknown would become 0)."""
    return f"if({value} < 0, 0, {value})"


def at_most_1(value: str) -> str:
    """Cut above 1; NULL stays NULL."""
    return f"if({value} > 1, 1, {value})"


def wilson(hits: str, total: str) -> tuple[str, str]:
    """The ends of the interval of a share (E. B. Wilson, 1927): sound for few calls and for rates near 0."""
    square = round(Z * Z, 4)
    middle = f"({hits} + {square / 2}) / nullIf({total} + {square}, {square})"
    half = f"{Z} / nullIf({total} + {square}, {square}) * sqrt({hits} * ({total} - {hits}) / nullIf({total}, 0) + {square / 4})"
    return at_least_0(f"({middle} - {half})"), at_most_1(f"({middle} + {half})")


def quantile_levels(digest: str) -> str:
    """Many percentiles of one digest, for `quantile_interval`."""
    return f"quantilesTDigestMerge({', '.join(f'{level:g}' for level in LEVELS)})({digest})"


def quantile_interval(level: float, levels: str, count: str) -> tuple[str, str]:
    """The ends of a percentile's interval, in seconds, by order statistics (no assumption on the distribution); NULL with too few calls."""
    half = f"{Z} * sqrt({level * (1 - level):g} / nullIf({count}, 0))"

    def at(index: str) -> str:
        return f"if(ifNull({index} BETWEEN 1 AND {len(LEVELS)}, 0), {levels}[toInt32(assumeNotNull({index}))] / 1e6, NULL)"

    first = ceil(LEVELS[0] / GRID)
    low, high = f"floor(({level} - {half}) / {GRID}) - {first - 1}", f"ceil(({level} + {half}) / {GRID}) - {first - 1}"
    return at(low), at(high)


def mean_interval(total: str, count: str, prefix: str) -> tuple[str, str, str]:
    """A mean (total / count) and the ends of its interval, from sums of squares over buckets of time (ratio estimator; W. G. Cochran,
    Sampling Techniques, 6.4): `<prefix>_xx_`, `_xn_`, `_nn_`, `_buckets_`. Unlike a standard error over calls it knows that calls of one
    minute resemble each other. NULL below ten buckets."""
    mean = f"({total} / nullIf({count}, 0))"
    squares = f"greatest(0, {prefix}_xx_ - 2 * {mean} * {prefix}_xn_ + {mean} * {mean} * {prefix}_nn_)"
    half = (
        f"if({prefix}_buckets_ < {MIN_BUCKETS}, NULL,"
        f" {Z} * sqrt({squares} * {prefix}_buckets_ / ({prefix}_buckets_ - 1)) / nullIf({count}, 0))"
    )
    return mean, at_least_0(f"({mean} - {half})"), f"{mean} + {half}"


def weights(low: str) -> dict[str, str]:
    """The sums over rows of a rollup of scores that `weighted_rate` needs; `low` says of a row whether its bad values are the low ones."""
    return {
        "scored": "sum(scored)",
        "n": "toFloat64(sum(scored))",
        "bad": f"toFloat64(sum(if({low}, toInt64(low), toInt64(scored) - toInt64(low))))",
        "w": "sum(w_low + w_high)",
        "ww": "sum(ww_low + ww_high)",
        "wb": f"sum(if({low}, w_low, w_high))",
        "wwb": f"sum(if({low}, ww_low, ww_high))",
    }


RATE: Final = "wb_ / nullIf(w_, 0)"
_VARIANCE: Final = f"(wwb_ * pow(1 - {RATE}, 2) + (ww_ - wwb_) * pow({RATE}, 2))"
EFFECTIVE: Final = f"if(wb_ > 0 AND wb_ < w_, {RATE} * (1 - {RATE}) * w_ * w_ / nullIf({_VARIANCE}, 0), w_ * w_ / nullIf(ww_, 0))"
"""The size of a simple sample that would be as sure (E. L. Korn and B. I. Graubard, 1998; where all are alike: L. Kish, 1965)."""


def weighted_rate(rate: str = "rate_", effective: str = "effective_") -> tuple[str, str]:
    """The ends of the interval of a weighted rate: Wilson's, for the effective sample."""
    return wilson(f"({rate} * {effective})", f"({effective})")


def _within(value: str, most: str) -> str:
    return f"if({value} > {most}, {most}, if({value} < 0, 0, {value}))"


FEW: Final = 3.5
"""Hits of a random share below which Wilson's lower end is too high."""
PARTS: Final = {
    "over": "w_ - n_",
    "each": "if(abs(over_) > 1e-9 * w_, (ww_ - w_) / over_, 1)",
    "drawn": f"if(abs(each_ - 1) < 1e-9, 0, {_within('over_ / (each_ - 1)', 'n_')})",
    "for": "drawn_ * each_ / nullIf(w_, 0)",
    "overb": "wb_ - bad_",
    "eachb": "if(abs(overb_) > 1e-9 * w_, (wwb_ - wb_) / overb_, 1)",
    "drawnb": f"if(abs(eachb_ - 1) < 1e-9, 0, {_within('overb_ / (eachb_ - 1)', 'bad_')})",
    "sure": "(bad_ - drawnb_)",
    "hits": f"if(drawn_ > 0, {_within('drawnb_ * eachb_ / each_', 'drawn_')}, 0)",
}
"""The two parts of a weighted rate, out of the sums of `weights`, each step from those before it. All events with weight 1 are sure. The
others were drawn: `drawn` of them, which stand for `each` events each and together for the share `for` of all; `hits` of those were bad."""


def sampled_rate() -> tuple[str, str]:
    """The ends of the interval of a rate over the sure and the drawn together, out of `PARTS`.

    Each part has an interval of its own, and the distances from the rate to the ends add up as squares (MOVER: G. Y. Zou and A. Donner,
    Statistics in Medicine 27 (2008), 1693); a third term is for not knowing how many were not drawn. One effective sample size for all,
    by contrast, takes a share that found nothing for proof that there is nothing.
    """
    sure_low, sure_high = wilson("sure_", "w_")
    drawn_low, drawn_high = wilson("hits_", "drawn_")
    exact = f"hits_ * pow(greatest(0, 1 - 1 / (9 * hits_) - {Z} / (3 * sqrt(hits_))), 3) / drawn_"
    drawn_low = f"if(hits_ > 0 AND hits_ < {FEW}, least({drawn_low}, {exact}), {drawn_low})"
    size = f"if(drawn_ > 0 AND each_ > 1, pow({Z} * sure_ / w_ * for_, 2) * (1 - 1 / each_) / drawn_, 0)"
    share = "ifNull(hits_ / nullIf(drawn_, 0), 0)"

    def far(sure: str, drawn: str) -> str:
        distances = f"sure_ / w_ - if(n_ - drawn_ > 0.5, {sure}, 0)", f"for_ * ({share} - if(drawn_ > 0, {drawn}, 0))"
        return f"sqrt({' + '.join(f'pow({distance}, 2)' for distance in distances)} + {size})"

    return at_least_0(f"({RATE} - {far(sure_low, drawn_low)})"), at_most_1(f"({RATE} + {far(sure_high, drawn_high)})")


def kappa(cells: tuple[str, str, str, str], effective: str) -> tuple[dict[str, str], ...]:
    """Steps to Cohen's kappa and the ends of its interval: `kappa_`, `low_`, `high_`. Cells are shares of pairs that add up to 1: both bad,
    first alone, second alone, both good. Each step is for a SELECT over the one before: in one expression they take 0.25 s to plan.

    NULL where chance alone gives full agreement. Variance: J. L. Fleiss, J. Cohen and B. S. Everitt, Psychological Bulletin 72 (1969), 13.
    """
    both, first, second, neither = cells
    same = f"{both} * pow(1 - (one_ + other_) * (1 - kappa_), 2) + {neither} * pow(1 - (2 - one_ - other_) * (1 - kappa_), 2)"
    apart = f"pow(1 - kappa_, 2) * ({first} * pow(other_ + 1 - one_, 2) + {second} * pow(1 - other_ + one_, 2))"
    return (
        {"one_": f"{both} + {first}", "other_": f"{both} + {second}"},
        {"chance_": "one_ * other_ + (1 - one_) * (1 - other_)"},
        {"kappa_": f"({both} + {neither} - chance_) / if(chance_ > 1 - 1e-12, NULL, 1 - chance_)"},
        {"variance_": f"({same} + {apart} - pow(kappa_ - chance_ * (1 - kappa_), 2)) / {effective} / pow(1 - chance_, 2)"},
        {"half_": f"{Z} * sqrt(if(variance_ < 0, 0, variance_))"},
        {"low_": "if(kappa_ - half_ < -1, -1, kappa_ - half_)", "high_": at_most_1("(kappa_ + half_)")},
    )


def stepwise(query: str, steps: Sequence[Mapping[str, str]]) -> str:
    """A query with more columns, each step's made of those before."""
    for step in steps:
        columns = ", ".join(f"{sql} AS {name}" for name, sql in step.items())
        query = f"SELECT *, {columns}\nFROM (\n{query}\n)"
    return query
