"""Intervals and verdicts: against textbook values, and by how often they err where the truth is known."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmtower_processors.errors import NotConfigured
from llmtower_processors.prompts.gate import Judged, Margin, judge, parse_margin, wanting
from llmtower_processors.prompts.statistics import Compared, Estimate, compare, holm, mean, quantile_ranks, rate, student, subtract
from llmtower_processors.prompts.traffic import LEAST


def test_newcombe_s_own_example() -> None:
    """Newcombe (1998), table II (a), method 10: 56/70 against 48/80 gives 0.0524 to 0.3339."""
    a, b = rate(48, 80), rate(56, 70)
    assert a is not None
    assert b is not None
    found = subtract(a, b)
    assert (round(found.value, 4), round(found.low, 4), round(found.high, 4)) == (0.2, 0.0524, 0.3339)
    assert found.needed is None


@pytest.mark.parametrize(("freedom", "quantile"), [(4, 2.776), (9, 2.262), (29, 2.045), (99, 1.984), (10_000, 1.960)])
def test_student(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, rel=0.01)


def test_nothing_is_made_of_nothing() -> None:
    assert rate(0, 0) is None
    assert mean(1.0, math.nan, 1) is None
    (found,) = compare([("error rate", "%", "lower", rate(1, 10), None)])
    assert (found.difference, found.verdict) == (None, "not enough data: 2 each at least")
    same = rate(0, 50)
    assert same is not None
    assert [none.low for n in range(1, 400) if (none := rate(0, n)) is not None and none.low] == [], "no rounding error beside 0"
    assert subtract(same, same).p == pytest.approx(1.0)


@given(st.integers(0, 60), st.integers(60, 200), st.integers(0, 60), st.integers(60, 200))
def test_a_difference_turned_around(a: int, n: int, b: int, m: int) -> None:
    one, two = rate(a, n), rate(b, m)
    assert one is not None
    assert two is not None
    there, back = subtract(one, two), subtract(two, one)
    assert there.low <= there.value <= there.high
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))
    assert there.p == pytest.approx(back.p)
    assert (there.p < 0.05) == (there.low > 0 or there.high < 0) or there.p == pytest.approx(0.05, abs=1e-6)


def test_of_versions_that_do_not_differ_few_are_said_to() -> None:
    """Six figures each, 400 comparisons without any difference: at most a twentieth may be called one (Holm), here with room for chance."""
    rng = np.random.default_rng(7)

    def figures(n: int) -> list[Estimate | None]:
        costs = rng.lognormal(0, 1, (5, n))
        return [rate(int(rng.binomial(n, 0.05)), n), *(mean(float(one.mean()), float(one.var(ddof=1)), n) for one in costs)]

    wrong = 0
    for _ in range(400):
        both = zip(figures(300), figures(300), strict=True)
        wrong += any(one.verdict in ("better", "worse") for one in compare([("f", "", "lower", a, b) for a, b in both]))
    assert wrong <= 36


def test_what_is_worse_is_called_so_and_what_is_missing_is_counted() -> None:
    found = compare([("error rate", "%", "lower", rate(10, 1_000), rate(60, 1_000)), ("thumbs", "%", "higher", rate(30, 50), rate(27, 50))])
    assert found[0].verdict == "worse"
    assert found[1].verdict.startswith("not shown to differ; about ")
    needed = found[1].difference
    assert needed is not None
    assert needed.needed is not None
    a, b = rate(0.6 * needed.needed, needed.needed), rate(0.54 * needed.needed, needed.needed)
    assert compare([("thumbs", "%", "higher", a, b)])[0].verdict == "worse"


def test_holm() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([]) == []


def test_ranks_of_a_percentile() -> None:
    low, high = quantile_ranks(0.95, 400)
    assert (round(low, 4), round(high, 4)) == (0.9286, 0.9714)


@pytest.mark.parametrize(
    ("text", "margin"),
    [
        ("error rate=0.5pp", Margin("error rate", 0.005, relative=False)),
        ("p95 duration = 10%", Margin("p95 duration", 0.1, relative=True)),
        ("score relevance=0.02", Margin("score relevance", 0.02, relative=False)),
    ],
)
def test_margins(text: str, margin: Margin) -> None:
    assert parse_margin(text) == margin


@pytest.mark.parametrize("text", ["", "error rate", "=1", "error rate=much", "error rate=-1pp", "error rate=inf"])
def test_what_is_no_margin(text: str) -> None:
    with pytest.raises(NotConfigured, match="is no margin"):
        parse_margin(text)


def gate(a: Estimate | None, b: Estimate | None, *, good: str = "lower", allow: str = "f=1pp") -> str:
    compared = compare([("f", "", good, a, b)])  # type: ignore[list-item]
    return judge(compared, [parse_margin(allow)], at_least=100)[0].outcome


def test_the_gate() -> None:
    assert gate(rate(100, 10_000), rate(100, 10_000)) == "passes"
    assert gate(rate(100, 10_000), rate(500, 10_000)) == "fails"
    assert gate(rate(100, 10_000), rate(10, 10_000)) == "passes"
    assert gate(rate(2, 200), rate(3, 200)) == "unsure"
    assert gate(rate(1, 99), rate(1, 1_000)) == "fails", "too little to judge"
    assert gate(rate(1, 1_000), None) == "fails"
    assert gate(rate(900, 1_000), rate(500, 1_000), good="higher") == "fails"
    assert gate(rate(500, 1_000), rate(900, 1_000), good="higher") == "passes"
    assert gate(mean(2.0, 0.01, 1_000), mean(2.1, 0.01, 1_000), allow="f=10%") == "passes"
    assert gate(mean(2.0, 0.01, 1_000), mean(2.3, 0.01, 1_000), allow="f=10%") == "fails"
    few, enough = compare([("f", "", "lower", rate(1, 99), rate(1, 1_000)), ("g", "", "lower", rate(1, 100), rate(1, 100))])
    margins = [Margin(name, 0.01, relative=False) for name in ("f", "g", "h")]
    assert wanting([few, enough], margins, at_least=100) == ["f", "h"], "what `--wait` waits for"
    with pytest.raises(NotConfigured, match=r"There is no figure g\. There are: f\."):
        judge([Compared("f", "", "lower", None, None, None, "")], [Margin("g", 0, relative=False)], at_least=1)


def test_the_gate_says_what_sample_would_prove_it() -> None:
    """As many more observations as the square of how much closer the bound must come."""

    def judged(n: int) -> Judged:
        compared = compare([("f", "", "lower", rate(n // 100, n), rate(n // 100, n))])
        return judge(compared, [parse_margin("f=1pp")], at_least=100)[0]

    found = judged(400)
    assert found.outcome == "unsure"
    needed = int(found.sentence.split("about ")[1].split(" ")[0].replace(",", ""))
    assert (judged(needed // 2 // 100 * 100).outcome, judged(needed // 100 * 100 + 200).outcome) == ("unsure", "passes")
    worse = judge(compare([("f", "", "lower", rate(2, 200), rate(5, 200))]), [parse_margin("f=1pp")], at_least=100)[0]
    assert worse.sentence.endswith("not proven to be within the margin"), "no sample proves what is beyond it by all that is known"


def test_a_percentile_says_how_many_calls_it_needs() -> None:
    (found,) = compare([("p95 duration", "s", "lower", None, None)], least=LEAST)
    assert found.verdict == f"not enough data: {LEAST['p95 duration']} each at least"
    low, high = quantile_ranks(0.95, LEAST["p95 duration"])
    assert 0.88 <= low < 0.95 < high <= 0.999
