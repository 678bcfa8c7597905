"""Datasets out of a real engine: what is chosen, what is left out, and what is written."""

import uuid
from datetime import timedelta
from typing import Any

import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.datasets.conftest import NOON, Traffic, compute, put, rate, say

from llmtower.personal import redact_personal
from llmtower.redaction import redact
from llmtower_processors.datasets.build import Built, Target, build, left_over
from llmtower_processors.datasets.condition import safe
from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.question import Question, read_score
from llmtower_processors.datasets.reading import drifted_windows

pytestmark = pytest.mark.integration

LEFT_OUT = str(uuid.UUID(int=999))
STORY = " ".join(f"word{number}" for number in range(60))


def question(**changes: Any) -> Question:
    given: dict[str, Any] = {"project": "default", "start": NOON, "end": NOON + timedelta(hours=1), "equal": {}}
    return Question(**given | changes)


def clean(text: str) -> str:
    return redact_personal(redact(text))


def made(client: Client, asked: Question, name: str = "d") -> tuple[Built, list[dict[str, Any]]]:
    target = Target("default", name, str(uuid.uuid4()))
    built = build(client, asked, target, redact=clean)
    result = client.query("SELECT * FROM dataset_items WHERE build_id = {b:UUID} ORDER BY position", parameters={"b": target.build_id})
    return built, [dict(zip(result.column_names, row, strict=True)) for row in result.result_rows]


def chosen(client: Client, asked: Question) -> set[str]:
    return {str(row["call_id"]) for row in made(client, asked)[1]}


def test_each_filter_finds_its_calls(client: Client, traffic: Traffic) -> None:
    ids = traffic([{"response_id": f"r{number}", "trace_id": "t1" if number == 9 else ""} for number in range(12)])
    say(client, ids[0], -1.0)
    say(client, ids[1], -1.0)
    say(client, "r2", -1.0, kind="response_id")
    say(client, "t1", -1.0, kind="trace_id")
    say(client, ids[3], 1.0, correction="better so")
    rate(client, ids[4], "toxicity", 0.9)
    rate(client, ids[5], "groundedness", 0.2)
    compute(client, ids[10], "groundedness", 0.1)
    compute(client, ids[11], "groundedness", 0.9)
    rate(client, ids[6], "politeness", 0.2)
    assert chosen(client, question(feedback="negative")) == {ids[0], ids[1], ids[2], ids[9]}
    assert chosen(client, question(feedback="positive")) == {ids[3]}
    assert chosen(client, question(feedback="corrected")) == {ids[3]}
    assert chosen(client, question(bad=("toxicity",))) == {ids[4]}
    assert chosen(client, question(bad=("groundedness",))) == {ids[5], ids[10]}
    assert chosen(client, question(scores=(read_score("politeness<0.5"),))) == {ids[6]}
    assert chosen(client, question(condition=safe("response_id IN ('r7', 'r8')"))) == {ids[7], ids[8]}
    assert chosen(client, question(equal={"trace_id": "t1"})) == {ids[9]}


def test_the_last_word_of_a_person_counts(client: Client, traffic: Traffic) -> None:
    ids = traffic([{}, {}])
    say(client, ids[0], -1.0)
    put(client, "feedback", [{"feedback_id": str(uuid.uuid4()), "project": "default", "app": "support", "at": NOON + timedelta(hours=2),
        "target_kind": "call_id", "target_id": ids[0], "name": "thumbs", "score": 1.0, "user_id": "ada"}])  # fmt: skip
    say(client, ids[1], -1.0)
    assert chosen(client, question(feedback="negative")) == {ids[1]}


