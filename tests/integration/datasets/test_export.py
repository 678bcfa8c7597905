"""Exports from a real engine: complete, resumed where they broke off, and never half a file."""

import csv
import io
import uuid
from pathlib import Path
from typing import Any

import orjson
import pytest
from clickhouse_connect.driver.client import Client
from pyarrow import parquet  # type: ignore[import-untyped]  # ships no types
from tests.integration.datasets.conftest import Traffic, say
from tests.integration.datasets.test_build import clean, question

from llmtower_processors.datasets.build import Target, build
from llmtower_processors.datasets.erase import erase
from llmtower_processors.datasets.errors import DatasetError
from llmtower_processors.datasets.exports.write import export
from llmtower_schemas.datasets import Manifest

pytestmark = pytest.mark.integration


def version(client: Client, **changes: Any) -> Manifest:
    target = Target("default", "d", str(uuid.uuid4()))
    built = build(client, question(chance=True, near=0.0, **changes), target, redact=clean)
    made = Manifest(name="d", version=1, build_id=target.build_id, created_at_us=1, start_us=0, end_us=1, sha256=built.sha256)
    return made.model_copy(update={"counts": built.counts})


class InterruptedHereError(Exception):
    pass


def stop(*_: int) -> None:
    raise InterruptedHereError


def test_an_interrupted_export_goes_on_and_comes_to_the_same_bytes(client: Client, traffic: Traffic, tmp_path: Path) -> None:
    traffic([{"output": f"answer {number}" if number % 5 else [{"role": "assistant", "content": None}]} for number in range(30)])
    manifest = version(client)
    for form in ("openai-chat", "csv"):
        straight, broken = tmp_path / f"straight.{form}", tmp_path / f"broken.{form}"
        whole = export(client, manifest, form, straight, page=7)
        broken.write_text("what was there")
        for _ in range(2):
            with pytest.raises(InterruptedHereError):
                export(client, manifest, form, broken, page=7, progress=stop)
        assert broken.read_text() == "what was there"
        with Path(f"{broken}.part").open("ab") as half:
            half.write(b"half a li")
        assert export(client, manifest, form, broken, page=7) == whole
        assert broken.read_bytes() == straight.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.csv", "broken.openai-chat", "straight.csv", "straight.openai-chat"]
    rows = list(csv.DictReader(io.StringIO((tmp_path / "straight.csv").read_text("utf-8"))))
    assert [row["position"] for row in rows] == list(map(str, range(30)))
    lines = (tmp_path / "straight.openai-chat").read_bytes().splitlines()
    assert len(lines) == 24
    skipped = {"its answer has no text (a tool call, a refusal to answer, an error)": 6}
    assert export(client, manifest, "alpaca", tmp_path / "x").skipped == skipped


def test_what_was_begun_for_another_version_or_format_is_begun_anew(client: Client, traffic: Traffic, tmp_path: Path) -> None:
    traffic([{} for _ in range(20)])
    manifest, other = version(client), version(client, seed=3, size=15)
    out = tmp_path / "out"
    for first, form in ((other, "alpaca"), (manifest, "gemini")):
        with pytest.raises(InterruptedHereError):
            export(client, first, form, out, page=7, progress=stop)
    Path(f"{out}.part.json").write_bytes(b"{broken")
    assert export(client, manifest, "alpaca", out, page=7).lines == 20
    assert all("instruction" in orjson.loads(line) for line in out.read_bytes().splitlines())


def test_pairs_come_from_corrections_and_from_thumbs_on_the_same_input(client: Client, traffic: Traffic, tmp_path: Path) -> None:
    ids = traffic([{"input": "Q", "output": text} for text in ("good", "bad", "worse")] + [{"input": "R", "output": "wrong"}, {}])
    for target, score in zip(ids, (1.0, -0.5, -1.0), strict=False):
        say(client, target, score)
    say(client, ids[3], -1.0, correction="right")
    done = export(client, version(client), "preference", tmp_path / "pairs", page=2)
    lines = [orjson.loads(line) for line in (tmp_path / "pairs").read_bytes().splitlines()]
    found = {tuple(line[name][0]["content"] for name in ("preferred_output", "non_preferred_output")) for line in lines}
    assert found == {("good", "worse"), ("right", "wrong")}
    assert sum(done.skipped.values()) == 3


