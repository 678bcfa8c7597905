"""Exact money: what a call cost in integer nano-USD, or why that is unknown. Start with `book.PriceBook`."""

from llmtower_processors.pricing.book import PriceBook, load_price_book
from llmtower_processors.pricing.cost import Cost, CostStatus
from llmtower_processors.pricing.custom import PricesFileError, read_prices

__all__ = ["Cost", "CostStatus", "PriceBook", "PricesFileError", "load_price_book", "read_prices"]
