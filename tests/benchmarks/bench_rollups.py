"""What the rollups cost at the insert, and how right their percentiles are.

One cycle = what the worker inserts for 20,000 calls: `calls`, `contents` and `requests`, each under its token. The views hang on `calls`.
"""

from functools import partial
from typing import Any

from tests.benchmarks.figures import Figure, at_most, interleave, main
from tests.benchmarks.rows import make_range
from tests.benchmarks.storage import VIEWS, Block, Storage, storage

START_US = 1_795_132_800_000_000
RATIO = 1.9
PERCENTILES = (0.5, 0.9, 0.99)


def run(quick: bool) -> list[Figure]:
    """Measure."""
    with storage("with_views", "without") as engine:
        for view in VIEWS:
            engine.client.command(f"DROP VIEW without.{view}")
        figures = []
        for count in (20_000,) if quick else (20_000, 5_000):
            rows = make_range(count, seed=count, start_us=START_US, seconds=1.5)
            figures += _insert_cost(engine, engine.blocks(rows, f"rows{count}"), count, 5 if quick else 11)
        return figures + _with_merges(engine, 6 if quick else 20) + _accuracy(engine)


def _insert_cost(engine: Storage, blocks: list[Block], count: int, rounds: int) -> list[Figure]:
    """Merges are held meanwhile: they would fall on whichever side happens to run."""
    engine.client.command("SYSTEM STOP MERGES")

    def insert(database: str, chosen: list[Block], number: int) -> None:
        for block in chosen:
            engine.insert(block, f"{count}:{len(chosen)}:{number}", database=database)

    cycle = interleave({name: partial(insert, name, blocks) for name in engine.databases}, rounds)
    calls = interleave({name: partial(insert, name, blocks[:1]) for name in engine.databases}, rounds)
    engine.client.command("SYSTEM START MERGES")
    note = f"CPU {cycle['with_views'].cpu_s * 1e3:.0f} / {cycle['without'].cpu_s * 1e3:.0f} ms, {cycle['with_views'].spread()}"
    alone = f"CPU {calls['with_views'].cpu_s * 1e3:.0f} / {calls['without'].cpu_s * 1e3:.0f} ms, {calls['with_views'].spread()}"
    return [
        at_most(
            f"insert of {count:,} calls with views / without", cycle["with_views"].cpu_s / cycle["without"].cpu_s, "times", RATIO, note
        ),
        Figure(f"the same, table calls alone ({count:,})", calls["with_views"].cpu_s / calls["without"].cpu_s, "times", note=alone),
    ]


def _with_merges(engine: Storage, cycles: int) -> list[Figure]:
    """Insert different ranges until the engine has also merged what it was given."""
    ranges = [make_range(5_000, seed=seed, start_us=START_US + seed * 60_000_000, seconds=60) for seed in range(cycles)]
    blocks = [engine.blocks(rows, f"merges{number}") for number, rows in enumerate(ranges)]

    def store(database: str, round_: int) -> None:
        for number, parts in enumerate(blocks):
            for block in parts:
                engine.insert(block, f"merges:{round_}:{number}", database=database)
        engine.wait_for_merges()

    engine.wait_for_merges()
    samples = interleave({name: partial(store, name) for name in engine.databases}, 2)
    ratio = samples["with_views"].cpu_s / samples["without"].cpu_s
    return [Figure("the same, ranges of 5,000 calls, merges included", ratio, "times", note=f"{cycles} ranges of a minute each, CPU")]


def _accuracy(engine: Storage) -> list[Figure]:
    levels = ", ".join(str(level) for level in PERCENTILES)
    columns = {"duration_us": "duration_digest", "ttft_us": "ttft_digest"}
    figures = []
    for column, digest in columns.items():
        exact = engine.value(f"SELECT quantilesExact({levels})({column}) FROM with_views.calls")
        for table in ("rollup_1m", "rollup_1h"):
            merged = engine.value(f"SELECT quantilesTDigestMerge(0.5, 0.9, 0.95, 0.99)({digest}) FROM with_views.{table}")
            figures.append(_worst(f"{column} in {table}: p50, p90, p99 off exact", exact, [merged[0], merged[1], merged[3]]))
    return figures


def _worst(name: str, exact: Any, merged: Any) -> Figure:
    off = max(abs(float(m) / float(e) - 1) for m, e in zip(merged, exact, strict=True))
    return at_most(name, off * 100, "%", 0.5, "worst of the three")


if __name__ == "__main__":
    main(run)
