"""An experiment through the real client and Kafka, against a stand-in of the provider: results, resumption, budget, datasets, the judge."""

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.cli.conftest import Command
from tests.integration.datasets.conftest import put
from tests.standins.openai import openai_server
from tests.standins.service import Asked, Reply, json_reply, serving

pytestmark = pytest.mark.integration


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key, and a spool of their own."""
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("LLMTOWER_SDK__SPOOL_DIR", str(tmp_path / "spool"))


def test_versions_over_a_dataset(command: Command, tmp_path: Path) -> None:
    command("topics", "create")
    name, file, data, out = f"t{uuid.uuid4().hex[:8]}/answer", tmp_path / "p.md", tmp_path / "cases.jsonl", tmp_path / "out.jsonl"
    for words in ("Briefly: {{ q }}", "At length: {{ q }}"):
        file.write_text(f"---\nparameters: {{temperature: 0}}\n---\nsystem:\n{words}\nuser:\n{{{{ q }}}}\n")
        command("prompts", "push", name, "--file", str(file))
    data.write_text("".join(f'{{"variables": {{"q": "Question {number}?"}}, "expected": "Hello"}}\n' for number in range(6)))
    with openai_server() as (server, url):
        asked = ("prompts", "test", f"{name}@1", f"{name}@2", "--dataset", str(data), "--model", "gpt-4o", "--base-url", url)
        more = ("--out", str(out), "--check", "contains", "--check", "json", "--format", "csv")
        code, said, err = command(*asked, *more, "--budget", "0.0000001", "--concurrency", "1")
        assert (code, len(server.requests)) == (1, 1)
        assert "The budget of $1e-07 is spent. Raise --budget and run again: 11 calls were not begun." in err
        code, said, err = command(*asked, *more)
        assert (code, err) == (0, "")
        assert len(server.requests) == 12, "the one that was there is not asked again"
        assert server.requests[0]["temperature"] == 0
        assert {request["messages"][0]["content"] for request in server.requests} >= {"Briefly: Question 0?", "At length: Question 5?"}
        assert command(*asked, *more)[1] == said
        assert len(server.requests) == 12
        other = (*asked[:6], "--model", "error-400", "--base-url", url, "--out", str(tmp_path / "other.jsonl"), "--format", "csv")
        assert "No price is known for error-400" in command(*other)[2]
        assert f"{name}@1 error-400,0,2,0.0000," in command(*other, "--budget", "0", "--cases", "2")[1]
        wrong = command(*asked, "--out", str(tmp_path / "x.jsonl"), "--dataset", _other(tmp_path))[2]
        assert f"line 1 does not fit: {name}@1 takes q; the case has question (missing: q; unknown to the prompt: question)" in wrong
        assert "There is no dataset" in command(*asked, "--dataset", "nothing@3")[2]
        assert len(server.requests) == 16
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert len(lines) == 12
    assert all(line["scores"]["contains"] == 1 and line["scores"]["json"] == 0 and line["nano_usd"] > 0 for line in lines)
    assert all(0 <= line["scores"]["toxicity"] < 0.5 for line in lines)
    assert f"{name}@1 gpt-4o,6,0," in said
    assert 'contains,1,1,"+0 [0, 0]",1.000,not shown to differ' in said


def _other(folder: Path) -> str:
    file = folder / "other.cases.jsonl"
    file.write_text('{"question": "another variable"}\n')
    return str(file)


def test_a_dataset_by_its_name_and_the_judge(
    command: Command, writer: Client, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows of the registry's dataset are asked, with what was retrieved for them; a stand-in judges by production's rubrics."""
    calls(writer)
    assert command("datasets", "build", database, "--random", "--near", "0")[0] == 0
    name, file, out = f"t{database}/answer", tmp_path / "p.md", tmp_path / "out.jsonl"
    file.write_text("system:\nAnswer by this: {{ context | join }}\nuser:\n{{ question }}\n")
    command("prompts", "push", name, "--file", str(file))
    with serving(provider) as service:
        asked = ("prompts", "test", f"{name}@1", "--dataset", f"{database}@1", "--model", "gpt-4o-mini", "--base-url", service.url)
        assert "missing: context" in command(*asked, "--out", str(out))[2]
        mapped = (*asked, "--map", "context=documents", "--out", str(out), "--format", "json")
        assert "No endpoint is named for --judge" in command(*mapped, "--judge", "helpfulness")[2]
        assert not service.asked
        monkeypatch.setenv("LLMTOWER_JUDGE__BASE_URL", service.url)
        code, _, err = command(*mapped)
        assert (code, err) == (0, "")
        judged = [one for one in service.asked if "impartial judge" in one.body["messages"][0]["content"]]
        assert (len(judged), len(service.asked)) == (9, 12), "three rubrics an answer"
        first = next(one for one in service.asked if one not in judged).body["messages"]
        assert first[0]["content"] == "Answer by this: The lamp is blue."
        monkeypatch.setenv("LLMTOWER_JUDGE__BUDGET_USD", "0")
        code, _, err = command(*asked, "--map", "context=documents", "--out", str(tmp_path / "second.jsonl"))
        assert (code, "LLMTOWER_JUDGE__BUDGET_USD" in err, "3 calls were not begun" in err) == (1, True, True)
        assert len(service.asked) == 12
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert [line["scores"]["judge_faithfulness"] for line in lines] == [1.0] * 3
    assert all(line["judge_nano_usd"] > 0 and line["scores"]["groundedness"] == 1.0 for line in lines)


def calls(client: Client) -> None:
    """Three calls with texts and what was retrieved for them."""
    ids = [str(uuid.uuid4()) for _ in range(3)]
    head = [{"call_id": one, "project": "default", "app": "shop", "started_at": datetime.now(UTC) - timedelta(minutes=5)} for one in ids]
    put(client, "calls", [one | {"request_model": "gpt-4o-mini", "status": "ok"} for one in head])
    found = json.dumps([{"id": "d", "text": "The lamp is blue."}])
    said = {"kind": "call", "output": "The lamp.", "retrieved": found}
    put(client, "contents", [one | said | {"input": f"Which lamp is number {number}?"} for number, one in enumerate(head)])


def provider(asked: Asked) -> Reply:
    """Answer, or judge."""
    judging = "impartial judge" in asked.body["messages"][0]["content"]
    text = '{"reason": "it helps", "score": 1}' if judging else "The lamp is blue."
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
    usage = {"prompt_tokens": 40, "completion_tokens": 20, "total_tokens": 60}
    about = {"id": f"c{uuid.uuid4().hex}", "object": "chat.completion", "created": 1, "model": "gpt-4o-mini-2024-07-18"}
    return json_reply(about | {"choices": [choice], "usage": usage})
