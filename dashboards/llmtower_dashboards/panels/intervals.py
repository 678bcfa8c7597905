"""95 % intervals in SQL: of shares, of percentiles and of means."""

from math import ceil
from typing import Final

Z: Final = 1.96
"""Standard normal quantile of a 95 % interval."""
GRID: Final = 0.005
"""Steps of the levels that are read from a digest to find the ends of a percentile's interval."""
LEVELS: Final = tuple(round(number * GRID, 3) for number in range(round(0.3 / GRID), round(1 / GRID)))
MIN_BUCKETS: Final = 10


def wilson(hits: str, total: str) -> tuple[str, str]:
    """The ends of the interval of a share (E. B. Wilson, 1927): sound for few calls and for rates near 0."""
    square = round(Z * Z, 4)
    middle = f"({hits} + {square / 2}) / nullIf({total} + {square}, {square})"
    half = f"{Z} / nullIf({total} + {square}, {square}) * sqrt({hits} * ({total} - {hits}) / nullIf({total}, 0) + {square / 4})"
    return f"greatest(0, {middle} - {half})", f"least(1, {middle} + {half})"


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
    return mean, f"greatest(0, {mean} - {half})", f"{mean} + {half}"
