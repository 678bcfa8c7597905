"""Conditions of people: what is safe comes through as it is, everything else is refused with its place."""

import pytest

from llmtower_processors.datasets.condition import safe
from llmtower_processors.datasets.errors import DatasetError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("app = 'support' AND duration_us > 5e6", "(app = 'support' AND duration_us > 5e6)"),
        ("tags['team'] = 'x' -- why\n OR has(finish_reasons, 'length')", "(tags['team'] = 'x' OR has(finish_reasons, 'length'))"),
        ("cost_nano_usd >= 1.5 * 1000/2", "(cost_nano_usd >= 1.5 * 1000/2)"),
        ("user_id in ('a;b', 'it''s') and not (stream)", "(user_id in ('a;b', 'it''s') and not (stream))"),
        ("started_at > now() - INTERVAL 3 DAY", "(started_at > now() - INTERVAL 3 DAY)"),
    ],
)
def test_a_condition_over_columns_of_calls_is_kept(text: str, expected: str) -> None:
    assert safe(text) == expected


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "is empty"),
        ("-- nothing", "is empty"),
        ("app = 'x", "not closed"),
        ("app = 'x' /* y", "not closed"),
        ("(app = 'x'", "'\\(' is not closed"),
        ("1) OR (1", "character 2: '\\)' closes nothing"),
        ("has([1, 2), 3]", "closes nothing"),
        ("1; DROP TABLE calls", "';' may not stand"),
        ("call_id IN (SELECT call_id FROM contents)", "SELECT is no column"),
        ("app = {x:String}", "'{' may not stand"),
        ("file('x') = 1", "the function file is not allowed"),
        ("sleep(3)", "the function sleep is not allowed"),
        ("uper(app) = 'X'", "did you mean upper"),
        ("aap = 'x'", "aap is no column of calls; did you mean app"),
        ("`contents` = 1", "contents is no column"),
        ("app = 'x' SETTINGS max_threads = 1", "SETTINGS is no column"),
        ("app = $$x$$", "heredoc"),
        ("arrayExists(x -> x, [1])", "arrayExists is not allowed"),
        ("app = '" + "x" * 5_000 + "'", "4,000 are allowed"),
        ("app = '\ud800'", "it is no text"),
    ],
)
def test_anything_else_is_refused_with_its_place(text: str, reason: str) -> None:
    with pytest.raises(DatasetError, match=reason):
        safe(text)
