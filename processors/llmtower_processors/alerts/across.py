"""What is doubtful in a file of rules that can be used: a worker warns of it and goes on, `alerts check` fails. Pure."""

from collections.abc import Iterator
from difflib import get_close_matches
from typing import Final

from llmtower_processors.alerts.addresses import trouble
from llmtower_processors.alerts.rules import BLIND, Rules

DEFAULT: Final = "default"
"""The route that settings may give in place of the file."""

Location = tuple[int | str, ...]
Found = tuple[Location, str]


def doubled_names(rules: Rules) -> Iterator[Found]:
    """Give each name that stands a second time, with its place: such a file cannot be used."""
    seen: set[str] = set()
    for number, rule in enumerate(rules.rules):
        if rule.name in seen:
            yield ("rules", number, "name"), f"two rules are called {rule.name}; a name is part of every incident's key"
        seen.add(rule.name)


def doubtful(rules: Rules) -> Iterator[Found]:
    """Give each with its place: what says nothing, routes that are not there, addresses that lead nowhere or hold a secret."""
    yield from _idle(rules)
    yield from _routes(rules)
    for name, route in rules.routes.items():
        if route.url and (sentence := trouble(route.kind, route.url)):
            yield ("routes", name, "url"), f"route {name}: url {sentence}"
        if not route.url and not route.url_env and name != DEFAULT:
            yield ("routes", name), f"route {name} has no address: give it url_env (the name of an environment variable) or url"
        if route.url and route.url_env:
            yield ("routes", name, "url"), f"route {name} has url and url_env: give it one of the two"


def _idle(rules: Rules) -> Iterator[Found]:
    for number, rule in enumerate(rules.rules):
        if len(set(rule.group_by)) < len(rule.group_by):
            yield ("rules", number, "group_by"), f"rule {rule.name}: group_by names a dimension twice"
        if nothing := next((name for name, values in rule.where.items() if not values), None):
            sentence = f"rule {rule.name}: where: {nothing} has no value, so it keeps all rows; name one, or leave it out"
            yield ("rules", number, "where"), sentence
        if not rule.queried and (rule.where or rule.baseline or rule.burn_rate or rule.budget):
            sentence = f"rule {rule.name}: metric {BLIND} is about the evaluator itself: no where, baseline, burn_rate or budget applies"
            yield ("rules", number, "metric"), sentence


def _routes(rules: Rules) -> Iterator[Found]:
    known = {*rules.routes, DEFAULT}
    for number, rule in enumerate(rules.rules):
        for place, route in enumerate(rule.routes):
            if route not in known:
                near = get_close_matches(route, known, n=1, cutoff=0.5)
                there = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
                yield ("rules", number, "routes", place), f"rule {rule.name}: no route is called {route!r}; {there}"