def test_expensive_failed_and_drifted_calls(client: Client, traffic: Traffic) -> None:
    ids = traffic([{"cost_nano_usd": 90_000_000}, {"status": "error"}, {"app": "search"}, {"cost_nano_usd": None}])
    assert chosen(client, question(min_nano_usd=50_000_000)) == {ids[0]}
    assert chosen(client, question(failed=True)) == {ids[1]}
    drift = {"at": NOON + timedelta(minutes=10), "window_minutes": 10, "project": "default", "app": "search", "request_model": "gpt-4o"}
    put(client, "drift", [drift | {"status": "drift"}])
    windows = drifted_windows(client, "default", int(NOON.timestamp() * 1e6), int(NOON.timestamp() * 1e6) + 3_600_000_000)
    assert chosen(client, question(drifted=windows)) == {ids[2]}
    with pytest.raises(DatasetError, match="None of the 4 calls"):
        made(client, question(drifted=()))


def test_doubles_go_secrets_and_personal_data_are_marked_and_all_is_counted(client: Client, traffic: Traffic) -> None:
    traffic(
        [
            {"input": [{"role": "user", "content": "mail me at ada@example.org"}], "output": "4111 1111 1111 1111"},
            {"input": "Same   question", "output": "same answer"},
            {"input": "same question", "output": "Same answer"},
            {"input": STORY, "output": "yes"},
            {"input": STORY + " and one more", "output": "yes"},
            {"input": "", "output": ""},
            {"input": {"sha256": "0" * 64, "bytes": 3}, "output": {"sha256": "0" * 64, "bytes": 3}},
        ]
    )  # fmt: skip
    built, rows = made(client, question(chance=True))
    counts = built.counts
    assert (counts.in_span, counts.matched, counts.read, counts.without_text) == (7, 7, 7, 2)
    assert (counts.exact_duplicates, counts.near_duplicates, counts.kept) == (1, 1, 3)
    assert dict(built.redactions) == {"email": 1, "card": 1}
    whole = "".join(row["input"] + row["output"] for row in rows)
    assert "ada@example.org" not in whole
    assert "4111" not in whole
    assert sorted(row["position"] for row in rows) == [0, 1, 2]
    assert made(client, question(chance=True))[0].sha256 == built.sha256
    kept = [made(client, question(chance=True, near=near))[0].counts.kept for near in (0.0, 1.0)]
    assert kept == [4, 4]


def test_people_s_words_come_along(client: Client, traffic: Traffic) -> None:
    ids = traffic([{"response_id": "r0"}, {}])
    say(client, "r0", 1.0, kind="response_id", correction="call +49 30 901820")
    say(client, ids[1], -1.0, user="ada")
    say(client, ids[1], 0.0, user="bob")
    rows = {str(row["call_id"]): row for row in made(client, question(chance=True))[1]}
    assert (rows[ids[0]]["feedback"], rows[ids[0]]["correction"]) == (1.0, "call [redacted:telephone]")
    assert (rows[ids[1]]["feedback"], rows[ids[1]]["correction"]) == (-0.5, "")


def test_a_random_part_depends_on_the_seed_alone_and_is_spread_over_strata(client: Client, traffic: Traffic) -> None:
    traffic([{"app": "big" if number % 10 else "small"} for number in range(60)])
    parts = [chosen(client, question(chance=True, size=10, seed=seed)) for seed in (0, 0, 1)]
    assert parts[0] == parts[1] != parts[2]
    assert len(parts[0]) == 10
    rows = made(client, question(chance=True, stratify=("app",), size=10))[1]
    assert sorted(row["app"] for row in rows) == ["big"] * 5 + ["small"] * 5
    assert len(made(client, question(chance=True, stratify=("app",), size=50))[1]) == 50


def test_pages_follow_each_other_until_the_dataset_is_full_or_nothing_is_left(client: Client, traffic: Traffic) -> None:
    traffic([{"input": f"question {number // 239}", "output": "the same"} for number in range(240)])
    built, rows = made(client, question(chance=True, size=3, near=0.0))
    assert sorted(row["input"] for row in rows) == ["question 0", "question 1"]
    assert built.counts.read == 240


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"equal": {"app": "nobody"}}, "None of the 3 calls"),
    ({}, "every one of the 3 calls"),
    ({"condition": "(1 = 1)"}, "every one of the 3 calls"),
    ({"condition": "(app = = 'x')"}, "does not understand --where"),
    ({"condition": "(app > 5)"}, "does not understand --where"),
    ({"project": "other", "chance": True}, "has no call between"),
    ({"size": 0, "chance": True}, "1 to 200,000 are allowed"),
    ({"size": 300_000, "chance": True}, "--near 0"),
]


