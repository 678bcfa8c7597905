"""The report on the real engine: its figures are those of the calls, and a route gets its summary."""

import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from tests.alerts.receiver import receiving
from tests.integration.cli.conftest import Command
from tests.integration.datasets.conftest import put

pytestmark = pytest.mark.integration

NOW = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)


@pytest.fixture
def client(writer: Client) -> Client:
    """Two weeks of one application, of which the second fails more, costs more and is disliked."""
    for days, failed, cost in ((9, 2, 1_000_000_000), (2, 60, 3_000_000_000)):
        rows: list[dict[str, Any]] = [
            {"call_id": str(uuid.uuid4()), "project": "default", "app": "support", "environment": "production", "provider": "openai",
             "request_model": "gpt-4o", "started_at": NOW - timedelta(days=days), "duration_us": 2_000_000,
             "status": "error" if number < failed else "ok", "error_class": "rate_limit" if number < failed else "",
             "cost_nano_usd": cost, "cost_status": "ok"}
            for number in range(200)
        ]  # fmt: skip
        put(writer, "calls", rows)
    head = {"project": "default", "app": "support", "at": NOW - timedelta(days=2), "target_kind": "call_id", "name": "thumbs"}
    said = [head | {"feedback_id": row["call_id"], "target_id": row["call_id"], "user_id": "a", "score": -1.0} for row in rows[:30]]
    put(writer, "feedback", said)
    return writer


def test_a_week_is_held_against_the_week_before(command: Command, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = command("report", "--last", "7d")
    assert (code, err) == (0, "")
    assert "200 calls, $ 600.00 (+200% against the span before)." in out
    assert "| support | Error rate | 1.00% | 30.00% | 200 | 95 % intervals apart |" in out
    assert "commonest: rate\\_limit, 60 calls" in out
    assert "30 of 30 ratings are negative" in out
    page = tmp_path / "week.html"
    with receiving() as receiver:
        monkeypatch.setenv("LLMTOWER_ALERTS__WEBHOOK_URL", receiver.url)
        code, out, err = command("report", "--format", "html", "--out", str(page), "--send", "default")
        assert (code, err) == (0, "sent to default\n")
        assert "There is no route pager" in command("report", "--send", "pager")[2]
    (sent,) = [request.value for request in receiver.taken]
    assert (sent["kind"], sent["version"]) == ("report", 1)
    assert sent["text"].startswith("200 calls, $ 600.00")
    text = page.read_text("utf-8")
    assert text.count("<svg ") == 2
    assert "$ 600.00" in text
    assert "no span of time" in command("report", "--last", "soon")[2]
