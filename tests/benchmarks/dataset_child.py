"""One build and one export of a dataset, as the command does them, in a process of its own: seconds and peak memory."""

import sys
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import clickhouse_connect
import orjson

from llmtower.personal import redact_personal
from llmtower.redaction import redact
from llmtower_processors.datasets.build import Target, build
from llmtower_processors.datasets.exports.write import export
from llmtower_processors.datasets.question import Question, read_score
from llmtower_schemas.datasets import Manifest
from tests.benchmarks.bench_dashboard import START_US
from tests.benchmarks.figures import peak_rss_mib


def main() -> None:
    """Read what to do from the input, and print what it took."""
    asked = orjson.loads(sys.stdin.buffer.read())
    given = asked["question"]
    start = datetime.fromtimestamp(START_US / 1e6, UTC)
    given |= {"scores": tuple(map(read_score, given.get("scores", ()))), "stratify": tuple(given.get("stratify", ()))}
    question = Question(project="default", start=start, end=start + timedelta(days=1), equal={}, **given)
    target = Target("default", "bench", str(uuid.uuid4()))
    with clickhouse_connect.get_client(**asked["address"], database="llmtower") as client:
        began = time.perf_counter()
        built = build(client, question, target, redact=lambda text: redact_personal(redact(text)))
        build_s, cpu_s = time.perf_counter() - began, time.process_time()
        manifest = Manifest(name="bench", version=1, build_id=target.build_id, created_at_us=1, start_us=0, end_us=1, sha256=built.sha256)
        began = time.perf_counter()
        export(client, manifest.model_copy(update={"counts": built.counts}), "openai-chat", Path(asked["out"]))
        export_s = time.perf_counter() - began
    figures = {"build_s": build_s, "export_s": export_s, "cpu_s": cpu_s, "rss_mib": peak_rss_mib(), "counts": built.counts.model_dump()}
    sys.stdout.buffer.write(orjson.dumps(figures))


if __name__ == "__main__":
    main()
