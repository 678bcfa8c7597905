"""How the page behaves in a real browser for everybody: keys, screen readers, contrast, large text, little motion, late data, faults."""

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import clickhouse_connect
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page

from llmtower_dashboards.registry import PANELS
from llmtower_dashboards.web.chrome import OTHERS, PATHS
from llmtower_processors.engine import EngineProcess, Role
from llmtower_processors.migrate import create_database, migrate
from llmtower_schemas.settings import RetentionSettings
from tests.browser.conftest import PHONE, Open, Served, environment_of, page_of, settled
from tests.browser.seed import CALL

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]
VIEWS: Final = (*PATHS.values(), *OTHERS, f"/calls?call={CALL}")


def visit(page: Page, served: Served, path: str) -> None:
    """Go on within the page, as a click does."""
    bare, _, query = path.partition("?")
    more = dict(part.split("=") for part in query.split("&") if part)
    page.evaluate("href => llmtower.go(href)", served.address(bare, **more))
    page.wait_for_function("path => location.pathname === path", arg=bare)
    page.wait_for_function("document.querySelectorAll('.card').length > 0")
    settled(page)


def violations(page: Page, *rules: str) -> Iterator[tuple[str, str]]:
    """What axe-core finds: the rule, and the first place that breaks it."""
    run = {"type": "rule", "values": rules} if rules else {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21aa", "best-practice"]}
    found = Axe().run(page, options={"runOnly": run, "resultTypes": ["violations"]}).response["violations"]
    yield from ((one["id"], f"{one['nodes'][0]['html'][:160]} {one['nodes'][0]['failureSummary'][:200]}") for one in found)


@pytest.mark.timeout(300)
def test_no_view_breaks_a_rule_of_access(served: Served, open_page: Open) -> None:
    """Names, labels, tables, landmarks, by axe-core; contrast of at least 4.5:1 in both themes."""
    page = open_page(served.address("/"), color_scheme="light")
    found: dict[str, list[str]] = {}
    for path in VIEWS:
        visit(page, served, path)
        for rule, where in violations(page):
            found.setdefault(rule, []).append(f"{path} {where}")
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        for rule, where in violations(page, "color-contrast"):
            found.setdefault(f"{rule} in the dark", []).append(f"{path} {where}")
        page.evaluate("document.documentElement.dataset.theme = 'light'")
    assert not found, "\n".join(f"{rule}: {len(where)} views, {where[0]}" for rule, where in found.items())


LABELS = """
() => [...document.querySelectorAll('#latency_duration .chart svg text')].filter(at => /^p\\d\\d$/.test(at.textContent))
    .map(at => at.getBoundingClientRect()).map(box => [box.top, box.bottom]).sort((one, other) => one[0] - other[0])
"""


@pytest.mark.parametrize("size", [(1440, 900), PHONE])
def test_names_at_the_ends_of_lines_do_not_touch(served: Served, open_page: Open, size: tuple[int, int]) -> None:
    page = open_page(served.address("/"), size)
    for ends in ((1, 1, 1), (0, 0, 0), (1, 1.02, 3), (2, 2.9, 3), (0.5, 1.5, 2.5)):
        apart(page, ends)
    tops = [top for top, _ in page.evaluate(LABELS)]
    assert tops[1] - tops[0] == pytest.approx(tops[2] - tops[1], abs=1), (
        "where there is room they stand at their lines, whatever was before"
    )


def apart(page: Page, ends: tuple[float, ...]) -> None:
    """Let three lines end there, and look at their names."""
    page.evaluate(
        """ends => {
            const chart = getElement(Number(document.querySelector('#latency_duration .chart').id.slice(1))).chart;
            const at = chart.getOption().xAxis[0].max;
            chart.setOption({ series: ['p50', 'p95', 'p99'].map((name, place) => ({ name,
                labelLayout: llmtower.apart('latency_duration', ends[place]), data: [[at - 6e5, 3], [at, ends[place]]] })) });
        }""",
        list(ends),
    )
    page.wait_for_function(f"({LABELS})().length === 3")
    boxes = page.evaluate(LABELS)
    assert all(bottom <= top + 0.5 for (_, bottom), (top, _) in pairwise(boxes)), boxes
    card = page.locator("#latency_duration .chart").bounding_box()
    assert card is not None
    assert boxes[-1][1] <= card["y"] + card["height"] + 0.5
    assert boxes[0][0] >= card["y"]


@contextmanager
def books(served: Served, *, dropped: int, behind: timedelta) -> Iterator[None]:
    """What producers say they emitted and dropped, and how far everything is stored."""
    now = datetime.now(UTC)
    beat = {
        "producer": "p-books",
        "project": "default",
        "app": "support-bot",
        "environment": "production",
        "at": now - timedelta(minutes=2),
        "emitted": 200,
        "dropped": dropped,
    }
    mark = {"project": "default", "at": now, "watermark": now - behind}
    stored = {"processor": "signals", "producer": "p-books", "project": "default", "app": "support-bot", "count": 1, "minute": now}
    try:  # the ledger has the heartbeat itself, which is an event, too
        for table, row in (("heartbeats", beat), ("watermarks", mark), ("ledger", stored)):
            served.client.insert(table, [list(row.values())], column_names=list(row))
        yield
    finally:
        for table in ("heartbeats", "watermarks", "ledger"):
            served.client.command(f"TRUNCATE TABLE {table}")


EDGE = """
() => [...document.querySelectorAll('#latency_duration .chart svg path')].filter(at => at.getAttribute('fill') === 'var(--muted)' &&
    at.getAttribute('fill-opacity') !== null && Number(at.getAttribute('fill-opacity')) < 0.2).map(at => at.getBoundingClientRect().width)
"""


def test_what_has_not_arrived_is_greyed_with_the_share_that_has(served: Served, open_page: Open) -> None:
    with books(served, dropped=5, behind=timedelta(minutes=12)):
        page = open_page(served.url + "/")
        page.wait_for_function(f"({EDGE})().length === 1")
        (edge,) = page.evaluate(EDGE)
        plot = page.locator("#latency_duration .chart").bounding_box()
        assert plot is not None
        assert 0.1 < edge / plot["width"] < 0.3, "twelve minutes of an hour"
        assert page.locator("#latency_duration .chart svg text", has_text="97.5 % arrived").count() == 1
        status = page.locator(".status").inner_text()
        assert "▲" in status, "a mark, not only a colour"
        assert "97.5 % complete" in status
        assert "12 min behind" in status


def test_what_is_whole_is_not_greyed(served: Served, open_page: Open) -> None:
    with books(served, dropped=0, behind=-timedelta(minutes=5)):
        page = open_page(served.url + "/")
        page.wait_for_function("document.querySelector('.status').innerText.includes('complete')")
        page.locator("#latency_duration .chart svg text", has_text="p99").wait_for()
        assert page.evaluate(EDGE) == []
        status = page.locator(".status").inner_text()
        assert "▲" not in status
        assert "%" not in status


def test_every_key_does_what_the_help_says(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/alerts"))
    page.keyboard.press("?")
    said = page.locator("#help").inner_text()
    for key in ("/", "t", "j k", "enter", "s", "?"):
        assert key in said
    page.keyboard.press("Escape")
    page.locator("#help").wait_for(state="hidden")
    page.keyboard.press("/")
    page.wait_for_function("document.activeElement.id === 'filter'")
    page.keyboard.press("Escape")
    page.keyboard.press("t")
    page.wait_for_function("document.activeElement.id === 'range'")
    page.keyboard.press("Escape")
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert page.locator("#firing .alert.selected").count() == 1
    assert page.evaluate("getComputedStyle(document.querySelector('.selected')).boxShadow") != "none", "which row is chosen is seen"
    page.keyboard.press("s")
    page.wait_for_function("document.getElementById('toast').textContent.startsWith('Silenced for 1')")
    page.keyboard.press("Enter")
    page.wait_for_function("location.pathname !== '/alerts'")
    assert page.url.endswith("#latency_duration")


def test_the_focus_is_always_seen(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/cost"))
    unseen: list[str] = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen = page.evaluate(
            "() => { const at = document.activeElement, how = getComputedStyle(at); return at === document.body ||"
            " (how.outlineStyle !== 'none' && parseFloat(how.outlineWidth) >= 2) }"
        )
        unseen += [] if seen else [str(page.evaluate("document.activeElement.outerHTML.slice(0, 100)"))]
    assert unseen == []


MOVING = """
() => [...document.querySelectorAll('*')].map(at => [at, getComputedStyle(at)])
    .filter(([at, how]) => how.animationName !== 'none' || how.transitionDuration.split(', ').some(one => parseFloat(one) > 0.01))
    .filter(([at]) => at.closest('.page, #toast, dialog, #prelude')).map(([at]) => at.outerHTML.slice(0, 100))
"""


def test_nothing_moves_for_who_wants_no_motion(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"), reduced_motion="reduce")
    page.evaluate("document.querySelector('#latency_duration').insertAdjacentHTML('beforeend', '<div class=wait><span></span></div>')")
    assert page.evaluate(MOVING) == []


LARGE = """
() => { for (const [at, size, line] of [...document.querySelectorAll('.page, .page *:not(svg *)')].filter(at => !at.style.fontSize)
        .map(at => [at, ...['fontSize', 'lineHeight'].map(name => parseFloat(getComputedStyle(at)[name]))])) {
    at.style.fontSize = `${2 * size}px`;
    if (line) at.style.lineHeight = `${2 * line}px`;
} }
"""


BEYOND = """
width => [...document.querySelectorAll('body *')].filter(at => !at.closest('.scroll, nav, .nicegui-error-popup'))
    .filter(at => at.getBoundingClientRect().right > width + 0.5).map(at => at.outerHTML.slice(0, 80)).slice(0, 5)
"""


NARROW = """
() => [...document.querySelectorAll('.scroll tbody tr > :first-child')].filter(at => at.offsetParent && at.innerText.trim().length > 2)
    .filter(at => at.getBoundingClientRect().width < 40).map(at => at.closest('.card').id)
"""


@pytest.mark.parametrize(("width", "views"), [(720, ("/", "/alerts", "/prompts", "/pipeline")), (320, VIEWS)])
def test_no_view_scrolls_sideways_where_everything_is_twice_as_large(
    served: Served, open_page: Open, width: int, views: tuple[str, ...]
) -> None:
    """A wide screen at 200 %, and the 320 px of a small phone or of 400 %; the first column of tables can be read there, too."""
    page = open_page(served.address("/"), (width, 640))
    for path in views:
        visit(page, served, path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path}: {wide} px, {page.evaluate(BEYOND, width)}"
        assert page.evaluate(NARROW) == [], path


def test_text_of_twice_the_size_fits_a_phone(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"), PHONE)
    for path in ("/", "/alerts", "/cost", "/calls"):
        page.goto(served.address(path))
        settled(page)
        page.evaluate(LARGE)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], f"{path}: {page.evaluate(BEYOND, PHONE[0])}"


OFFERS = """
() => Object.fromEntries([...document.querySelectorAll('article.card[id]')].map(card => [card.id, {
    question: card.querySelector('h3').title, sql: card.querySelectorAll('[data-do=sql]').length,
    link: card.querySelector('[data-copy]')?.href ?? '',
    calls: [...card.querySelectorAll('.tools a')].some(at => at.textContent === 'show calls'),
}]))
"""


def test_every_panel_has_its_question_its_calls_its_sql_and_a_link(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"))
    seen: set[str] = set()
    for path in VIEWS:
        visit(page, served, path)
        for name, offers in page.evaluate(OFFERS).items():
            panel: Any = PANELS.get(name)
            if panel is None or (name == "call_content" and not offers["sql"]):
                continue  # the library reads Kafka, texts want a key
            seen.add(name)
            assert offers["question"] in (panel.question, PANELS["overview_ttft"].question), name
            assert offers["sql"] == 1, name
            assert re.search(r"from=\d{4}-.*&to=\d{4}-.*#\w+$", offers["link"]), f"{name}: {offers['link']}"
            assert offers["calls"] == (panel.calls is not None), name
    listed = {"calls_failed", "calls_slowest", "calls_dearest"}
    only_in_grafana = {"overview_ttft", "overview_cost", "cost_month", "overview_unpriced"}
    assert PANELS.keys() - seen - listed - only_in_grafana - {"call_content"} == set()
    visit(page, served, "/cost")
    page.locator("#cost_by_app").hover()
    page.locator("#cost_by_app [data-do=sql]").click()
    page.wait_for_function("document.getElementById('toast').textContent === 'SQL copied'")


@contextmanager
def without(served: Served, table: str) -> Iterator[None]:
    """A table is gone for a while."""
    served.client.command(f"RENAME TABLE {table} TO {table}_away")
    try:
        yield
    finally:
        served.client.command(f"RENAME TABLE {table}_away TO {table}")


def test_a_fault_keeps_the_last_figure_and_says_what_to_do(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"))
    figure = page.locator("#overview_calls .figure").inner_text()
    with without(served, "rollup_1m"):
        page.evaluate("href => llmtower.go(href)", served.address("/", environment="production"))
        problem = page.locator("#overview_calls .problem")
        problem.wait_for()
        assert "a table is missing. Run llmtower migrate." in problem.inner_text()
        assert page.locator("#overview_calls .figure").inner_text() == figure, "the last figure stays"
        assert page.locator("#latency_duration .chart svg").count() == 1, "and the last chart"
        assert "stale" in str(page.locator("#overview_calls").get_attribute("class"))
    page.evaluate("href => llmtower.go(href)", served.address("/", app="support-bot"))
    page.locator("#overview_calls:not(.stale)").wait_for()
    assert page.locator("#overview_calls .problem").count() == 0


def test_an_empty_page_says_what_to_do(engine: EngineProcess, kafka: str, tmp_path: Path, open_page: Open) -> None:
    """The two lines of code that would fill it, with the address they want, and what each panel waits for."""
    database = f"t{uuid.uuid4().hex[:12]}"
    password = engine.credentials.password(Role.WRITER)
    login: dict[str, Any] = {"host": engine.host, "port": engine.port, "username": "writer", "password": password}
    with clickhouse_connect.get_client(**login) as server:
        create_database(server, database)
        with clickhouse_connect.get_client(**login, database=database) as client:
            migrate(client, RetentionSettings())
        with page_of(environment_of(engine, database, kafka), tmp_path / "page.log") as port:
            page = open_page(f"http://127.0.0.1:{port}/")
            lines = page.locator(".first code").first.inner_text().strip().splitlines()
            assert len(lines) == 2
            compile("\n".join(lines), "first steps", "exec")
            assert kafka in lines[0]
            assert page.locator("#overview_calls .figure").inner_text() == "unknown"
            for empty in page.locator(".card .empty").all_inner_texts():
                assert empty.endswith((".", "✓ ")) or "Nothing is firing." in empty, empty
        server.command(f"DROP DATABASE {database}")
