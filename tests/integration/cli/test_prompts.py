"""The prompt commands on the real Kafka: push, sync, labels, keys, history, and what they refuse in which words."""

import uuid
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Command

pytestmark = pytest.mark.integration


def test_the_life_of_a_prompt(command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command("topics", "create")
    name, folder = f"t{uuid.uuid4().hex[:8]}/answer", tmp_path / "prompts"
    file = folder / f"{name}.md"
    file.parent.mkdir(parents=True)
    file.write_text("system:\nBe brief.\nuser:\n{{ question }}\n")
    assert command("prompts", "push", name, "--file", str(file), "--author", "anna")[1] == f"{name}@1 pushed\n"
    assert "nothing was pushed" in command("prompts", "push", name, "--file", str(file))[1]
    file.write_text("system:\nBe {{ tone }}.\nuser:\n{{ question }}\n")
    code, out, _ = command("prompts", "sync", str(folder), "--check")
    assert (code, "-Be brief.\n+Be {{ tone }}.\n" in out) == (1, True)
    assert f"pushed    {name}@2" in command("prompts", "sync", str(folder), "--apply", "--message", "tone")[1]
    assert command("prompts", "sync", str(folder), "--check")[0] == 0

    assert command("prompts", "promote", name, "1", "--label", "live", "--by", "anna")[1] == f"{name} live: nothing → 1\n"
    assert command("prompts", "promote", name, "2", "--label", "live", "--if", "1", "--by", "bert")[1] == f"{name} live: 1 → 2\n"
    code, _, err = command("prompts", "promote", name, "1", "--label", "live", "--if", "1")
    assert (code, err.startswith(f"{name} live points to 2, not to 1. bert moved it to 2.")) == (1, True)
    assert "does not exist; the versions" in command("prompts", "promote", name, "9", "--label", "live")[2]
    assert command("prompts", "rollback", name, "--label", "live", "--note", "rude")[1] == f"{name} live: 2 → 1\n"

    assert (
        command("prompts", "render", f"{name}@2", "--set", "tone=kind", "--set", "question=Why?")[1]
        == "system:\nBe kind.\n\nuser:\nWhy?\n\n"
    )
    assert command("prompts", "render", f"{name}@2", "--set", "tone=kind")[0] == 2
    assert "Be brief." in command("prompts", "show", f"{name}@live")[1]
    assert "has no label nowhere; it has: live" in command("prompts", "show", f"{name}@nowhere")[2]
    assert "-Be brief.\n+Be {{ tone }}." in command("prompts", "diff", f"{name}@1", name)[1]
    history = command("prompts", "history", name, "--format", "csv")[1].splitlines()
    assert [line.split(",")[1:4] for line in history[1:]] == [
        ["rollback", "live 2 → 1", history[1].split(",")[3]],
        ["promote", "live 1 → 2", "bert"],
        ["promote", "live nothing → 1", "anna"],
        ["push", "2", history[4].split(",")[3]],
        ["push", "1", "anna"],
    ]
    assert f"{name},2,live → 1,chat" in command("prompts", "list", "--format", "csv")[1]
    assert "is no name" in command("prompts", "history", "a@b")[2]

    key = command("keys", "create", "--scope", "promote")[1].strip()
    monkeypatch.setenv("LLMTOWER_PROMPTS__PROTECTED", "live")
    assert "is protected: a move needs a key" in command("prompts", "promote", name, "2", "--label", "live")[2]
    assert command("prompts", "promote", name, "2", "--label", "live", "--key", key)[0] == 0
    command("keys", "revoke", key.split("_")[1])
