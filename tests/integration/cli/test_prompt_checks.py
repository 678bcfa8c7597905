"""Comparing and gating on the real engine: figures of two versions against plain Python's, and exit codes."""

import time
import uuid
from pathlib import Path
from typing import Any

import clickhouse_connect
import numpy as np
import orjson
import pytest
from tests.integration.cli.conftest import Command

pytestmark = pytest.mark.integration


def test_versions_beside_each_other(command: Command, settings: dict[str, str], tmp_path: Path) -> None:
    command("topics", "create")
    command("migrate")
    name, file = f"t{uuid.uuid4().hex[:8]}/answer", tmp_path / "p.md"
    for text in ("a", "b", "c"):
        file.write_text(f"{text} {{{{ question }}}}")
        command("prompts", "push", name, "--file", str(file))
    command("prompts", "promote", name, "1", "--label", "live")
    rng = np.random.default_rng(3)
    n = 400
    failed = {"1": 8, "2": 60}
    rows = [
        (uuid.uuid4(), int(time.time() * 1e6) - 10**6 * 60 - number, name, version, "error" if number < failed[version] else "ok",
         int(rng.lognormal(14, 0.5)), int(rng.integers(1_000, 9_000)), 10)
        for version in ("1", "2") for number in range(n)
    ]  # fmt: skip
    columns = ["call_id", "started_at", "prompt_name", "prompt_version", "status", "duration_us", "cost_nano_usd", "output_tokens"]
    with clickhouse_connect.get_client(
        host="127.0.0.1", port=int(settings["LLMTOWER_CLICKHOUSE__PORT"]), username="writer",
        password=settings["LLMTOWER_CLICKHOUSE__PASSWORD"], database=settings["LLMTOWER_CLICKHOUSE__DATABASE"],
    ) as client:  # fmt: skip
        fixed = {"project": "default", "app": "shop", "environment": "production", "request_model": "gpt-4o"}
        client.insert("calls", [[*row, *fixed.values()] for row in rows], column_names=[*columns, *fixed])
        place = ("default", "shop", "production")
        scored = [
            [uuid.uuid4(), *place, row[1], row[1], "call_id", str(row[0]), "relevance", value - number % 7 / 20, "ok", 1.0, *row[2:4]]
            for number, row in enumerate(rows)
            for value in (1.0 if row[3] == "1" else 0.7,)
        ]
        names = ["score_id", "project", "app", "environment", "at", "started_at", "target_kind", "target_id", "name", "value", "status"]
        client.insert("scores", scored, column_names=[*names, "weight", "prompt_name", "prompt_version"])
        computed: list[Any] = [
            [row[0], *place, row[1], *row[2:4], ["pii", "toxicity"], [float(number % 400 < 10 * int(row[3]) ** 3), toxic], [1.0, weight]]
            for number, row in enumerate(rows)
            for toxic, weight in ([(0.9, 1.0) if number % 4 else (float(number % 16 == 0), 50.0)])
        ]  # fmt: skip
        arrays: dict[str, Any] = {name: ["", ""] for name in ("labels", "scorers", "scorer_versions", "reasons")} | {"positions": [[], []]}
        names = ["call_id", "project", "app", "environment", "started_at", "prompt_name", "prompt_version", "names", "score_values"]
        client.insert(
            "call_scores",
            [[*row, *arrays.values(), ["ok", "ok"]] for row in computed],
            column_names=[*names, "weights", *arrays, "statuses"],
        )
        said = [
            [uuid.uuid4(), *place, row[1], "call_id", str(row[0]), "thumbs", 1.0 if number % 4 else -1.0]
            for number, row in enumerate(rows[:200])
        ]
        names = ["feedback_id", "project", "app", "environment", "at", "target_kind", "target_id", "name", "score"]
        client.insert("feedback", said, column_names=names)

    found = {
        row["figure"]: row
        for row in map(orjson.loads, command("prompts", "compare", f"{name}@live", "2", "--format", "json")[1].splitlines())
    }
    a, b, verdict = (list(found["error rate, %"].values())[place] for place in (1, 2, 5))
    assert (a.split(" ")[0], b.split(" ")[0], verdict) == ("2", "15", "worse")
    assert found["score relevance"]["verdict"] == "worse"
    assert found["p50 duration, s"]["verdict"].startswith("not shown to differ")
    assert found["feedback thumbs, share positive, %"]["verdict"] == "not enough data: 2 each at least"
    assert found["score pii"]["verdict"] == "worse", "what the processors computed counts, and more personal data is no merit"
    values, weights = (np.array([row[column][1] for row in computed if row[6] == "1"]) for column in (8, 9))
    mean = np.average(values, weights=weights)
    error = np.sqrt((weights**2 * (values - mean) ** 2).sum()) / weights.sum()
    shown = list(found["score toxicity"].values())[1]
    low, high = (float(part) for part in shown[shown.index("[") + 1 : shown.index("]")].split(", "))
    assert (high - low) / 2 == pytest.approx(1.96 * error, rel=0.03), "by Horvitz and Thompson, Student's quantile apart"
    cost = np.mean([row[6] for row in rows if row[3] == "1"]) / 1e6
    assert list(found["cost per 1,000 calls, $"].values())[1].startswith(f"{cost:.4g} [")
    assert "nothing to compare" in command("prompts", "compare", f"{name}@live", "2", "--last", "1s")[1]
    for words, calls in {("--app", "shop"): 400, ("--project", "default"): 400, ("--app", "other"): 0, ("--project", "other"): 0}.items():
        told = command("prompts", "compare", f"{name}@live", "2", *words, "--format", "csv")[1]
        assert (f"], {calls}" in told, "nothing to compare" in told) == (calls > 0, calls == 0), words
    assert "in production of app other in the last 7d" in command("prompts", "compare", f"{name}@live", "2", "--app", "other")[1]
    assert "is both of them" in command("prompts", "compare", f"{name}@live", "1")[2]

    code, out, err = command("prompts", "gate", f"{name}@2", "--against", "live", "--format", "csv")
    assert (code, "refused because of error rate" in err, 'error rate,fails,"worse by 0.13' in out) == (1, True, True)
    assert (
        command("prompts", "gate", f"{name}@2", "--against", "live", "--allow", "error rate=30pp", "--allow", "cost per 1,000 calls=50%")[0]
        == 0
    )
    code, out, _ = command("prompts", "gate", f"{name}@3", "--against", "live", "--format", "csv")
    assert (code, "too little to judge: 400 and none observations" in out) == (1, True)
    code, _, err = command("prompts", "gate", f"{name}@2", "--against", "live", "--app", "other", "--at-least", "2")
    assert (code, "of app other in the last 7d: nothing passes unseen" in err) == (1, True)
    assert "There is no figure speed" in command("prompts", "gate", f"{name}@2", "--against", "live", "--allow", "speed=1")[2]