def test_parquet_is_gone_on_with_and_holds_every_row_as_it_is(client: Client, traffic: Traffic, tmp_path: Path) -> None:
    ids = traffic([{"output": f"answer {number}"} for number in range(20)])
    say(client, ids[3], -1.0, correction="right")
    manifest, out = version(client), tmp_path / "x.parquet"
    with pytest.raises(InterruptedHereError):
        export(client, manifest, "parquet", out, page=7, progress=stop)
    told: list[tuple[int, int]] = []
    done = export(client, manifest, "parquet", out, page=7, progress=lambda *far: told.append(far))
    assert (told, [path.name for path in tmp_path.iterdir()]) == ([(14, 20), (20, 20)], ["x.parquet"])
    table = parquet.read_table(out)
    assert (done.lines, done.bytes, table.num_rows) == (20, out.stat().st_size, 20)
    rows = client.query("SELECT position, toString(call_id), feedback, output, correction FROM dataset_items ORDER BY position").result_rows
    assert [tuple(row.values()) for row in table.select(["position", "call_id", "feedback", "output", "correction"]).to_pylist()] == rows
    assert {str(table.schema.field(name).type) for name in ("started_at", "position")} == {"timestamp[us, tz=UTC]", "uint32"}


def test_a_parquet_file_that_could_not_take_its_place_is_made_again(client: Client, traffic: Traffic, tmp_path: Path) -> None:
    traffic([{} for _ in range(3)])
    manifest, out = version(client), tmp_path / "x.parquet"
    out.mkdir()
    with pytest.raises(DatasetError, match="Cannot write"):
        export(client, manifest, "parquet", out)
    out.rmdir()
    assert export(client, manifest, "parquet", out).lines == parquet.read_table(out).num_rows == 3
    assert [path.name for path in tmp_path.iterdir()] == ["x.parquet"]


def test_texts_that_were_erased_meanwhile_are_not_gone_on_with(client: Client, traffic: Traffic, tmp_path: Path) -> None:
    ids = traffic([{"output": f"answer {number}"} for number in range(20)])
    manifest, out = version(client), tmp_path / "x"
    with pytest.raises(InterruptedHereError):
        export(client, manifest, "alpaca", out, page=19, progress=stop)
    erase(client, "default", ids[:2])
    assert export(client, manifest, "alpaca", out, page=19).skipped == {"its texts were erased": 2}
    assert {orjson.loads(line)["output"] for line in out.read_bytes().splitlines()} == {f"answer {number}" for number in range(2, 20)}


def test_what_cannot_be_exported_says_why_and_leaves_no_file(client: Client, traffic: Traffic, tmp_path: Path) -> None:
    traffic([{} for _ in range(5)])
    manifest = version(client)
    out = tmp_path / "out"
    with pytest.raises(DatasetError, match="5 of 5 rows can be written as openai-chat, it needs 10"):
        export(client, manifest, "openai-chat", out)
    with pytest.raises(DatasetError, match=r"0 of 5 rows .* 5 x nobody corrected it"):
        export(client, manifest, "preference", out)
    lost = manifest.model_copy(update={"build_id": str(uuid.uuid4())})
    with pytest.raises(DatasetError, match="should have 5 rows, ClickHouse gave 0"):
        export(client, lost, "csv", tmp_path / "other")
    with pytest.raises(DatasetError, match="There is no folder"):
        export(client, manifest, "csv", tmp_path / "none" / "out")
    with pytest.raises(DatasetError, match="'xml' is no format"):
        export(client, manifest, "xml", out)
    assert not out.exists()
