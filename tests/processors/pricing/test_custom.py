"""Your own prices: what they mean, that they win, and what a fault in the file says."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from llmtower_processors.pricing import CostStatus, PricesFileError, load_price_book
from llmtower_schemas.events import ResponseEvent, Usage

ID = "019e70a2-0001-7000-8000-000000000001"
NS = 10**9

PRICES = """
prices:
  - provider: azure
    model: support-bot-*
    alias: {provider: openai, model: gpt-4o}
  - model: llama-3.3-70b
    valid_from: 2026-01-01
    valid_to: 2026-07-01T00:00:00+00:00
    price:
      input_mtok: 0.1
      output_mtok: {base: 0.60, tiers: [{start: 200_000, price: 1.20}]}
      requests_kcount: 0.3
  - model: llama-3.3-70b
    price: {input_mtok: 0.07, output_mtok: 0}
  - provider: OpenAI
    model: GPT-4O
    price: {input_mtok: 1, output_mtok: 1}
"""


@pytest.fixture
def prices(tmp_path: Path) -> Path:
    path = tmp_path / "prices.yaml"
    path.write_text(PRICES)
    return path


def call(day: str = "2026-05-01", **fields: Any) -> ResponseEvent:
    usual: dict[str, Any] = {"app": "a", "call_id": ID, "duration_us": 1, "usage_source": "provider"}
    usual["started_at_ns"] = int(datetime.fromisoformat(day).replace(tzinfo=UTC).timestamp()) * NS
    return ResponseEvent(**(usual | {"usage": Usage(input_tokens=3, output_tokens=10)} | fields))


def test_own_prices_are_exact_and_win(prices: Path) -> None:
    book = load_price_book(prices)
    cost = book.price(call(provider="openai", request_model="gpt-4o"))
    assert (cost.total, cost.source, cost.status) == (13_000, "custom", CostStatus.PRICED)
    assert cost.version.startswith("file ")
    assert cost.version in book.version
    assert "genai-prices" in book.version


def test_a_model_that_the_price_book_does_not_know(prices: Path) -> None:
    # 3 tokens at 0.1, 10 at 0.60 per million, and 0.3 per thousand requests
    cost = load_price_book(prices).price(call(provider="vllm", request_model="llama-3.3-70b"))
    assert (cost.total, cost.input, cost.output, cost.fees) == (300 + 6_000 + 300_000, 300, 6_000, 300_000)


def test_tiers_of_ones_own(prices: Path) -> None:
    usage = Usage(input_tokens=200_001, output_tokens=1)
    assert load_price_book(prices).price(call(request_model="llama-3.3-70b", usage=usage)).output == 1_200


@pytest.mark.parametrize(("day", "total"), [("2025-12-31", 210), ("2026-01-01", 306_300), ("2026-06-30", 306_300), ("2026-07-01", 210)])
def test_the_first_entry_that_is_valid_is_used(prices: Path, day: str, total: int) -> None:
    assert load_price_book(prices).price(call(day, request_model="llama-3.3-70b")).total == total


def test_an_alias_takes_the_other_models_price(prices: Path) -> None:
    book = load_price_book(prices)
    cost = book.price(call(provider="Azure", request_model="support-bot-eu"))
    assert (cost.total, cost.source) == (3 * 2_500 + 10 * 10_000, "custom")
    assert book.price(call(provider="openai", request_model="support-bot-eu")).status == CostStatus.UNKNOWN_MODEL


def test_everything_else_comes_from_the_price_book(prices: Path) -> None:
    cost = load_price_book(prices).price(call(provider="openai", request_model="gpt-4o-mini"))
    assert cost.source == "genai-prices"


def test_what_a_file_leaves_out_is_not_free(prices: Path) -> None:
    prices.write_text("prices: [{model: m, price: {input_mtok: 1}}]")
    assert load_price_book(prices).price(call(request_model="m")).status == CostStatus.UNPRICED_USAGE


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [
        ("prices: [", 1, "not YAML"),
        ("", 1, "must be a mapping"),
        ("- a", 1, "must be a mapping"),
        ("prices: {}", 1, "must be a list"),
        ("price: []", 1, "unknown name"),
        ("prices:\n  - model: m\n    price: {input_mtoken: 1}", 3, "known are"),
        ("prices:\n  - model: m\n    price: {input_mtok: free}", 3, "plain decimal number"),
        ("prices:\n  - model: m\n    price: {input_mtok: -1}", 3, "plain decimal number"),
        ("prices:\n  - model: m\n    price: {input_mtok: 1e400000000}", 3, "plain decimal number"),
        ("prices:\n  - model: m\n    price: {input_mtok: 1/3}", 3, "plain decimal number"),
        ("prices:\n  - model: m\n    price: {}", 3, "is empty"),
        ("prices:\n  - provider: p\n    price: {input_mtok: 1}", 2, "needs `model`"),
        ("prices:\n  - model: m", 2, "either `price` or `alias`"),
        ("prices:\n  - model: m\n    price: {input_mtok: 1}\n    alias: {model: gpt-4o}", 2, "either `price` or `alias`"),
        ("prices:\n  - model: m\n    alias: {provider: openai, model: no-such}", 3, "names no model"),
        ("prices:\n  - model: m\n    valid_from: soon\n    price: {input_mtok: 1}", 3, "not a date"),
        ("prices:\n  - model: m\n    valid_from: 2026-02-01\n    valid_to: 2026-01-01\n    price: {input_mtok: 1}", 4, "later than"),
        ("prices:\n  - model: m\n    model: n\n    price: {input_mtok: 1}", 3, "given twice"),
        ("prices:\n  - model: [m]\n    price: {input_mtok: 1}", 2, "a single value"),
        ("prices:\n  - model: m\n    price:\n      input_mtok: {base: 1}", 4, "`base` and a list `tiers`"),
        ("prices:\n  - model: m\n    price:\n      input_mtok: {base: 1, tiers: [{start: 1}]}", 4, "needs `start`"),
        ("prices:\n  - model: m\n    price:\n      input_mtok: {base: 1, tiers: [{start: x, price: 1}]}", 4, "whole number"),
        (
            "prices:\n  - model: m\n    price:\n      input_mtok: {base: 1, tiers: [{start: 2, price: 1}, {start: 2, price: 3}]}",
            4,
            "rising",
        ),
    ],
)
def test_a_fault_names_file_line_and_remedy(tmp_path: Path, content: str, line: int, says: str) -> None:
    path = tmp_path / "prices.yaml"
    path.write_text(content)
    with pytest.raises(PricesFileError) as caught:
        load_price_book(path)
    assert str(caught.value).startswith(f"{path}, line {line}: ")
    assert says in str(caught.value)


@pytest.mark.parametrize(("content", "says"), [(None, "cannot be read"), (b"\xff", "not UTF-8"), (b"a: \x00", "not YAML")])
def test_a_file_that_cannot_be_read_at_all(tmp_path: Path, content: bytes | None, says: str) -> None:
    path = tmp_path / "prices.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PricesFileError, match=says):
        load_price_book(path)