def test_a_question_for_nothing_everything_or_nonsense_writes_nothing(client: Client, traffic: Traffic) -> None:
    traffic([{}, {}, {}])
    for changes, reason in NONSENSE:
        with pytest.raises(DatasetError, match=reason):
            made(client, question(**changes))
    assert client.query("SELECT count() FROM dataset_items").result_rows == [(0,)]


def test_a_build_that_fails_leaves_nothing_behind(client: Client, traffic: Traffic) -> None:
    traffic([{"input": f"question {number}"} for number in range(5)])

    def broken(text: str) -> str:
        if text == "question 3":
            raise RuntimeError("a hook")
        return text

    with pytest.raises(RuntimeError):
        build(client, question(chance=True, near=0.0), Target("default", "d", str(uuid.uuid4())), redact=broken)
    assert client.query("SELECT count() FROM dataset_items").result_rows == [(0,)]


def test_rows_of_killed_builds_are_known_by_their_age(client: Client) -> None:
    old, young, known = (uuid.UUID(f"{time}-0000-7000-8000-00000000000{n}") for n, time in enumerate(("01900000", "0fff0000", "01910000")))
    put(client, "dataset_items", [{"dataset": "d", "build_id": one} for one in (old, young, known)])
    assert left_over(client, "d", [str(known)]) == [str(old)]


def test_texts_that_came_apart_from_their_call_are_taken_where_it_has_none(client: Client, traffic: Traffic) -> None:
    silent = {"input": "", "output": ""}
    some = [{"input": "own question", "output": "own answer"}, silent | {"output": "own answer, late question"}]
    ids = traffic([silent, *some, silent, silent])
    late = {"project": "default", "app": "support", "trace_id": "", "span_id": "", "name": "", "input": "", "output": ""}

    def message(call: str, second: int, **sides: Any) -> dict[str, Any]:
        return late | {"call_id": call, "at": NOON + timedelta(seconds=second)} | sides

    put(
        client,
        "late_contents",
        [
            message(ids[0], 3, output='{"index":0,"message":{"content":"In Paris."}}'),
            message(ids[0], 2, input='{"role":"user","content":"Where is it?"}'),
            message(ids[0], 1, input='[{"role":"system","content":"Be short."}]'),
            message(ids[1], 1, input='{"role":"user","content":"late"}', output='{"message":{"content":"late"}}'),
            message(ids[2], -3_600, input='{"role":"user","content":"asked an hour before"}'),
            message(ids[3], 90_000, input='"more than a day after"', output='"too"'),
            message(ids[4], 5, trace_id="t", span_id="left-out", name="llmtower.within"),
            message(LEFT_OUT, 4, trace_id="t", span_id="left-out", input='{"role":"user","content":"Who?"}'),
            message(LEFT_OUT, 6, trace_id="t", span_id="left-out", output='{"message":{"content":"Me."}}'),
            message(LEFT_OUT, 6, trace_id="t", span_id="another", output='{"message":{"content":"Not me."}}'),
        ],
    )
    built, rows = made(client, question(chance=True))
    assert (built.counts.kept, built.counts.without_text) == (4, 1)
    said = {str(row["call_id"]): (row["input"], row["output"]) for row in rows}
    assert said == {
        ids[0]: (
            '[{"role":"system","content":"Be short."},{"role":"user","content":"Where is it?"}]',
            '[{"index":0,"message":{"content":"In Paris."}}]',
        ),
        ids[1]: ("own question", "own answer"),
        ids[2]: ('[{"role":"user","content":"asked an hour before"}]', "own answer, late question"),
        ids[4]: ('[{"role":"user","content":"Who?"}]', '[{"message":{"content":"Me."}}]'),
    }
