"""The live page in a real browser: what it shows is what is stored, and what can be done there is done."""

import asyncio
import http.client
import time

import pytest
from playwright.sync_api import Dialog, Page

from llmtower_dashboards.web.chrome import OTHERS, PATHS
from llmtower_dashboards.web.format import figure
from llmtower_dashboards.web.silencing import BY
from llmtower_dashboards.web.theme import DARK, LIGHT
from llmtower_processors.alerts.rows import silence_block
from llmtower_processors.alerts.silences import KafkaSilences
from llmtower_schemas.model_store import Models
from llmtower_schemas.models import Model
from llmtower_schemas.prompt_store import PromptStore
from llmtower_schemas.prompts import Prompt
from llmtower_schemas.registry_log import KafkaRegistryLog
from llmtower_schemas.settings import KafkaSettings
from tests.browser.conftest import CONTENT_KEY, PHONE, Open, Served, settled
from tests.browser.seed import CALL, GROUP, RULE, SECRET

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


def value(page: Page, panel: str) -> float:
    return float(page.locator(f"#{panel} [data-value]").get_attribute("data-value") or "nan")


def sql(served: Served, expression: str) -> float:
    parameters = {"start": int(served.start.timestamp()), "end": int(served.end.timestamp())}
    where = "started_at >= fromUnixTimestamp({start:Int64}) AND started_at < fromUnixTimestamp({end:Int64})"
    return float(served.client.query(f"SELECT {expression} FROM calls WHERE {where}", parameters=parameters).result_rows[0][0])


