"""Percentiles and histograms of the rollups against exact computation by numpy, on several distributions, fed in many small inserts."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.storage.conftest import NOON, Insert

pytestmark = pytest.mark.integration
COUNT = 40_000
INSERTS = 20
LEVELS = (0.5, 0.9, 0.99)
TOLERANCE = 0.005
Numbers = npt.NDArray[np.float64]

DISTRIBUTIONS: dict[str, Callable[[np.random.Generator], Numbers]] = {
    "lognormal": lambda rng: rng.lognormal(14, 0.8, COUNT),
    "wide lognormal": lambda rng: rng.lognormal(13, 1.5, COUNT),
    "exponential": lambda rng: rng.exponential(900_000, COUNT) + 1_000,
    "uniform": lambda rng: rng.uniform(1_000, 5_000_000, COUNT),
    "cache hits and misses": lambda rng: np.where(rng.random(COUNT) < 0.3, rng.normal(20_000, 2_000, COUNT), rng.normal(2e6, 3e5, COUNT)),
    "timeouts": lambda rng: np.where(rng.random(COUNT) < 0.03, 60_000_000, rng.lognormal(14, 0.5, COUNT)),
    "constant": lambda _: np.full(COUNT, 250_000.0),
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_percentiles_are_within_half_a_percent_of_exact(client: Client, insert: Insert, name: str) -> None:
    rng = np.random.default_rng(list(DISTRIBUTIONS).index(name))
    values = np.maximum(DISTRIBUTIONS[name](rng), 2).astype(np.int64)
    first = np.maximum(values // 4, 1)
    output = rng.integers(2, 900, COUNT)
    for number in range(INSERTS):
        part = slice(number * COUNT // INSERTS, (number + 1) * COUNT // INSERTS)
        size = part.stop - part.start
        columns = {
            "started_at": (NOON + rng.integers(0, 3 * 3_600_000_000, size)).tolist(),
            "app": [f"app{index}" for index in rng.integers(0, 4, size)],
            "duration_us": values[part].tolist(),
            "ttft_us": first[part].tolist(),
            "output_tokens": output[part].tolist(),
        }
        insert("calls", columns, f"part {number}")
    exact = {"duration": values, "ttft": first, "token_time": (values - first) / (output - 1)}
    for table in ("rollup_1m", "rollup_1h"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")
        for figure, numbers in exact.items():
            merged = client.query(f"SELECT quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)({figure}_digest) FROM {table}").result_rows[0][0]
            expected = np.quantile(numbers, LEVELS)
            found = np.array([merged[0], merged[1], merged[3]])
            assert np.max(np.abs(found / expected - 1)) <= TOLERANCE, (table, figure, found, expected)


def test_calls_that_were_not_streamed_or_gave_one_token_have_no_place_in_the_token_percentiles(client: Client, insert: Insert) -> None:
    columns = {
        "started_at": [NOON] * 5,
        "duration_us": [1_000, 1_000, 1_000, 1_000, 1_100],
        "ttft_us": [None, 200, 200, 2_000, 100],
        "output_tokens": [50, 1, 0, 50, 6],
        "reasoning_tokens": [0, 0, 0, 0, 5],
    }
    insert("calls", columns, "few")
    buckets, digest = client.query(
        "SELECT sumMap(token_time_buckets), quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)(token_time_digest) FROM rollup_1m"
    ).result_rows[0]
    assert digest[0] == pytest.approx((1_100 - 100) / 10)
    assert buckets == {bucket(100.0): 1}
    assert client.command("SELECT sum(ttft_calls) FROM rollup_1h") == 4


def bucket(value: float) -> int:
    """Give the histogram's bucket: b holds [2^(b/4), 2^((b+1)/4)) microseconds."""
    return int(4 * math.log2(max(value, 1)))


def test_histograms_count_every_value_in_its_bucket(client: Client, insert: Insert) -> None:
    rng = np.random.default_rng(11)
    edges = [edge + step for edge in (1, 2, 4, 8, 1_024, 1_048_576, 1 << 40) for step in (-1, 0, 1)]
    values = [*edges, 0, (1 << 53) - 1, *rng.lognormal(13, 2, 3_000).astype(np.int64).tolist()]
    first = [value // 3 if index % 2 else None for index, value in enumerate(values)]
    for number in range(3):
        part = slice(number, None, 3)
        times = (NOON + rng.integers(0, 7_200_000_000, len(values[part]))).tolist()
        insert("calls", {"started_at": times, "duration_us": values[part], "ttft_us": first[part]}, f"part {number}")
    for table in ("rollup_1m", "rollup_1h"):
        client.command(f"OPTIMIZE TABLE {table} FINAL")
        durations, ttfts = client.query(f"SELECT sumMap(duration_buckets), sumMap(ttft_buckets) FROM {table}").result_rows[0]
        assert durations == Counter(bucket(value) for value in values)
        assert ttfts == Counter(bucket(value) for value in first if value is not None)
