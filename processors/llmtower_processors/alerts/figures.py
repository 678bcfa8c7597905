"""From answers to what a rule's levels are compared with: shares of budgets, burn rates, ratios to what is usual, what is certain. Pure."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

from llmtower_processors.alerts.conditions import Reading, against, bound, burn
from llmtower_processors.alerts.questions import Answer, Group, Span, spans
from llmtower_processors.alerts.rules import Rule


def readings(rule: Rule, answers: Mapping[Span, Answer], usual: Mapping[Group, float] | None = None) -> dict[Group, Reading]:
    """Give the rule's figures by group: as its levels are compared with them."""
    name = rule.metric or rule.name
    if rule.burn_rate:
        short, long = (_certain(rule, answers[span].readings[name]) for span in spans(rule))
        budget = rule.burn_rate.budget
        return {group: burn(reading, short.get(group, Reading(None)), budget) for group, reading in long.items()}
    found = _certain(rule, answers[spans(rule)[0]].readings[name])
    if rule.budget:
        amount = rule.budget.amount
        return {group: Reading(None if one.value is None else one.value / amount, one.sample) for group, one in found.items()}
    if rule.baseline:
        known, floor = usual or {}, rule.baseline.floor
        return {group: against(reading, known.get(group), floor) for group, reading in found.items()}
    return dict(found)


def _certain(rule: Rule, found: Mapping[Group, Reading]) -> Mapping[Group, Reading]:
    if not rule.sure:
        return found
    upper = rule.levels.graded()[0][1].below is not None
    return {
        group: one if one.value is None or one.sample <= 0 else replace(one, sure=bound(one.value, one.sample, rule.sure, upper=upper))
        for group, one in found.items()
    }


def usual(rule: Rule, days: Sequence[Answer]) -> dict[Group, float]:
    """Give what is usual: the median over the days that have enough of a sample, for groups with enough such days.

    With `near` it is the median that is furthest towards the rule's levels.
    """
    count = rule.baseline.days if rule.baseline else max(1, len(days))
    medians = [_median(rule, days[first : first + count]) for first in range(0, len(days), count)]
    furthest = min if rule.levels.graded()[0][1].below is not None else max
    groups = {group for found in medians for group in found}
    return {group: furthest(found[group] for found in medians if group in found) for group in groups}


def _median(rule: Rule, days: Sequence[Answer]) -> dict[Group, float]:
    values: dict[Group, list[float]] = defaultdict(list)
    for answer in days:
        for group, reading in answer.readings[rule.metric or rule.name].items():
            if reading.value is not None and reading.sample >= max(1.0, rule.min_sample):
                values[group].append(reading.value)
    enough = rule.baseline.min_days if rule.baseline else 1
    return {group: median(found) for group, found in values.items() if len(found) >= enough}
