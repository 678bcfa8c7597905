"""Your own prices: a YAML file that wins over the price book. Numbers are read as exact decimals; every fault names file and line.

    prices:
      - provider: azure               # optional; * and ? are wildcards; letter case does not matter
        model: support-bot-*          # compared with the response's model, then the request's
        alias: {provider: openai, model: gpt-4o}
      - model: llama-3.3-70b
        valid_from: 2026-01-01        # optional, UTC, inclusive; a date or a time with offset
        valid_to: 2026-07-01          # optional, exclusive
        price:                        # USD per unit, the unit is in the key
          input_mtok: 0.20
          output_mtok: {base: 0.60, tiers: [{start: 200000, price: 1.20}]}
          requests_kcount: 5

The first entry that matches and is valid at the time of the call is used.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import yaml

from llmtower_processors.errors import LlmtowerError
from llmtower_processors.pricing import catalog
from llmtower_processors.pricing.rates import NEAREST_PRICES, REQUEST_PRICE, Price, Rates, Tiered, compile_rates

PRICE_KEYS = frozenset({REQUEST_PRICE}.union(*NEAREST_PRICES.values()))
"""The units that a price may be given for."""

_ENTRY = frozenset({"provider", "model", "alias", "price", "valid_from", "valid_to"})
_MAX_USD = Fraction(1_000_000)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALWAYS = (-(1 << 63), 1 << 63)


class PricesFileError(LlmtowerError):
    """A prices file cannot be used; the message names file, line and remedy."""


@dataclass(frozen=True, slots=True)
class CustomPrice:
    """One entry: for whom, when, and either prices of its own or another model's."""

    provider: str
    model: str
    valid_from_ns: int
    valid_to_ns: int
    rates: Rates | None
    alias: tuple[str, str] | None

    def matches(self, provider: str, model: str) -> bool:
        """Whether this entry is meant for a model, whatever the time."""
        return fnmatchcase(provider.lower(), self.provider) and fnmatchcase(model.lower(), self.model)

    def valid_at(self, at_ns: int) -> bool:
        """Whether this entry applies at an instant."""
        return self.valid_from_ns <= at_ns < self.valid_to_ns


@dataclass(frozen=True, slots=True)
class CustomPrices:
    """All entries in their order, and the file's hash as their version."""

    entries: tuple[CustomPrice, ...]
    version: str

    def matching(self, provider: str, models: Sequence[str]) -> tuple[CustomPrice, ...]:
        """Entries that match any of the models, in the order of the file."""
        return tuple(entry for entry in self.entries if any(entry.matches(provider, model) for model in models))


def read_prices(path: Path) -> CustomPrices:
    """Read a prices file. Raises PricesFileError, also when it cannot be opened."""
    try:
        content = path.read_bytes()
        root = yaml.compose(content.decode(), Loader=yaml.SafeLoader)
    except OSError as error:
        raise PricesFileError(f"{path}: cannot be read ({error.strerror}); correct LLMTOWER_PRICES_FILE or unset it") from error
    except UnicodeDecodeError as error:
        raise PricesFileError(f"{path}: byte {error.start} is not UTF-8; save the file as UTF-8") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise PricesFileError(f"{path}, line {mark.line + 1 if mark else 1}: not YAML ({error.problem}); correct the line") from error
    except yaml.YAMLError as error:
        raise PricesFileError(f"{path}: not YAML; remove control characters") from error
    reader = _Reader(path)
    return CustomPrices(tuple(reader.entries(root)), "file " + hashlib.sha256(content).hexdigest()[:16])


