"""The start-up repair of deduplication logs, on files."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.engine.repair import Entry, Part, parse_line, parse_part, phantoms, repair


def _table(data: Path, logs: dict[int, str], parts: list[str]) -> Path:
    table = data / "store" / "abc" / "abc-uuid"
    (table / "deduplication_logs").mkdir(parents=True)
    for number, text in logs.items():
        (table / "deduplication_logs" / f"deduplication_log_{number}.txt").write_text(text)
    for name in (*parts, "detached", "tmp_insert_202601_9_9_0", "delete_tmp_202601_8_8_0"):
        (table / name).mkdir()
    (table / "format_version.txt").write_text("1")
    return table


def _log(table: Path, number: int = 1) -> str:
    return (table / "deduplication_logs" / f"deduplication_log_{number}.txt").read_text()


def _add(part: str, block: str | None = None) -> str:
    return f"1\t{part}\t{block or 'b_' + part}\n"


def _drop(part: str, block: str | None = None) -> str:
    return f"2\t{part}\t{block or 'b_' + part}\n"


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("202601_1_5_2", Part("202601", 1, 5)),
        ("all_3_3_0_7", Part("all", 3, 3)),
        ("f6b3c1_10_10_0", Part("f6b3c1", 10, 10)),
        ("tmp_insert_202601_1_1_0", None),
        ("format_version.txt", None),
        ("202601_1_5", None),
        ("", None),
    ],
)
def test_part_names(name: str, part: Part | None) -> None:
    assert parse_part(name) == part


def test_a_healthy_log_is_left_alone(tmp_path: Path) -> None:
    text = _add("202601_1_1_0") + _add("202602_2_2_0") + _add("202601_3_3_0")
    table = _table(tmp_path, {1: text}, ["202601_1_3_1", "202602_2_2_0_9"])
    assert repair(tmp_path) == []
    assert _log(table) == text


def test_a_block_without_its_part_is_forgotten(tmp_path: Path) -> None:
    kept = _add("202601_1_1_0") + _add("202602_2_2_0")
    table = _table(tmp_path, {1: kept + _add("202601_3_3_0")}, ["202601_1_1_0", "202602_2_2_0"])
    (done,) = repair(tmp_path)
    assert (done.blocks, done.torn_lines) == (("b_202601_3_3_0",), 0)
    assert _log(table) == kept
    assert repair(tmp_path) == []


@pytest.mark.parametrize("torn", ["1", "1\t202601_2", "1\t202601_2_2_0\tb_2026", "1\t202601_2_2_0\tb\textra", "\x00\x00\x00", "7\tx\ty\n"])
def test_torn_lines_are_dropped(tmp_path: Path, torn: str) -> None:
    table = _table(tmp_path, {1: _add("202601_1_1_0") + torn}, ["202601_1_1_0"])
    (done,) = repair(tmp_path)
    assert (done.blocks, done.torn_lines) == ((), 1)
    assert _log(table) == _add("202601_1_1_0")


def test_only_the_tail_is_judged(tmp_path: Path) -> None:
    """A block whose rows have expired has no part either; its token must stay remembered."""
    text = _add("202501_1_1_0") + _add("202601_2_2_0")
    table = _table(tmp_path, {1: text}, ["202601_2_2_0"])
    assert repair(tmp_path) == []
    assert _log(table) == text


def test_dropped_parts_do_not_end_the_tail(tmp_path: Path) -> None:
    text = _add("202601_1_1_0") + _add("202601_2_2_0") + _drop("202601_2_2_0")
    table = _table(tmp_path, {1: text + _add("202601_3_3_0") + _drop("202601_1_1_0")}, ["202601_1_1_0"])
    (done,) = repair(tmp_path)
    assert done.blocks == ("b_202601_3_3_0",)
    assert _log(table) == text + _drop("202601_1_1_0")


def test_the_tail_may_reach_into_the_file_before(tmp_path: Path) -> None:
    logs = {9: _add("all_1_1_0"), 10: _add("all_2_2_0"), 11: ""}
    table = _table(tmp_path, logs, ["all_1_1_0"])
    (done,) = repair(tmp_path)
    assert done.blocks == ("b_all_2_2_0",)
    assert [_log(table, number) for number in (9, 10, 11)] == [_add("all_1_1_0"), "", ""]


def test_another_partition_does_not_cover(tmp_path: Path) -> None:
    _table(tmp_path, {1: _add("202601_1_1_0") + _add("202602_2_2_0")}, ["202601_1_9_3"])
    (done,) = repair(tmp_path)
    assert done.blocks == ("b_202602_2_2_0",)


def test_an_empty_directory_needs_nothing(tmp_path: Path) -> None:
    assert repair(tmp_path) == []


@given(st.integers(0, 30), st.integers(0, 5))
def test_exactly_the_uncovered_tail_is_found(stored: int, lost: int) -> None:
    entries = [Entry(0, number, "1", Part("all", number, number), str(number)) for number in range(stored + lost)]
    found = phantoms(entries, [Part("all", 0, stored - 1)] if stored else [])
    assert sorted(entry.line for entry in found) == list(range(stored, stored + lost))


@given(st.text(max_size=60))
def test_any_line_is_read_or_called_torn(line: str) -> None:
    entry = parse_line(line, file=0, number=0)
    assert entry is None or "\t".join((entry.operation, line.split("\t")[1], entry.block_id)) == line
