"""The frame of the benchmarks: its table names what there is, its figures judge rightly, its ratios come from interleaved runs."""

import ast
from pathlib import Path

import pytest

from tests.benchmarks.__main__ import BENCHMARKS, markdown
from tests.benchmarks.figures import Figure, Samples, at_least, at_most, interleave
from tests.benchmarks.prose import documents
from tests.benchmarks.rows import make_range

FOLDER = Path(__file__).parent


def test_every_benchmark_that_gives_figures_is_in_the_table() -> None:
    found = set()
    for path in FOLDER.glob("bench_*.py"):
        functions = {node.name for node in ast.parse(path.read_text("utf-8")).body if isinstance(node, ast.FunctionDef)}
        if "run" in functions:
            found.add(path.stem.removeprefix("bench_"))
    assert found == set(BENCHMARKS)


@pytest.mark.parametrize(("value", "reached"), [(1.0, True), (1.9, True), (1.901, False)])
def test_a_limit_is_reached_up_to_and_including_it(value: float, reached: bool) -> None:
    assert at_most("x", value, "times", 1.9).ok is reached
    assert at_least("x", -value, "times", -1.9).ok is reached


def test_the_readmes_table_hides_nothing() -> None:
    text = markdown({"a": [at_most("x", 2.5, "s", 2.0, "profile"), at_least("y", 31_000, "events/s", 30_000), Figure("z", 0.123, "s")]})
    assert text.splitlines()[2:] == [
        "| x | 2.5 s | ≤ 2 | **not reached** profile |",
        "| y | 31,000 events/s | ≥ 30,000 | ✓ |",
        "| z | 0.123 s |  |  |",
    ]


def test_variants_are_interleaved_and_each_round_is_run_in_the_other_order() -> None:
    order: list[str] = []
    taken = interleave({name: lambda _, name=name: order.append(name) for name in "ab"}, 3)  # type: ignore[misc]
    assert "".join(order) == "abbaab"
    assert {name: len(samples.wall) for name, samples in taken.items()} == {"a": 3, "b": 3}


def test_samples_give_medians_and_their_spread() -> None:
    samples = Samples(wall=(1.0, 9.0, 2.0), cpu=(1.0, 1.0, 1.0, 1.0))
    assert (samples.wall_s, samples.cpu_s, samples.spread()) == (2.0, 1.0, "±0%")


def test_the_prose_is_deterministic_and_repeats_no_document() -> None:
    texts = documents(300, size=400, seed=5)
    assert texts == documents(300, size=400, seed=5)
    assert len(set(texts)) == 300
    assert 330 < sum(map(len, texts)) / 300 < 470


def test_a_range_is_what_the_readme_says_it_is() -> None:
    """A call of about 2 kB of JSON: a response of 1.6 kB and its request; every column as long as the range."""
    rows = make_range(400, seed=1, start_us=1_795_132_800_000_000, seconds=1)
    assert 1_800 < rows.json_bytes / 400 < 2_200
    assert {len(values) for columns in rows.tables().values() for values in columns.values()} == {400}
    assert len(set(rows.calls["call_id"])) == 400