def test_figures_on_the_page_equal_sql(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"))
    assert value(page, "overview_calls") == sql(served, "count()") == 1_200
    assert value(page, "overview_error_rate") == pytest.approx(sql(served, "countIf(status != 'ok') / count()"), abs=1e-12)
    assert value(page, "overview_p95") == pytest.approx(sql(served, "quantileExact(0.95)(duration_us)") / 1e6, rel=0.02)
    page.goto(served.address("/cost"))
    settled(page)
    shown = page.locator("#cost_by_app tbody tr", has_text="support-bot").inner_text()
    assert str(figure(sql(served, "sumIf(cost_nano_usd, app = 'support-bot') / 1e9"), "usd")) in shown
    unpriced = int(sql(served, "countIf(isNull(cost_nano_usd) AND cost_status != 'failed')"))
    assert f"+ {figure(unpriced, 'calls')} unpriced calls" in page.locator("#cost_kinds").inner_text()


def test_the_incident_is_on_the_overview(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"))
    firing = page.locator("#firing .alert").inner_text()
    for said in ("critical", "p95 duration", "support-bot", "gpt-4o", "4.2", "1.5", "240 calls", "shortly before: prompt support/answer 7"):
        assert said in firing
    assert page.locator("nav .badge").inner_text().startswith("1")
    changed = page.locator("#overview_changed").inner_text()
    assert "deployed version 2.4.0" in changed
    assert "new prompt support/answer 7" in changed
    assert "p95 duration" in changed
    assert page.locator(".chart:visible svg").count() == 4, "a chart for each panel over time that has something to show"
    assert "No segment was judged" in page.locator("#drift_ratio").inner_text()
    assert "p95" in page.locator("#latency_duration .sr").first.inner_text(), "a chart says in words what it shows"


def test_what_is_wrong_is_read_first_and_stands_beside_what_changed(served: Served, open_page: Open) -> None:
    boxes = """
    () => ['firing', 'overview_changed'].map(id => document.getElementById(id).getBoundingClientRect()).map(box => [box.left, box.top])
    """
    firing, changed = open_page(served.address("/")).evaluate(boxes)
    assert firing[0] > changed[0]
    assert firing[1] == changed[1]
    firing, changed = open_page(served.address("/"), PHONE).evaluate(boxes)
    assert firing[1] < changed[1]


REACHED = """
() => { const card = document.activeElement?.closest('#firing, #overview_changed'); return card ? card.id : '' }
"""


def test_what_is_seen_first_is_reached_first(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"))
    assert in_order(page) == ["overview_changed", "firing"], "from left to right"
    page.set_viewport_size({"width": PHONE[0], "height": PHONE[1]})
    page.evaluate("document.activeElement.blur()")
    page.wait_for_function("document.getElementById('firing').nextElementSibling?.id === 'overview_changed'")
    page.evaluate("document.getElementById('main').focus()")
    assert in_order(page) == ["firing", "overview_changed"], "from top to bottom"
    assert in_order(open_page(served.address("/"), PHONE)) == ["firing", "overview_changed"]


def in_order(page: Page) -> list[str]:
    """The two cards in the order in which Tab reaches them."""
    found: list[str] = []
    for _ in range(200):
        page.keyboard.press("Tab")
        card = str(page.evaluate(REACHED))
        found += [card] if card and card not in found else []
        if len(found) == 2:
            break
    return found


def test_models_and_datasets_have_a_page(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/models"))
    known = page.locator("#registry_models tbody tr", has_text="gpt-4o").inner_text()
    calls = sql(served, "countIf(request_model = 'gpt-4o')")
    for said in ("production", "ada", "seeded", str(figure(calls, "calls"))):
        assert said in known
    strangers = page.locator("#registry_strangers").inner_text()
    assert "house-llama-8b" in strangers
    assert page.locator("#registry_strangers tbody tr", has_text="gpt-4o").count() == 0
    assert "failures@3" in page.locator("#registry_datasets").inner_text()
    assert "No experiment ran" in page.locator("#experiments").inner_text()


def test_an_alert_is_silenced_by_clicking(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/alerts"))
    began = time.time_ns() // 1_000
    page.get_by_role("button", name="silence 1").click()
    page.wait_for_function("document.getElementById('toast').textContent.startsWith('Silenced for 1')")

    async def written() -> list[object]:
        feed = KafkaSilences(KafkaSettings(bootstrap_servers=served.kafka))
        try:
            return [one for one in await feed.poll() if one.silence.by == BY and one.silence.starts_at_us >= began]
        finally:
            await feed.close()

    (record,) = asyncio.run_coroutine_threadsafe(written(), _loop()).result(30)
    silence = record.silence  # type: ignore[attr-defined]
    assert silence.covers(RULE, GROUP, time.time_ns() // 1_000)
    assert not silence.covers(RULE, {**GROUP, "app": "summarizer"}, time.time_ns() // 1_000)
    assert 3_590e6 < silence.ends_at_us - silence.starts_at_us <= 3_600e6

    columns = silence_block(record).columns  # type: ignore[arg-type]  # as the worker writes what it hears
    served.client.insert("silence_events", list(columns.values()), column_names=list(columns), column_oriented=True)
    page.reload()
    settled(page)
    assert "silenced until" in page.locator("#firing .alert").inner_text()
    assert page.locator("nav .badge").count() == 0
    assert RULE in page.locator("#silences").inner_text()
    served.client.command("TRUNCATE TABLE silence_events")


def test_a_prompt_is_promoted_and_rolled_back_by_clicking(served: Served, open_page: Open) -> None:
    async def push() -> None:
        store = PromptStore(log := KafkaRegistryLog(KafkaSettings(bootstrap_servers=served.kafka)))
        for words in ("Answer {{ question }}", "Answer briefly: {{ question }}"):
            await store.push("browser/answer", Prompt(text=words, author="anna", message="shorter"))
        await store.promote("browser/answer", 1, label="production", by="anna")
        await log.close()

    asyncio.run_coroutine_threadsafe(push(), _loop()).result(30)
    page = open_page(served.address("/library"))
    page.get_by_role("link", name="browser/answer").click()
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#library_versions tbody tr", has_text="2").first.get_by_role("button", name="to production").click()
    page.wait_for_function("document.getElementById('toast').textContent === 'production of browser/answer points to 2.'")
    page.locator("#library_moves tbody tr", has_text="live page").get_by_role("button", name="roll back to 1").click()
    page.wait_for_function("document.getElementById('toast').textContent === 'production of browser/answer is back at 1.'")
    assert "key of the scope content" in page.locator("#library_changed").inner_text()
    assert "briefly" not in page.content()


def test_a_model_is_moved_to_another_stage_by_clicking(served: Served, open_page: Open) -> None:
    async def kept(*stages: str) -> list[tuple[str, str]]:
        models = Models(log := KafkaRegistryLog(KafkaSettings(bootstrap_servers=served.kafka)))
        try:
            await models.read()
            if stages and not models.history("gpt-4o"):
                await models.register(Model(model="gpt-4o", by="ada"))
            for stage in stages:
                await models.stage("gpt-4o", stage, by="ada", note="")
            return [(one.stage, one.by) for _, one in models.history("gpt-4o")]
        finally:
            await log.close()

    asyncio.run_coroutine_threadsafe(kept("production"), _loop()).result(30)
    page = open_page(served.address("/models"))
    asked: list[str] = []

    def confirm(dialog: Dialog) -> None:
        asked.append(dialog.message)
        dialog.accept()

    page.on("dialog", confirm)
    row = page.locator("#registry_models tbody tr", has_text="gpt-4o").first
    row.get_by_role("button", name="to retired").click()
    page.wait_for_function("document.getElementById('toast').textContent === 'gpt-4o is in stage retired.'")
    assert asked == ["Move gpt-4o from stage production to retired?"]
    assert asyncio.run_coroutine_threadsafe(kept(), _loop()).result(30)[-1] == ("retired", BY)
    row.get_by_role("button", name="to candidate").click()  # the tables have not heard of it yet: this button is of before
    page.wait_for_function("document.getElementById('toast').textContent.includes('is in stage retired, not in production')")


def _loop() -> asyncio.AbstractEventLoop:
    """A loop in a thread of its own: this one has Playwright's."""
    import threading

    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return loop


TOO_SMALL = """
[...document.querySelectorAll("#main a[href], #main button, .top a, .top button, .bar a, select, input, summary")]
    .filter(at => at.offsetParent && at.getBoundingClientRect().height < 39.5).map(at => at.outerHTML.slice(0, 120))
"""


def test_every_page_fits_a_phone_in_the_dark(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"), PHONE, color_scheme="dark")
    for path in (*PATHS.values(), *OTHERS):
        if path != "/":
            page.evaluate("href => llmtower.go(href)", served.address(path))
            page.wait_for_function("path => document.querySelector(`nav [aria-current]`)?.pathname === path", arg=path)
            settled(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE[0], f"{path} scrolls sideways"
        assert page.locator(".card .problem").all_inner_texts() == [], path
        assert page.evaluate(TOO_SMALL) == [], f"{path}: a finger needs 40 px"
        assert page.evaluate("[...document.querySelectorAll('.head h3')].filter(at => at.scrollWidth > at.clientWidth + 1).length") == 0, (
            path
        )
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == _rgb(DARK["bg"])
    assert page.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") == _rgb(DARK["card"])
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == _rgb(LIGHT["bg"])


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


def test_keys_filter_and_open_a_call_and_the_address_says_it(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/"))
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("Escape")
    page.locator("#help").wait_for(state="hidden")
    page.keyboard.press("/")
    page.keyboard.type("model: ")
    page.evaluate("at = document.getElementById('filter').closest('label').parentElement; at.innerHTML = at.innerHTML")
    page.keyboard.type("gpt-4o")  # the controls were written anew meanwhile, as when the values to choose from have come
    page.keyboard.press("Enter")
    page.wait_for_function("location.search.includes('model=gpt-4o')")
    settled(page)
    page.wait_for_function(
        "want => Number(document.querySelector('#overview_calls [data-value]').dataset.value) === want",
        arg=sql(served, "countIf(request_model = 'gpt-4o')"),
    )
    page.locator("nav").get_by_role("link", name="Calls").click()
    page.wait_for_function("location.pathname === '/calls' && document.querySelectorAll('#calls_recent tbody tr').length > 10")
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert page.locator("#calls_recent tr.selected").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_function("location.search.includes('call=') && document.querySelector('#call_facts dl')")
    assert "model=gpt-4o" in page.url, "filters go along"
    page.go_back()
    page.wait_for_function("document.querySelector('#calls_recent tbody tr')")


def test_texts_want_a_key_and_never_reach_the_address(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/calls", call=str(CALL)))
    for panel, said in {"call_steps": "search docs", "call_scores": "helpful", "call_feedback": "thumbs", "call_cost": "output"}.items():
        assert said in page.locator(f"#{panel}").inner_text()
    assert "redacted" not in page.content()
    page.get_by_role("link", name="Enter a key").click()
    page.fill("[name=key]", "wrong")
    page.get_by_role("button", name="Open").click()
    assert "opens nothing" in page.get_by_role("alert").inner_text()
    page.fill("[name=key]", CONTENT_KEY)
    page.get_by_role("button", name="Open").click()
    settled(page)
    asked = page.locator("#call_content details", has_text="Asked")
    assert not asked.locator("pre").is_visible(), "texts are folded away"
    asked.locator("summary").click()
    assert asked.locator("mark").inner_text().startswith("[redacted:card]")
    assert SECRET.split(",")[1].strip() in asked.inner_text()
    assert "help" not in page.url
    assert "help" not in page.title()


def test_the_browser_writes_figures_as_the_server_does(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/alerts"))
    units = ("calls", "ratio", "seconds", "usd", "usd/h", "bytes", "calls/min")
    numbers = (0, 0.00042, 0.0123, 0.5, 0.994, 0.99995, 1, 2.3456, 59.96, 999.6, 1_234, 12_345.6, 9_999.99, 4.2e7, -3.21)
    cases = [(number, unit, scale) for number in numbers for unit in units for scale in (("", "s") if unit == "seconds" else ("",))]
    shown = page.evaluate(
        "cases => cases.map(([value, unit, scale]) => llmtower.figure(value, unit, scale))", [list(case) for case in cases]
    )
    assert shown == [str(figure(number, unit, scale=scale)) for number, unit, scale in cases]  # type: ignore[arg-type]


REWRITTEN = "card => { const at = document.querySelector(card + ' > :last-child'); at.innerHTML = at.innerHTML; }"


def test_a_card_that_is_written_anew_keeps_what_its_reader_did(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/cost"), (700, 500))
    table = page.locator("#cost_by_user .scroll")
    table.evaluate("at => at.scrollTo(0, 40)")
    page.wait_for_function("document.querySelector('#cost_by_user .scroll').scrollTop === 40")
    page.wait_for_timeout(50)
    page.evaluate(REWRITTEN, "#cost_by_user")
    page.wait_for_function("document.querySelector('#cost_by_user .scroll').scrollTop === 40")
    page.keyboard.press("j")
    page.keyboard.press("j")
    chosen = page.locator("tr.selected").inner_text()
    page.evaluate(REWRITTEN, "#" + str(page.locator(".card:has(tr.selected)").get_attribute("id")))
    page.wait_for_function("document.activeElement.classList.contains('selected')")
    assert page.locator("tr.selected").inner_text() == chosen
    page.keyboard.press("j")
    assert page.locator("tr.selected").inner_text() != chosen


def test_what_a_panel_offers_is_one_touch_away_on_a_phone(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/cost"), PHONE, has_touch=True, is_mobile=True)
    tools = page.locator("#cost_by_user .tools")
    assert not tools.is_visible()
    page.get_by_role("button", name="What can be done with Cost by user").tap()
    tools.get_by_role("button", name="Copy the SQL").wait_for()
    assert tools.get_by_text("?").is_visible(), "the question, which elsewhere is the title's tooltip"
    tools.get_by_role("link", name="Show the calls").tap()
    page.wait_for_function("location.pathname === '/calls'")


def test_foreign_hosts_and_origins_are_refused(served: Served) -> None:
    def status(path: str, **headers: str) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
        connection.putrequest("GET", path, skip_host=True)
        for name, text in headers.items():
            connection.putheader(name, text)
        connection.endheaders()
        try:
            return connection.getresponse().status
        finally:
            connection.close()

    here = f"127.0.0.1:{served.port}"
    upgrade = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    socket = "/_nicegui_ws/socket.io/?EIO=4&transport=websocket"
    assert status("/livez", Host=here) == 200
    assert status("/", Host="evil.example") == 403
    assert status("/", Host=here, Origin="http://evil.example") == 403
    assert status(socket, Host=here, Origin="http://evil.example", **upgrade) == 403
    assert status(socket, Host="rebound.example", **upgrade) == 403


def test_an_address_that_leads_nowhere_says_where_to_go(served: Served) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=10)
    connection.request("GET", "/nowhere")
    answer = connection.getresponse()
    assert answer.status == 404
    assert b'There is no such page</h1><p><a href="/">' in answer.read()
    connection.close()


def test_a_notifications_link_finds_its_panel(served: Served, open_page: Open) -> None:
    page = open_page(served.address("/panels/cost_by_user"))
    assert page.url.split("?")[0].endswith("/cost")
    page.wait_for_function("document.querySelector('#cost_by_user').getBoundingClientRect().top < innerHeight")
    assert page.evaluate("location.hash") == "#cost_by_user"
