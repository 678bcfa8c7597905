"""`llmtower demo`: the whole system on one machine, with history, live traffic, a scripted incident and books that must balance."""

from pathlib import Path


def run_demo(
    *,
    data_dir: Path,
    kafka_port: int,
    clickhouse_port: int,
    web_port: int,
    seconds: float | None,
    rate: float,
    history: bool,
    json_file: Path | None,
) -> int:
    """Run the demo and give its exit status; see `run.py`, loaded here and not before, because the child processes need little of it."""
    from .run import run

    return run(
        data_dir=data_dir,
        kafka_port=kafka_port,
        clickhouse_port=clickhouse_port,
        web_port=web_port,
        seconds=seconds,
        rate=rate,
        history=history,
        json_file=json_file,
    )
