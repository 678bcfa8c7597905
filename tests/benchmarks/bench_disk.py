"""Bytes on disk after merges against the bytes of JSON that came in: 1.6 kB responses with prose that never repeats, and requests."""

from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.rows import make_range
from tests.benchmarks.storage import Storage, storage

START_US = 1_795_132_800_000_000
SHARE = 0.25


def run(quick: bool) -> list[Figure]:
    """Measure."""
    ranges, count = (2, 10_000) if quick else (6, 20_000)
    with storage("llmtower") as engine:
        json_bytes = 0
        for number in range(ranges):
            rows = make_range(count, seed=number, start_us=START_US + number * 3_000_000, seconds=3, first_offset=number * count // 400)
            json_bytes += rows.json_bytes
            for block in engine.blocks(rows, f"rows{number}"):
                engine.insert(block, f"rows:{number}", database="llmtower")
                block.file.unlink()
        for table in ("calls", "contents", "requests"):
            engine.client.command(f"ALTER TABLE llmtower.{table} MODIFY SETTING min_bytes_for_wide_part = 0")
        for table in ("calls", "contents", "requests", "rollup_1m", "rollup_1h", "rollup_user_1h"):
            engine.client.command(f"OPTIMIZE TABLE llmtower.{table} FINAL")
        return _figures(engine, ranges * count, json_bytes)


def _figures(engine: Storage, calls: int, json_bytes: int) -> list[Figure]:
    rows = engine.client.query(
        "SELECT table, sum(bytes_on_disk) FROM system.parts WHERE database = 'llmtower' AND active GROUP BY table ORDER BY 2 DESC"
    ).result_rows
    used = sum(size for _, size in rows)
    note = f"{json_bytes / calls:,.0f} B of JSON per call (response and request)"
    tables = [Figure(f"{table}: bytes per call", size / calls, "B", note=_columns(engine, table, calls)) for table, size in rows[:3]]
    return [at_most("disk / raw JSON", used / json_bytes, "", SHARE, note), *tables]


def _columns(engine: Storage, table: str, calls: int) -> str:
    rows = engine.client.query(
        "SELECT name, data_compressed_bytes FROM system.columns WHERE database = 'llmtower' AND table = {table:String} "
        "ORDER BY 2 DESC LIMIT 4",
        parameters={"table": table},
    ).result_rows
    return ", ".join(f"{name} {size / calls:.0f}" for name, size in rows)


if __name__ == "__main__":
    main(run)
