"""Datasets as a user types them, on the real Kafka and the real engine."""

import csv
import io
import json
from pathlib import Path

import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.cli.conftest import Command
from tests.integration.datasets.conftest import BASE, NOON, put

pytestmark = pytest.mark.integration


@pytest.fixture
def settings(settings: dict[str, str]) -> dict[str, str]:
    """Nothing expires: the calls are of a day that is ever longer ago."""
    return settings | {"LLMTOWER_RETENTION__CALLS_DAYS": "0", "LLMTOWER_RETENTION__CONTENTS_DAYS": "0"}


@pytest.fixture
def client(writer: Client) -> Client:
    """The writer, beside the commands; forty calls are there, of which four are rated badly."""
    ids = [f"00000000-0000-7000-8000-{number:012}" for number in range(40)]
    head = [{"call_id": one, "project": "default", "started_at": NOON} for one in ids]
    named = [{"app": f"app-{number % 2}", "response_id": f"answer-{number}", "trace_id": f"trace-{number // 2}"} for number in range(40)]
    put(writer, "calls", [one | BASE | more for one, more in zip(head, named, strict=True)])
    texts = [{"kind": "call", "input": f"I am user{number}@example.org", "output": f"answer {number}"} for number in range(40)]
    put(writer, "contents", [one | text for one, text in zip(head, texts, strict=True)])
    said = {"project": "default", "app": "app", "at": NOON, "target_kind": "call_id", "name": "thumbs", "score": -1.0, "user_id": "ada"}
    put(writer, "feedback", [said | {"feedback_id": one, "target_id": one} for one in ids[:4]])
    return writer


SPAN = ("--from", "2026-11-20", "--to", "2026-11-21")


def test_versions_are_built_listed_shown_and_compared(command: Command, client: Client, database: str) -> None:
    code, out, err = command("datasets", "build", database, *SPAN, "--feedback", "negative", "--note", "why", "--near", "0")
    assert (code, err) == (0, "")
    assert out.startswith(f"{database}@1: 4 items. Of 40 calls 4 matched, 4 were read; 0 had no text, 0 were equal and 0 similar")
    assert "Redacted: email 4." in out
    assert command("datasets", "build", database, *SPAN, "--random", "--where", "app = 'app-1'", "--near", "0")[0] == 0
    rows = [json.loads(line) for line in command("datasets", "list", "--format", "json")[1].splitlines()]
    assert [(row["dataset"], row["items"], row["note"]) for row in rows if row["dataset"].startswith(database)] == [
        (f"{database}@1", 4, "why"),
        (f"{database}@2", 20, ""),
    ]
    shown = dict(line.split(",", 1) for line in command("datasets", "show", f"{database}@1", "--format", "csv")[1].splitlines())
    assert (shown["asked: feedback"], shown["calls in span"], shown["items"], shown["redacted: email"]) == ("negative", "40", "4", "4")
    lines = command("datasets", "diff", f"{database}@1", database, "--format", "csv")[1].splitlines()
    wanted = {"items,all,4,20", "items,in both,2,2", "items,only here,2,18", "asked,feedback,negative,", "from,app-1 · gpt-4o,2,20"}
    assert wanted <= set(lines)


def test_nothing_is_written_where_a_build_is_refused_or_only_tried(command: Command, client: Client, database: str) -> None:
    assert command("datasets", "build", database, *SPAN, "--feedback", "negative", "--dry-run")[1].startswith("4 of the 40 calls")
    for words, reason in {
        (): "asks for every one of the 40 calls",
        ("--app", "nobody"): "None of the 40 calls",
        ("--where", "app ="): "ClickHouse does not understand --where",
        ("--where", "app = (SELECT 1)"): "SELECT is no column",
        ("--bad", "rudeness"): "no score that can be bad",
        ("--score", "x"): "no condition on a score",
        ("--stratify", "input"): "cannot spread over 'input'",
        ("--last", "3y"): "no span of time",
    }.items():
        span = SPAN if "--last" not in words else ()
        code, out, err = command("datasets", "build", database, *span, *words)
        assert (code, out) == (1, ""), words
        assert reason in err
    assert "is no name for a dataset" in command("datasets", "build", "a b", *SPAN, "--random")[2]
    assert "There is no dataset" in command("datasets", "show", database)[2]
    assert client.query("SELECT count() FROM dataset_items").result_rows == [(0,)]