@dataclass(frozen=True, slots=True)
class _Reader:
    """Walks the YAML nodes: they know their lines, and their numbers are still text."""

    path: Path

    def fault(self, node: yaml.Node | None, sentence: str) -> PricesFileError:
        line = node.start_mark.line + 1 if node is not None else 1
        return PricesFileError(f"{self.path}, line {line}: {sentence}")

    def entries(self, root: yaml.Node | None) -> Iterator[CustomPrice]:
        top = self.mapping(root, {"prices"}, "the file")
        listed = top.get("prices")
        if not isinstance(listed, yaml.SequenceNode):
            raise self.fault(listed or root, "`prices` must be a list; start each entry with a dash")
        for node in listed.value:
            yield self.entry(node)

    def entry(self, node: yaml.Node) -> CustomPrice:
        fields = self.mapping(node, _ENTRY, "an entry")
        if "model" not in fields:
            raise self.fault(node, "an entry needs `model`; use '*' for every model")
        if ("price" in fields) == ("alias" in fields):
            raise self.fault(node, "an entry needs either `price` or `alias`")
        start = self.instant(fields["valid_from"]) if "valid_from" in fields else _ALWAYS[0]
        end = self.instant(fields["valid_to"]) if "valid_to" in fields else _ALWAYS[1]
        if start >= end:
            raise self.fault(fields.get("valid_to", node), "`valid_to` must be later than `valid_from`")
        return CustomPrice(
            provider=self.text(fields["provider"]).lower() if "provider" in fields else "*",
            model=self.text(fields["model"]).lower(),
            valid_from_ns=start,
            valid_to_ns=end,
            rates=compile_rates(self.prices(fields["price"])) if "price" in fields else None,
            alias=self.alias(fields["alias"]) if "alias" in fields else None,
        )

    def alias(self, node: yaml.Node) -> tuple[str, str]:
        fields = self.mapping(node, {"provider", "model"}, "`alias`")
        provider = self.text(fields["provider"]) if "provider" in fields else ""
        model = self.text(fields["model"]) if "model" in fields else ""
        if not isinstance(catalog.find_listing(provider, model, ""), catalog.Listing):
            raise self.fault(node, "`alias` names no model of the price book; check `provider` and `model`, or give a `price`")
        return provider, model

    def prices(self, node: yaml.Node) -> Mapping[str, Price]:
        fields = self.mapping(node, PRICE_KEYS, "`price`")
        if not fields:
            raise self.fault(node, "`price` is empty; give at least one unit, 0 for what is free")
        return {key: self.price(value) for key, value in fields.items()}

    def price(self, node: yaml.Node) -> Price:
        if isinstance(node, yaml.ScalarNode):
            return self.usd(node)
        fields = self.mapping(node, {"base", "tiers"}, "a tiered price")
        base, tiers = fields.get("base"), fields.get("tiers")
        if base is None or not isinstance(tiers, yaml.SequenceNode):
            raise self.fault(node, "a tiered price needs `base` and a list `tiers`")
        steps = tuple(self.tier(step) for step in tiers.value)
        if any(later[0] <= earlier[0] for earlier, later in pairwise(steps)):
            raise self.fault(tiers, "`tiers` must have rising starts")
        return Tiered(self.usd(base), steps)

    def tier(self, node: yaml.Node) -> tuple[int, Fraction]:
        fields = self.mapping(node, {"start", "price"}, "a tier")
        if len(fields) != 2:
            raise self.fault(node, "a tier needs `start` (input tokens) and `price`")
        start = self.text(fields["start"]).replace("_", "")
        if not start.isdecimal() or len(start) > 12:
            raise self.fault(fields["start"], "`start` must be a whole number of tokens")
        return int(start), self.usd(fields["price"])

    def usd(self, node: yaml.Node) -> Fraction:
        try:
            text = self.text(node)
            amount = Fraction(text) if len(text) <= 40 and "/" not in text and "e" not in text.lower() else None
        except ValueError:
            amount = None
        if amount is None or not 0 <= amount <= _MAX_USD:
            raise self.fault(node, "a price must be a plain decimal number of USD from 0 to 1000000")
        return amount

    def instant(self, node: yaml.Node) -> int:
        try:
            moment = datetime.fromisoformat(self.text(node))
        except ValueError as error:
            raise self.fault(node, "not a date; write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS+00:00") from error
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1) * 1_000

    def text(self, node: yaml.Node) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value:
            raise self.fault(node, "a single value was expected here")
        return str(node.value)

    def mapping(self, node: yaml.Node | None, known: frozenset[str] | set[str], what: str) -> dict[str, yaml.Node]:
        if not isinstance(node, yaml.MappingNode):
            raise self.fault(node, f"{what} must be a mapping with {', '.join(sorted(known))}")
        fields: dict[str, yaml.Node] = {}
        for key, value in node.value:
            name = self.text(key)
            if name not in known:
                raise self.fault(key, f"unknown name in {what}; known are {', '.join(sorted(known))}")
            if name in fields:
                raise self.fault(key, f"`{name}` is given twice; remove one")
            fields[name] = value
        return fields
