"""How right the shipped alert rules are: seeded weeks of quiet traffic and seeded incidents, beside plain thresholds on the same figures.

The levels were tuned on seeds below 1,000; what is reported comes from others. The rules are played by the evaluator's own state machine
over figures in memory (`tests/alerts/corpus.py` draws them, `replay` equals the evaluator: `tests/alerts/test_replay.py`).
"""

from collections.abc import Iterable
from statistics import median

from llmtower_processors.alerts.load import load_rules
from tests.alerts.corpus import DAY, MINUTE_US, START_US, World
from tests.alerts.corpus_incidents import with_incidents
from tests.alerts.corpus_judge import BASELINE_DAYS, Tally, told, told_naively
from tests.benchmarks.figures import Figure, at_least, at_most, main

FIRST_SEED = 1_000
QUIET, QUIET_DAYS = 16, 14
STRUCK, STRUCK_DAYS, INCIDENTS = 6, 10, 20


def run(quick: bool) -> list[Figure]:
    """Measure."""
    quiet, quiet_plain = tallies(range(FIRST_SEED, FIRST_SEED + (3 if quick else QUIET)), QUIET_DAYS, 0)
    struck, struck_plain = tallies(range(FIRST_SEED + 500, FIRST_SEED + 500 + (2 if quick else STRUCK)), STRUCK_DAYS, INCIDENTS)
    missed = ", ".join(f"{count} × {kind}" for kind, count in struck.missed.most_common()) or "none"  # noqa: RUF001 - a sign people know
    noisy = ", ".join(f"{count} × {rule}" for rule, count in (quiet.false + struck.false).most_common(3)) or "none"  # noqa: RUF001
    delays = f"told {median(struck.delays):.0f} min after it began (median), {max(struck.delays):.0f} at most"
    rules = len(load_rules().active())
    flaps = quiet.flaps.total() + struck.flaps.total()
    return [
        at_least("alert corpus: recall", struck.recall, f"of {struck.incidents} incidents", 0.95, f"missed: {missed}; {delays}"),
        at_most(
            f"alert corpus: false pages, {quiet.days:.0f} quiet days",
            quiet.false_per_week,
            f"a week, all {rules} rules",
            1.0,
            f"most: {noisy}",
        ),
        at_most("alert corpus: false pages between incidents", struck.false_per_week, "a week, all rules", 1.0, f"{struck.days:.0f} days"),
        at_most("alert corpus: flaps", float(flaps), "alerts that began again within 30 min", 0.0),
        Figure("the same, plain thresholds: recall", struck_plain.recall, f"of {struck_plain.incidents} incidents"),
        Figure("the same, plain thresholds: false pages, quiet days", quiet_plain.false_per_week, "a week", note=_worst(quiet_plain)),
        Figure("the same, plain thresholds: flaps", float(quiet_plain.flaps.total() + struck_plain.flaps.total()), "alerts"),
    ]


def tallies(seeds: Iterable[int], days: int, incidents: int) -> tuple[Tally, Tally]:
    """Play the shipped rules and plain thresholds over worlds of so many days after a week of warming up."""
    rules = load_rules().active()
    after_us = START_US + BASELINE_DAYS * DAY * MINUTE_US
    ours, plain = Tally(), Tally()
    for seed in seeds:
        world = World(seed, BASELINE_DAYS + days)
        struck = with_incidents(world, warm_days=BASELINE_DAYS, count=incidents) if incidents else []
        drawn = world.draw()
        ours.add(told(rules, drawn, after_us=after_us), struck, days)
        plain.add(told_naively(rules, drawn, after_us=after_us), struck, days)
    return ours, plain


def _worst(tally: Tally) -> str:
    return "most: " + ", ".join(f"{count} × {rule}" for rule, count in tally.false.most_common(3))  # noqa: RUF001


if __name__ == "__main__":
    main(run)
