"""Experiments: what was done is not done again, pairs are compared, a scorer that raises spoils nothing."""

from pathlib import Path

import numpy as np
import pytest

from llmtower_processors.errors import NotConfigured
from llmtower_processors.prompts.cases import Row, read_cases
from llmtower_processors.prompts.experiment import Outcome, cells, flips, outcome_line, paired, read_outcomes
from llmtower_processors.prompts.scorers import find_check, find_checks, score
from llmtower_schemas.prompts import Prompt, Version


def version(number: int, text: str, **parameters: str) -> Version:
    prompt = Prompt(text=text, parameters=parameters)
    return Version(name="a", number=number, sha256=prompt.sha256(), prompt=prompt)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    cases = read_cases([Row("x", {"q": text}, {"q": text}) for text in "ab"], {}, source="x")
    todo = cells([version(1, "x {{ q }}"), version(2, "y {{ q }}")], ["m"], cases)
    assert [cell.arm for cell in todo] == ["a@1 m", "a@2 m"] * 2
    done = [Outcome(todo[0].key, todo[0].arm, "c", scores={"exact": 1.0}), Outcome(todo[1].key, todo[1].arm, "c", error="APIError")]
    file = tmp_path / "out.jsonl"
    file.write_bytes(b"".join(map(outcome_line, done)) + outcome_line(done[0])[:20])
    assert read_outcomes(file) == {todo[0].key: done[0]}, "what failed, and a torn line, is asked again"
    assert read_outcomes(tmp_path / "none") == {}
    assert cells([version(1, "another {{ q }}")], ["m"], cases)[0].key != todo[0].key
    assert cells([version(1, "x", model="own")], [], cases)[0].model == "own"
    with pytest.raises(NotConfigured, match="names no model"):
        cells([version(1, "x")], [], cases)


def outcomes(arm: str, values: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> list[Outcome]:
    return [
        Outcome(f"{arm}{n}", arm, str(n), seconds=1.0, nano_usd=1_000_000, scores={"relevance": float(value)})
        for n, value in enumerate(values)
    ]


def test_pairs_show_what_averages_hide() -> None:
    """Cases differ far more than versions: only by pairs the difference of 0.05 is seen."""
    hard = np.random.default_rng(1).uniform(0, 1, 40)
    noise = np.random.default_rng(2).normal(0, 0.03, 40)
    every = [*outcomes("one", hard), *outcomes("two", hard - 0.05 + noise), Outcome("x", "two", "99"), Outcome("y", "one", "98", error="E")]
    found = {one.figure: one for one in paired(every, "one", "two")}
    relevance = found["relevance"]
    assert relevance.verdict == "worse"
    assert relevance.difference is not None
    assert relevance.difference.low < -0.05 < relevance.difference.high < 0
    assert (found["seconds"].verdict, found["cost per 1,000 calls"].verdict) == ("not shown to differ", "not shown to differ")
    assert paired(every, "one", "nobody")[0].verdict == "not enough data"


def test_too_few_cases_say_how_many_would_do() -> None:
    rng = np.random.default_rng(5)

    def verdict(cases: int) -> str:
        hard = rng.uniform(0, 1, cases)
        every = [*outcomes("one", hard), *outcomes("two", hard + rng.normal(0.02, 0.1, cases))]
        return next(one.verdict for one in paired(every, "one", "two") if one.figure == "relevance")

    assert "not shown to differ; about " in verdict(12)
    assert verdict(1_200) == "better"


def test_what_has_no_good_direction_is_only_different() -> None:
    sides = {"one": 80.0, "two": 120.0}
    every = [Outcome(f"{arm}{n}", arm, str(n), scores={"length": length + n}) for arm, length in sides.items() for n in range(20)]
    found = {one.figure: one for one in paired(every, "one", "two")}
    assert found["length"].verdict == "differs"


def test_sign_flips_are_exact_where_that_can_be_told() -> None:
    assert flips(np.ones(5)) == pytest.approx(2 / 32, abs=0.01)
    assert flips(np.zeros(5)) == 1.0
    assert flips(np.ones(5)) == flips(np.ones(5))


def test_checks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "schema.json").write_text('{"type": "object", "required": ["a"]}')
    (tmp_path / "mine.py").write_text(
        "def half(answer, expected, variables): return 0.5\ndef raises(*_): raise ValueError(_)\ndef text(*_): return 'x'\n"
    )
    monkeypatch.chdir(tmp_path)
    names = ("exact", "contains", "json", "regex:^.a", f"json-schema:{tmp_path}/schema.json", "mine:half", "mine:raises", "mine:text")
    checks = [find_check(name) for name in names]
    scores, failed = score(checks, '{"a": 1}', '{"a": 1} ', {})
    assert scores == {"exact": 1, "contains": 0, "json": 1, "regex": 0, "json-schema": 1, "half": 0.5}
    assert failed == ("raises", "text"), "the others go on"
    assert score(checks[:2], "x", None, {}) == ({}, ()), "nothing was expected"
    assert score(checks[2:5], "xa", None, {})[0] == {"json": 0, "regex": 1, "json-schema": 0}


@pytest.mark.parametrize("text", ["exactly", "regex:(", "json-schema:/none", "no_such_module:f", "os:no_such_function", "os:sep"])
def test_what_is_no_check_is_a_sentence(text: str) -> None:
    with pytest.raises(NotConfigured):
        find_check(text)


def test_checks_of_one_name_are_told_apart() -> None:
    assert [name for name, _ in find_checks(["regex:a", "json", "regex:b", "regex:c"])] == ["regex", "json", "regex 2", "regex 3"]


def test_another_check_is_another_cell() -> None:
    cases = read_cases([Row("x", {"q": "a"}, {"q": "a"})], {}, source="x")
    keys = {cells([version(1, "x {{ q }}")], ["m"], cases, scoring)[0].key for scoring in ("", "exact", "judge_helpfulness/1/gpt-4o-mini")}
    assert len(keys) == 3
