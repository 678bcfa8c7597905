"""The view at 80 and at 140 columns: nothing cut that matters, units always, unknown is a word."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from llmtower_processors.demo.display import PlainDisplay, TerminalDisplay
from llmtower_processors.demo.figures import Live, Row, Scored
from llmtower_processors.demo.numbers import compact, dollars, per_thousand, percent, seconds, significant
from llmtower_processors.demo.scenario import NORMAL, PHASES
from llmtower_processors.demo.summary import print_alerts
from llmtower_processors.demo.told import Told
from llmtower_processors.demo.view import Progress, Screen, plain_line, render

PRICED = Row(
    "search-assistant",
    "gpt-4.1-mini",
    300,
    {"rate_limit": 20, "server": 3, "timeout": 2},
    1.1e6,
    2.3e6,
    0.4e6,
    0.9e6,
    130_000,
    29_000,
    300_000_000,
    0,
)
UNPRICED = Row("summarizer", "house-llama-8b", 100, {}, 0.3e6, 5.2e6, None, None, 13_000, 9_000, None, 100)
LIVE = Live([PRICED, UNPRICED], 104_233, 123_456_789_012, 20_312, 0, 0.81, Scored(84_311, 4.2))
SCREEN = Screen(34, 26, PHASES[3], 5, 1_233, 31, LIVE, Progress(43_210, 100_000, 6.2))


BUSY = [
    replace(
        PRICED,
        app=app,
        model=model,
        calls=1_266,
        ttft_p50_us=52_100,
        duration_p95_us=10.4e6,
        cost_nano_usd=None if unpriced else 12_340_000_000,
        unpriced=unpriced,
        errors={"rate_limit": 140, "server": 7, "timeout": 1},
    )
    for app, model, unpriced in (
        ("code-helper", "gpt-4.1", 0),
        ("search-assistant", "text-embedding-3-small", 0),
        ("search-assistant", "gpt-4.1-mini", 0),
        ("support-bot", "gpt-4o-mini", 0),
        ("support-bot", "house-llama-8b", 1_266),
    )
]
"""Rows whose figures are as wide as they get."""


def _text(screen: Screen, width: int, height: int = 24) -> str:
    console = Console(width=width, record=True, force_terminal=True, file=io.StringIO())
    console.print(render(screen, width=width, height=height))
    return console.export_text()


@pytest.mark.parametrize("width", [80, 100, 140])
def test_no_line_is_wider_than_the_terminal_and_no_figure_is_cut(width: int) -> None:
    text = _text(SCREEN, width)
    assert all(len(line) <= width for line in text.splitlines())
    for needed in ("search-assistant", "gpt-4.1-mini", "300", "8.33", "1.10", "2.30", "$0.30", "unknown", "43,210 of 100,000", "$123.46"):
        assert needed in text, needed
    assert "20,312 calls of unknown cost" in text
    assert "price jump" in text
    assert "rate limit 20" in text


def test_a_wide_terminal_adds_classes_tokens_and_prices() -> None:
    wide, narrow = _text(SCREEN, 140), _text(SCREEN, 80)
    assert "6.67" in wide
    assert "130 k" in wide
    assert "$1.00" in wide
    assert "130 k" not in narrow


@pytest.mark.parametrize("width", range(80, 160, 4))
@pytest.mark.parametrize("height", [24, 40])
def test_no_figure_of_a_busy_minute_is_cut_at_any_size(width: int, height: int) -> None:
    text = _text(replace(SCREEN, live=replace(LIVE, rows=BUSY)), width, height)
    table = text[: text.index("Errors by class")].splitlines()
    assert all(len(line) <= width for line in table)
    assert sum("1,266 ! 11.7" in line for line in table) == len(BUSY)
    assert sum("! 10.4" in line for line in table) == len(BUSY)
    assert all("…" not in line.replace("text-embedding-…", "") for line in table if "price jump" not in line)


def test_120_columns_show_every_column_where_there_is_height() -> None:
    high, low = (
        _text(replace(SCREEN, live=replace(LIVE, rows=BUSY)), 120, 40),
        _text(replace(SCREEN, live=replace(LIVE, rows=BUSY)), 120, 18),
    )
    for needed in (
        "11.1",
        "0.079",
        "0.553",
        "0.052",
        "130 k",
        "29.0 k",
        "$9.75",
        "$12.34",
        "\n search-assistant".strip(),
        " text-embedding-3-small",
    ):
        assert needed in high, needed
    assert len(low.splitlines()) < len(high.splitlines())


def test_a_marked_figure_carries_a_sign_beside_its_colour() -> None:
    text = _text(SCREEN, 80)
    assert "! 8.33" in text
    assert "! 5.20" in text
    assert "! 2.30" not in text


def test_the_view_fits_a_small_terminal() -> None:
    apps = [replace(PRICED, app=f"app-{number // 3}", model=f"model-{number}") for number in range(11)]
    assert len(_text(replace(SCREEN, live=replace(LIVE, rows=apps)), 80).splitlines()) <= 24


def test_before_the_first_call_it_says_what_it_waits_for() -> None:
    text = _text(Screen(history_note="already here"), 80)
    assert "Waiting for the first call" in text
    assert "Ctrl-C ends it" in text
    assert "waiting" in plain_line(Screen())


def test_trouble_is_shown_beside_the_last_figures() -> None:
    text = _text(replace(SCREEN, trouble="ClickHouse cannot be read just now"), 80)
    assert "Trouble" in text
    assert "104,233" in text


def test_plain_lines_come_at_changes_and_every_few_seconds() -> None:
    file = io.StringIO()
    with PlainDisplay(Console(file=file, width=80)) as display:
        for tenth in range(120):
            display.show(replace(SCREEN, elapsed_s=tenth / 10, phase=NORMAL if tenth < 20 else PHASES[1]))
    lines = file.getvalue().splitlines()
    assert len(lines) == 3
    assert PHASES[1].name in lines[1]
    assert all("s old" in line for line in lines)


def test_a_terminal_is_redrawn_in_place() -> None:
    file = io.StringIO()
    with TerminalDisplay(Console(file=file, width=80, height=30, force_terminal=True)) as display:
        display.show(SCREEN)
        display.show(replace(SCREEN, questions=9_999))
    assert "9,999 questions" in file.getvalue()


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (0.0421, "0.042"),
        (0.5, "0.500"),
        (1.234, "1.23"),
        (12.34, "12.3"),
        (123.4, "123"),
        (1234.5, "1,234"),
        (9.999, "10.0"),
        (99.99, "100"),
    ],
)
def test_three_significant_figures(value: float, written: str) -> None:
    assert significant(value) == written


def test_unknown_is_never_zero() -> None:
    assert dollars(None) == seconds(None) == percent(0, 0) == per_thousand(None, 3) == per_thousand(5, 0) == "unknown"
    assert dollars(0) == "$0.00"
    assert dollars(1_000) == "<$0.01"
    assert dollars(1_234_567_890_123) == "$1,234.57"
    assert percent(0, 7) == "0"
    assert [compact(950), compact(12_345), compact(1_200_000)] == ["950", "12.3 k", "1.20 M"]


TOLD = (
    Told("WARNING: Many calls fail (app=chat)", "Value 20 %, level 10 %, from 90 calls", firing=True, critical=False, behind_s=4.26),
    Told("CRITICAL: Many calls fail (app=chat)", "Value 40 %, level 30 %, from 90 calls", firing=True, critical=True, behind_s=6.0),
    Told("RESOLVED: Many calls fail (app=chat)", "Value 1 %, level 10 %, from 90 calls", firing=False, critical=True, behind_s=3.0),
)


@pytest.mark.parametrize("width", [80, 140])
def test_alerts_are_shown_with_how_soon_they_were_told(width: int) -> None:
    text = _text(replace(SCREEN, told=TOLD), width)
    assert "Alert    CRITICAL: Many calls fail (app=chat)" in text
    assert "Alert    RESOLVED: Many calls fail (app=chat)" in text
    assert all(len(line) <= width for line in text.splitlines())
    if width > 100:
        assert "Value 40 %, level 30 %, from 90 calls, told 6.0 s after its window's end" in text


def test_plain_lines_say_each_alert_once() -> None:
    console = Console(width=200, record=True, file=io.StringIO())
    with PlainDisplay(console) as display:
        for told in ((), TOLD[:1], TOLD[:1], TOLD):
            display.show(replace(SCREEN, told=told))
    assert [line.split("ALERT  ")[1].split(" (")[0] for line in console.export_text().splitlines() if "ALERT" in line] == [
        "WARNING: Many calls fail",
        "CRITICAL: Many calls fail",
        "RESOLVED: Many calls fail",
    ]


def test_what_a_digest_says_of_one_rule_is_one_line() -> None:
    def told(app: str, value: str, message: int) -> Told:
        title = f"WARNING: Many calls fail (app={app})"
        measured = f"Value {value}, level 10 %, from 90 calls"
        more = {"rule": "error_rate", "group": app, "value": value, "message": message}
        return Told(title, measured, firing=True, critical=False, behind_s=float(message), **more)  # type: ignore[arg-type]

    found = (told("chat", "20 %", 1), told("search", "30 %", 1), told("batch", "40 %", 2))
    console = Console(width=200, record=True, file=io.StringIO())
    with PlainDisplay(console) as display:
        display.show(replace(SCREEN, told=found))
    lines = [line.split("ALERT  ")[1] for line in console.export_text().splitlines() if "ALERT" in line]
    assert lines == [
        "WARNING: Many calls fail  2 groups: chat 20 %, search 30 %, told 1.0 s after its window's end",
        "WARNING: Many calls fail (app=batch)  Value 40 %, level 10 %, from 90 calls, told 2.0 s after its window's end",
    ]
    print_alerts(console, found, {})
    text = console.export_text()
    assert "told of 3 in 2 messages" in text
    assert "none of them is over" in text
    assert "3 groups: chat 20 %, search 30 %, batch 40 %, told 2.0 s after its window's end" in text


def test_the_closing_words_say_how_soon_alerts_were_told() -> None:
    console = Console(width=140, record=True, file=io.StringIO())
    print_alerts(console, TOLD, {})
    print_alerts(console, (), {})
    text = console.export_text()
    assert "told of 2 in 1 message, 6.0 s after its window's end at the median, 6.0 s at most; 1 of them are over." in text
    assert "told of none" in text
