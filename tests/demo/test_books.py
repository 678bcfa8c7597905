"""The books must notice every kind of difference, and stay balanced when there is none."""

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from llmtower_processors.demo.books import Account, balance
from llmtower_processors.demo.figures import Stored
from llmtower_processors.demo.processes import DemoError
from llmtower_processors.demo.runs import Run, Runs, read_runs, write_runs
from llmtower_processors.demo.said import Said
from llmtower_processors.demo.summary import print_books, render_books

SAID = Said(app="shop", producer="p1", kind="live", calls=10, others=3, events=23, provider_saw=10)
STORED = Stored(
    calls=10, unique_calls=10, events=23, unique_events=23, cost_nano_usd=1_500_000_000, unpriced_calls=2, duration_p95_us=900_000
)


def _faults(said: Said = SAID, stored: Stored = STORED, rollup_difference: int = 0) -> list[str]:
    return list(balance([said], {"shop": stored, "": stored}, rollup_difference=rollup_difference).faults)


def test_books_without_a_difference_balance() -> None:
    books = balance([SAID], {"shop": STORED, "": STORED})
    assert books.balanced
    assert not books.faults
    assert books.total.calls == Account(emitted=10, stored=10)
    summary = books.summary()
    assert summary["total"]["emitted"] == summary["total"]["stored"] == summary["apps"]["shop"]["stored"] == 10
    assert summary["total"]["cost_nano_usd"] == 1_500_000_000
    assert summary["balanced"] is True


def test_a_lost_call_is_missing() -> None:
    stored = replace(STORED, calls=9, unique_calls=9, events=22, unique_events=22)
    books = balance([SAID], {"shop": stored, "": stored})
    assert not books.balanced
    assert books.apps["shop"].calls == Account(emitted=10, stored=9, missing=1)
    assert books.total.calls.missing == 1


def test_a_doubled_call_is_seen_even_when_another_is_lost() -> None:
    stored = replace(STORED, calls=10, unique_calls=9, events=23, unique_events=22)
    books = balance([SAID], {"shop": stored, "": stored})
    assert books.apps["shop"].calls == Account(emitted=10, stored=10, missing=1, duplicated=1)
    assert not books.balanced


def test_a_lost_step_does_not_hide_behind_complete_calls() -> None:
    assert _faults(stored=replace(STORED, events=22, unique_events=22)) == ["shop: 1 events missing"]


@pytest.mark.parametrize(
    ("said", "word"),
    [
        (replace(SAID, events=22), "own count makes 23"),
        (replace(SAID, provider_saw=11), "provider saw 11"),
        (replace(SAID, dropped=1), "dropped 1"),
        (replace(SAID, spooled=4), "4 in its spool"),
    ],
)
def test_independent_counts_that_disagree_are_faults(said: Said, word: str) -> None:
    assert any(word in fault for fault in _faults(said))


def test_only_calls_without_an_answer_may_have_missed_the_provider() -> None:
    assert not _faults(replace(SAID, provider_saw=8, unanswered=2))
    assert _faults(replace(SAID, provider_saw=7, unanswered=2))


def test_dead_letters_rollups_and_rows_of_nobody_are_faults() -> None:
    assert any("dead letters" in fault for fault in _faults(stored=replace(STORED, dead_letters=1)))
    assert any("rollup_1m differs from calls by 5" in fault for fault in _faults(rollup_difference=5))
    assert any("nobody says" in fault for fault in _faults(said=replace(SAID, calls=9, others=5, provider_saw=9)))


def test_an_app_of_which_nothing_arrived_is_missing_as_a_whole() -> None:
    books = balance([SAID], {})
    assert books.apps["shop"].calls == Account(emitted=10, stored=0, missing=10)
    assert not books.balanced


def test_runs_of_one_app_add_up() -> None:
    again = replace(SAID, producer="p2", kind="history", provider_saw=None)
    stored = replace(STORED, calls=20, unique_calls=20, events=46, unique_events=46)
    books = balance([SAID, again], {"shop": stored, "": stored})
    assert books.balanced
    assert books.apps["shop"].provider_saw == 10
    assert books.apps["shop"].calls.emitted == 20


@pytest.mark.parametrize("width", [80, 140])
def test_the_summary_says_the_verdict_at_any_width(width: int) -> None:
    def text(stored: Stored) -> str:
        console = Console(width=width, record=True, force_terminal=True, file=io.StringIO())
        console.print(render_books("The books", balance([SAID], {"shop": stored, "": stored}), width=width))
        return console.export_text()

    good = text(STORED)
    assert "✓ The books balance" in good
    assert "Total cost $1.50 + 2 calls of unknown cost" in good.replace("\n", " ")
    bad = text(replace(STORED, calls=9, unique_calls=9))
    assert "✗ The books do not balance" in bad
    assert "1 calls missing" in bad
    assert all(len(line) <= width for line in (good + bad).splitlines())


def test_a_data_directory_remembers_its_demos(tmp_path: Path) -> None:
    assert read_runs(tmp_path) == Runs()
    opened = Runs().opened(Run(id="a", began="2026-01-01T00:00:00+00:00", history=True))
    assert opened.unclosed == 1
    assert not opened.closed([SAID]).has_history
    closed = opened.closed([SAID, replace(SAID, kind="history")])
    write_runs(tmp_path, closed)
    assert read_runs(tmp_path) == closed
    assert closed.has_history
    assert closed.unclosed == 0
    assert closed.said == [SAID, replace(SAID, kind="history")]


def test_a_broken_memory_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text("{", "utf-8")
    with pytest.raises(DemoError, match="remove it, or choose another --data-dir"):
        read_runs(tmp_path)


def test_a_piped_summary_cuts_no_figure() -> None:
    out = io.StringIO()
    print_books(Console(file=out), "books", balance([SAID], {"shop": STORED, "": STORED}))
    assert "…" not in out.getvalue()
    assert "$1.50" in out.getvalue().replace(" ", "")
