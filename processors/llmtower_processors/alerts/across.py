"""What is wrong between the parts of a file of rules, each of which is sound in itself. Pure."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from llmtower_processors.alerts.addresses import trouble
from llmtower_processors.alerts.rules import Rules

DEFAULT: Final = "default"
"""The route that settings may give in place of the file."""

Location = tuple[int | str, ...]
Found = tuple[Location, str]


def contradictions(rules: Rules) -> Iterator[Found]:
    """Give each with its place: names that stand twice, routes that are not there, addresses that lead nowhere or hold a secret."""
    yield from _names(rules)
    yield from _routes(rules)
    for name, route in rules.routes.items():
        if route.url and (sentence := trouble(route.kind, route.url)):
            yield ("routes", name, "url"), f"route {name}: url {sentence}"
        if not route.url and not route.url_env and name != DEFAULT:
            yield ("routes", name), f"route {name} has no address: give it url_env (the name of an environment variable) or url"
        if route.url and route.url_env:
            yield ("routes", name, "url"), f"route {name} has url and url_env: give it one of the two"


def _names(rules: Rules) -> Iterator[Found]:
    seen: set[str] = set()
    for number, rule in enumerate(rules.rules):
        if rule.name in seen:
            yield ("rules", number, "name"), f"two rules are called {rule.name}; a name is part of every incident's key"
        seen.add(rule.name)


def _routes(rules: Rules) -> Iterator[Found]:
    known = {*rules.routes, DEFAULT}
    for number, rule in enumerate(rules.rules):
        for place, route in enumerate(rule.routes):
            if route not in known:
                near = get_close_matches(route, known, n=1, cutoff=0.5)
                there = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
                yield ("rules", number, "routes", place), f"rule {rule.name}: no route is called {route!r}; {there}"
