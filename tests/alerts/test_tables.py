"""What ClickHouse says of a question it refuses is said again with the word of the question, and with no data."""

import pytest

from llmtower_processors.alerts.tables import refusal

_SYNTAX = "Code: 62. DB::Exception: Syntax error: failed at position {place} (calls): secret"


@pytest.mark.parametrize("before", ["SELECT count( FROM ", "SELECT 'größter Überhang · 最大 🙂', count( FROM "])
def test_the_place_of_a_syntax_error_is_counted_in_bytes(before: str) -> None:
    found = refusal(62, "SYNTAX_ERROR", _SYNTAX.format(place=len(before.encode()) + 1), f"{before}calls")
    assert str(found) == "ClickHouse refuses the question: error 62 SYNTAX_ERROR (at 'calls')"
    assert found.position == len(before)
