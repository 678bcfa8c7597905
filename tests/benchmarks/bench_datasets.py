"""Datasets built out of 10 M calls and their texts, each build and export in a process of its own against a real engine behind HTTP."""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
import orjson
import psutil  # type: ignore[import-untyped]  # no stubs in the locked requirements
from clickhouse_connect.driver.client import Client

from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from tests.benchmarks.bench_dashboard import BLOCK, CALLS, DAY_US, MAKE, QUICK_CALLS, START_US
from tests.benchmarks.figures import Figure, at_most, main
from tests.benchmarks.storage import KEEP_ALL

SECONDS: Final = 60.0
MEMORY_MIB: Final = 1_024.0
TEXTS: Final = """
INSERT INTO llmtower.contents (call_id, kind, project, app, started_at, input, output)
WITH arrayMap(i -> concat('w', toString(i * 7919 % 9973)), range(500)) AS words, cityHash64(call_id) AS h,
    if(h % 5 = 0, h % 100000, h) AS told
SELECT call_id, 'call', project, app, started_at,
    arrayStringConcat(arrayMap(i -> words[cityHash64(told, i) % 500 + 1], range(40)), ' '),
    arrayStringConcat(arrayMap(i -> words[cityHash64(told, i + 40) % 500 + 1], range(60)), ' ')
FROM llmtower.calls WHERE started_at >= fromUnixTimestamp64Micro({first:Int64}) AND started_at < fromUnixTimestamp64Micro({end:Int64})
"""
"""About 500 characters a call; a fifth of the calls repeat one of at most 100,000 texts."""
FEEDBACK: Final = """
INSERT INTO llmtower.feedback (feedback_id, project, app, environment, at, target_kind, target_id, name, score, user_id)
SELECT generateUUIDv4(), project, app, environment, started_at, 'call_id', toString(call_id), 'thumbs',
    if(cityHash64(call_id, 3) % 2, 1, -1), user_id FROM llmtower.calls WHERE cityHash64(call_id, 2) % 100 = 0
"""
SCORES: Final = """
INSERT INTO llmtower.scores (score_id, project, app, at, target_kind, target_id, name, value, weight, started_at)
SELECT generateUUIDv4(), project, app, started_at, 'call_id', toString(call_id), 'groundedness', (cityHash64(call_id, 4) % 1000) / 1000, 1,
    started_at FROM llmtower.calls WHERE cityHash64(call_id, 5) % 20 = 0
"""
QUESTIONS: Final[dict[str, dict[str, Any]]] = {
    "negative feedback, up to 50,000": {"feedback": "negative", "size": 50_000},
    "groundedness < 0.2 and a slow call, 10,000": {"scores": ["groundedness<0.2"], "condition": "(duration_us > 1e6)"},
    "random, evenly by app and model, 10,000": {"chance": True, "stratify": ["app", "request_model"]},
}


def run(quick: bool) -> list[Figure]:
    """Measure."""
    calls = QUICK_CALLS if quick else CALLS
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder, EngineProcess(Path(folder) / "engine") as engine:
        address = {"host": engine.host, "port": engine.port, "username": Role.WRITER.value}
        address["password"] = engine.credentials.password(Role.WRITER)
        _fill(address, calls)
        figures: list[Figure] = []
        for name, question in QUESTIONS.items():
            out = Path(folder) / "out.jsonl"
            before = _cpu_s(engine.pid)
            found = _child(address, question, out)
            counts = found["counts"]
            read = f"{counts['matched']:,} matched, {counts['read']:,} read, {counts['kept']:,} kept"
            read += f"; CPU: engine {_cpu_s(engine.pid) - before:.1f} s (export included), command {found['cpu_s']:.1f} s"
            of = f"({calls // 1_000_000} M calls)"
            figures.append(at_most(f"datasets build, {name} {of}", found["build_s"], "s", SECONDS, read))
            figures.append(at_most(f"its memory {of}", found["rss_mib"], "MiB", MEMORY_MIB, "of the command, export included"))
            figures.append(Figure(f"its export as openai-chat {of}", counts["kept"] / found["export_s"], "rows/s"))
        return figures


def _cpu_s(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def _fill(address: dict[str, Any], calls: int) -> None:
    with clickhouse_connect.get_client(**address) as server:
        create_database(server, "llmtower")
    with clickhouse_connect.get_client(**address, database="llmtower", send_receive_timeout=1_800) as client:
        migrate(client, KEEP_ALL)
        for first in range(0, calls, BLOCK):
            client.command(MAKE, parameters={"start_us": START_US, "spacing_us": DAY_US / calls, "first": first, "count": BLOCK})
        _texts(client)
        client.command(FEEDBACK)
        client.command(SCORES)


def _texts(client: Client) -> None:
    step = DAY_US // 24
    for first in range(START_US, START_US + DAY_US, step):
        client.command(TEXTS, parameters={"first": first, "end": first + step})


def _child(address: dict[str, Any], question: dict[str, Any], out: Path) -> Any:
    asked = orjson.dumps({"address": address, "question": question, "out": str(out)})
    words = [sys.executable, "-m", "tests.benchmarks.dataset_child"]
    return orjson.loads(subprocess.run(words, input=asked, capture_output=True, check=True).stdout)


if __name__ == "__main__":
    main(run)