def test_an_export_says_what_it_wrote_and_never_replaces_a_file_unasked(
    command: Command, client: Client, database: str, tmp_path: Path
) -> None:
    assert command("datasets", "build", database, *SPAN, "--random", "--near", "0")[0] == 0
    out = tmp_path / "train.jsonl"
    code, said, err = command("datasets", "export", database, "--out", str(out))
    assert (code, err) == (0, "")
    assert said.startswith(f"{out}: 40 of 40 rows of {database}@1 as openai-chat, ")
    lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()]
    assert [message["role"] for message in lines[0]["messages"]] == ["user", "assistant"]
    assert "@example.org" not in out.read_text("utf-8")
    assert "is there already" in command("datasets", "export", database, "--out", str(out))[2]
    assert command("datasets", "export", database, "--format", "csv", "--out", str(out), "--overwrite")[0] == 0
    assert len(list(csv.DictReader(io.StringIO(out.read_text("utf-8"))))) == 40
    assert "no version 7" in command("datasets", "export", f"{database}@7", "--out", str(tmp_path / "x"))[2]


def test_calls_are_forgotten_that_a_user_spoke_of_by_answer_or_trace(command: Command, client: Client, database: str) -> None:
    said = {"project": "default", "app": "app", "at": NOON, "name": "stars", "score": 1.0, "user_id": "eve"}
    for number, (kind, target) in enumerate({"response_id": "answer-9", "trace_id": "trace-10", "call_id": "no call of ours"}.items()):
        feedback_id = f"00000000-0000-7000-8000-{90 + number:012}"
        put(client, "feedback", [said | {"feedback_id": feedback_id, "target_kind": kind, "target_id": target}])
    command("datasets", "build", database, *SPAN, "--random", "--near", "0")
    assert command("datasets", "erase", "--user", "eve")[1].startswith("3 calls, 3 rows emptied.")
    left = client.query("SELECT toString(call_id) FROM dataset_items WHERE input = '' ORDER BY call_id").result_rows
    assert [call for (call,) in left] == [f"00000000-0000-7000-8000-{number:012}" for number in (9, 20, 21)]


def test_who_is_forgotten_leaves_every_version(command: Command, client: Client, database: str, tmp_path: Path) -> None:
    ids = [f"00000000-0000-7000-8000-{number:012}" for number in range(40)]
    said = {"project": "default", "app": "app", "at": NOON, "target_kind": "call_id", "name": "stars", "score": 1.0, "user_id": "bob"}
    put(
        client,
        "feedback",
        [said | {"feedback_id": f"00000000-0000-7000-8000-{90 + number:012}", "target_id": ids[number]} for number in (5, 6)],
    )
    for _ in range(2):
        command("datasets", "build", database, *SPAN, "--random", "--near", "0")
    assert command("datasets", "erase", "--user", "bob", "--dry-run")[1].startswith("2 calls, 4 rows would be emptied.")
    code, out, err = command("datasets", "erase", "--user", "bob", "--call", ids[7].upper())
    assert (code, "Name whom to forget" in err) == (1, True)
    code, out, err = command("datasets", "erase", "--user", "bob", "--note", "ticket 812")
    assert (code, err) == (0, "")
    assert f"  {database}@1: 2 rows" in out
    assert f"  {database}@2: 2 rows" in out
    assert command("datasets", "erase", "--call", ids[7].upper())[1].startswith("1 calls, 2 rows emptied.")
    assert command("datasets", "erase", "--user", "bob")[1] == "2 calls, 0 rows emptied.\n"
    assert "is no call_id" in command("datasets", "erase", "--call", "x")[2]
    left = client.query(
        "SELECT call_id, input, output FROM dataset_items WHERE input = '' OR output = '' OR empty(trim(input))"
    ).result_rows
    assert sorted({str(row[0]) for row in left}) == sorted([ids[5], ids[6], ids[7]])
    assert {row[1:] for row in left} == {("", "")}
    done = command("datasets", "export", database, "--format", "alpaca", "--out", str(tmp_path / "x.jsonl"))[1]
    assert "37 of 40 rows" in done
    assert "left out 3: its texts were erased" in done
