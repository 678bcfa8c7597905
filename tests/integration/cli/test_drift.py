"""`llmtower drift`: slices by every dimension, what is wrong with others in a sentence, baselines."""

import time
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from tests.integration.cli.conftest import Command

pytestmark = pytest.mark.integration

_FILL = """
INSERT INTO drift_ranges (minute, project, app, environment, request_model, prompt_name, prompt_version, direction, language, embedder,
    calls, texts, features, mean, incarnation, kafka_offset)
SELECT toDateTime({now:UInt32} - 600 * number - 600, 'UTC'), 'default', ['shop', 'bank'][number % 2 + 1], 'production',
    ['gpt-4o', 'sonnet'][number % 2 + 1], 'answer', ['v3', 'v4'][number % 2 + 1], 'input', ['en', 'de'][number % 2 + 1],
    'hashed-words@1:256', 20, 20,
    arrayMap(x -> toInt64(32768 * 14 * (x < 128) + 9000 * (number % 2) * (x % 2)), range(256)), range(256), 'i', number
FROM numbers(200)
"""


def rows(out: str) -> list[dict[str, Any]]:
    return list(map(orjson.loads, out.splitlines()))


@pytest.fixture
def filled(writer: Client) -> Client:
    """Two apps that differ in everything, a row every ten minutes."""
    writer.command(_FILL, parameters={"now": int(time.time()) // 60 * 60}, settings={"insert_deduplication_token": "fill"})
    return writer


def test_slices_are_compared_by_every_dimension_and_what_is_wrong_is_a_sentence(filled: Client, command: Command) -> None:
    pairs = [("app=shop", "app=bank"), ("model=gpt-4o", "model=sonnet"), ("prompt=v3", "prompt=answer/v4"), ("language=en", "language=de")]
    for a, b in pairs:
        code, out, err = command("drift", "compare", "--a", a, "--b", b, "--last", "7d", "--format", "json")
        (row,) = rows(out)
        assert (code, err, row["verdict"], row["texts_a"], row["texts_b"]) == (0, "", "differs", 2_000, 2_000), (a, b)

    for a, said in {
        "prompt=v9": "Slice a does not have a call in its span",
        "version=3": "'version=3' is no part of a slice. Write name=value; names are project, app, environment, model",
        "language=german": "No language is called 'german'",
        "app=shop,last=soon": "'soon' is no span of time. Write a number and m, h, d or w: 7d",
    }.items():
        code, out, err = command("drift", "compare", "--a", a, "--b", "prompt=v4")
        assert (code == 0) == (a == "prompt=v9")
        assert said in err.replace("\n", " ")
        assert "Traceback" not in out + err
    code, _, err = command("drift", "explain", "--a", "app=shop", "--b", "app=bank", "--direction", "question")
    assert (code != 0, "No direction is called 'question'. There are: input, output" in err) == (True, True)


def test_a_baseline_is_set_shown_and_forgotten(filled: Client, command: Command) -> None:
    code, out, _ = command("drift", "baseline", "set", "launch", "--slice", "app=shop", "--last", "7d", "--note", "approved")
    assert (code, "Baseline launch of project default: 2,000 texts" in out) == (0, True)
    ((name, note),) = [(row["name"], row["note"]) for row in rows(command("drift", "baseline", "list", "--format", "json")[1])]
    assert (name, note) == ("launch", "approved")
    code, _, err = command("drift", "baseline", "set", "empty", "--slice", "app=none")
    assert (code != 0, "it cannot be a baseline" in err) == (True, True)
    assert command("drift", "baseline", "delete", "launch")[0] == 0
    code, _, err = command("drift", "baseline", "delete", "launch")
    assert (code != 0, "has no baseline launch" in err) == (True, True)
