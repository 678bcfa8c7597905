"""A small corpus: the shipped rules find what happened and keep quiet otherwise. The whole is a benchmark (alert_corpus)."""

import numpy as np
import pytest
from tests.alerts.corpus import EDGES, World
from tests.alerts.corpus_incidents import KINDS, with_incidents
from tests.alerts.corpus_judge import _NOT_DRAWN, _percentile, tracks
from tests.benchmarks.bench_alert_corpus import tallies

from llmtower_processors.alerts.load import load_rules


def test_the_shipped_rules_find_incidents_and_keep_quiet_between_them() -> None:
    ours, plain = tallies([205], 7, 14)
    assert ours.incidents == 14
    assert ours.recall >= 0.9
    assert ours.false.total() <= 1
    assert ours.flaps.total() == 0
    assert plain.false.total() > 50 * max(1, ours.false.total())


def test_every_shipped_rule_is_part_of_the_corpus_and_of_some_incident() -> None:
    drawn = World(7, 8).draw()
    with_tracks = {rule.name for rule in load_rules().active() if tracks(rule, drawn)}
    silent_when_well = {"dead_letters"}
    assert with_tracks == {rule.name for rule in load_rules().active()} - _NOT_DRAWN - silent_when_well
    assert {rule for _, _, rules in KINDS.values() for rule in rules} == with_tracks | silent_when_well


def test_one_seed_is_one_world() -> None:
    first, second = (World(3, 2).draw() for _ in range(2))
    assert all(np.array_equal(first.sums[name], second.sums[name]) for name in first.sums)
    assert len({incident.kind for incident in with_incidents(World(3, 9), warm_days=7, count=20)}) == 20


@pytest.mark.parametrize("share", [0.5, 0.95])
def test_percentiles_of_the_histograms_are_right(share: float) -> None:
    seconds = np.random.default_rng(1).lognormal(0.5, 0.6, 20_000)
    times = np.histogram(seconds, EDGES)[0][None, :].astype(float)
    assert _percentile(times, share)[0] == pytest.approx(np.quantile(seconds, share), rel=0.02)
