"""What `llmtower doctor` makes of what it measured; the whole command runs in tests/integration/cli."""

import sys
from pathlib import Path

import pytest

from llmtower_processors.doctor import _clock, _disk, _embedder, _module, examine
from llmtower_processors.drift.embedders import ModelEmbedder
from llmtower_processors.drift.examine import examine_embedder
from llmtower_schemas.settings import Settings, WorkerSettings


def test_what_is_not_installed_comes_with_its_pip_line() -> None:
    finding = _module("no_such_module", "no-such-package", "local")
    assert (finding.ok, finding.sentence, finding.remedy) == (False, "not installed", "pip install 'llmtower[local]'")


def test_a_clock_that_is_off_is_a_problem_and_one_that_agrees_is_none() -> None:
    assert (_clock(0.0).ok, _clock(1.9).ok, _clock(-0.0).remedy) == (True, True, "")
    off = _clock(7.25)
    assert (off.ok, off.sentence) == (False, "differs from ClickHouse's by 7.2 s")
    assert "NTP" in off.remedy


def test_a_setting_that_is_none_is_a_problem_and_nothing_is_looked_at_with_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LLMTOWER_KAFKA__BOOTSTRAP_SERVER", "k:9092")
    last = list(examine(tmp_path))[-1]
    assert (last.subject, last.ok) == ("settings", False)
    assert "did you mean LLMTOWER_KAFKA__BOOTSTRAP_SERVERS?" in last.sentence


@pytest.mark.parametrize(
    ("embedder", "said"),
    [
        ("minilm", "No embedder is called 'minilm'. There are: hashed-words"),
        ("sentence-transformers", "The embedder sentence-transformers is not installed. Run: pip install 'llmtower[embeddings]'"),
        ("model2vec:./potion", "The embedder model2vec is not installed. Run: pip install 'llmtower[embeddings]'"),
    ],
)
def test_an_embedder_that_cannot_be_had_is_a_problem_with_a_remedy(monkeypatch: pytest.MonkeyPatch, embedder: str, said: str) -> None:
    for module in ("model2vec", "sentence_transformers"):
        monkeypatch.setitem(sys.modules, module, None)
    finding = _embedder(Settings(worker=WorkerSettings(embedder=embedder)))
    assert (finding.subject, finding.ok) == ("embedder", False)
    assert finding.sentence.startswith(said)
    assert finding.remedy.startswith("correct LLMTOWER_WORKER__EMBEDDER: the worker that scores does not start")


def test_an_embedder_without_a_model_is_no_problem() -> None:
    finding = _embedder(Settings())
    assert (finding.ok, finding.sentence, finding.remedy) == (True, "hashed-words@1:256 embeds texts, without a model", "")


class Encoder:
    def __init__(self, dimension: int) -> None:
        self.dimension = dimension

    def encode(self, texts: list[str]) -> list[list[float]]:
        return [[1.0] * self.dimension for _ in texts]


def test_a_model_that_loads_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    def says(dimension: int) -> tuple[str, bool]:
        monkeypatch.setattr("llmtower_processors.drift.examine.load_embedder", lambda _: ModelEmbedder("m", "1", 3, Encoder(dimension)))
        return examine_embedder("sentence-transformers:./m")

    assert says(3) == (
        "m@1:3 embeds texts; where an answer begins to be relevant or grounded was never calibrated: such scores say `uncalibrated`",
        False,
    )
    assert says(2) == ("m@1:3 was loaded and fails over a text (WrongShapeError). Get another model, or this one anew.", True)


def test_little_room_on_the_disk_is_a_problem_with_a_remedy() -> None:
    finding = _disk(1 << 30, 100 << 30)
    assert not finding.ok
    assert finding.sentence.startswith("1.0 of 100.0 GiB free")
    assert "LLMTOWER_RETENTION__CONTENTS_DAYS" in finding.remedy
    assert _disk(50 << 30, 100 << 30).ok
