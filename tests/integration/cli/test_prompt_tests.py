"""An experiment through the real client and Kafka, against a stand-in of the provider: results, resumption, budget."""

import uuid
from pathlib import Path

import orjson
import pytest
from tests.integration.cli.conftest import Command
from tests.standins.openai import openai_server

pytestmark = pytest.mark.integration


def test_versions_over_a_dataset(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("LLMTOWER_SDK__SPOOL_DIR", str(tmp_path / "spool"))
    command("topics", "create")
    name, file, data, out = f"t{uuid.uuid4().hex[:8]}/answer", tmp_path / "p.md", tmp_path / "cases.jsonl", tmp_path / "out.jsonl"
    for words in ("Briefly: {{ q }}", "At length: {{ q }}"):
        file.write_text(f"---\nparameters: {{temperature: 0}}\n---\nsystem:\n{words}\nuser:\n{{{{ q }}}}\n")
        command("prompts", "push", name, "--file", str(file))
    data.write_text("".join(f'{{"variables": {{"q": "Question {number}?"}}, "expected": "Hello"}}\n' for number in range(6)))
    with openai_server() as (server, url):
        asked = ("prompts", "test", f"{name}@1", f"{name}@2", "--dataset", str(data), "--model", "gpt-4o", "--base-url", url)
        more = ("--out", str(out), "--check", "contains", "--check", "json", "--format", "csv")
        code, said, _ = command(*asked, *more, "--budget", "0.0000001", "--concurrency", "1")
        assert (code, len(server.requests)) == (1, 1)
        code, said, err = command(*asked, *more)
        assert (code, err) == (0, "")
        assert len(server.requests) == 12, "the one that was there is not asked again"
        assert server.requests[0]["temperature"] == 0
        assert {request["messages"][0]["content"] for request in server.requests} >= {"Briefly: Question 0?", "At length: Question 5?"}
        assert command(*asked, *more)[1] == said
        assert len(server.requests) == 12
        failing = command(*asked[:6], "--model", "error-400", "--base-url", url, "--out", str(tmp_path / "other.jsonl"), "--format", "csv")[
            1
        ]
        assert f"{name}@1 error-400,0,6,0.0000," in failing
        assert "A case does not fit" in command(*asked, "--out", str(tmp_path / "x.jsonl"), "--dataset", _other(tmp_path))[2]
    lines = [orjson.loads(line) for line in out.read_bytes().splitlines()]
    assert len(lines) == 12
    assert all(line["scores"]["contains"] == 1 and line["scores"]["json"] == 0 and line["nano_usd"] > 0 for line in lines)
    assert f"{name}@1 gpt-4o,6,0," in said
    assert 'contains,1,1,"+0 [0, 0]",1.000,not shown to differ' in said


def _other(folder: Path) -> str:
    file = folder / "other.cases.jsonl"
    file.write_text('{"question": "another variable"}\n')
    return str(file)
