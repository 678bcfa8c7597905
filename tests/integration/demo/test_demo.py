"""The whole demo for a few seconds: real Kafka, engine and worker, four apps; then its books against the tables."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.ports import ANY_PORTS


def _demo(data_dir: Path, *options: str) -> tuple[int, dict[str, Any], str]:
    summary = data_dir.with_suffix(".json")
    command = [sys.executable, "-m", "llmtower_processors.cli", "demo", "--data-dir", str(data_dir), "--json", str(summary)]
    command += [*ANY_PORTS, "--no-history", "--rate", "8", *options]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
    return ended.returncode, json.loads(summary.read_text("utf-8")) if summary.exists() else {}, ended.stdout + ended.stderr


@pytest.mark.integration
@pytest.mark.timeout(420)
def test_a_short_demo_balances_its_books_and_a_second_one_adds_to_them(tmp_path: Path) -> None:
    code, first, said = _demo(tmp_path / "data", "--seconds", "6")
    assert code == 0, said
    total = first["total"]
    assert first["balanced"], first["faults"]
    assert total["emitted"] == total["stored"] > 10
    assert total["missing"] == total["duplicated"] == total["dead_letters"] == 0
    assert set(first["apps"]) == {"support-bot", "search-assistant", "code-helper", "summarizer"}
    assert sum(app["emitted"] for app in first["apps"].values()) == total["emitted"]
    assert total["cost_nano_usd"] > 0
    assert total["unpriced_calls"] > 0
    assert total["duration_p50_us"] <= total["duration_p95_us"]
    assert "The books balance" in said
    assert set(first["alerts"]) == {"told", "titles", "scene_to_notification_s", "event_to_notification_s"}
    assert "Alerts: the " in said

    code, second, said = _demo(tmp_path / "data", "--seconds", "3")
    assert code == 0, said
    assert second["total"]["emitted"] == total["emitted"] + second["run"]["total"]["emitted"]
    assert second["total"]["stored"] == second["total"]["emitted"]
    assert "This run" in said
