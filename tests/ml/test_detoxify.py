"""Stage 2 on small checkpoints in Detoxify's format: equal to Detoxify itself, whatever computes it, and bad files are refused."""

import os
import pickle
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import torch
from detoxify.detoxify import get_model_and_tokenizer

from llmtower_processors.toxic import checkpoint, load
from llmtower_processors.toxic.checkpoint import Loaded, ModelError, sha256_of
from llmtower_processors.toxic.load import choose, runner_for
from llmtower_processors.toxic.onnx_runner import OnnxRunner, exported, quantised
from llmtower_processors.toxic.probe import Probe, probe
from llmtower_processors.toxic.strong import WINDOW, Detoxifier, Runner
from llmtower_processors.toxic.torch_runner import TorchRunner
from llmtower_processors.toxicity import toxicity_processor
from llmtower_schemas.settings import ToxicitySettings
from tests.ml.checkpoints import Files, words, write
from tests.processors.batches import batch, record
from tests.processors.blocks import rows

NAMES = ["toxicity", "severe_toxicity", "obscene", "threat", "insult", "identity_attack"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return write(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def loaded(files: Files) -> Loaded:
    return checkpoint.load(files.checkpoint, files.folder)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exported")


def texts_of(count: int, longest: int = 300) -> list[str]:
    rng, vocabulary = random.Random(1), words()
    return [" ".join(rng.choices(vocabulary, k=rng.randint(1, longest))) for _ in range(count)]


def detoxifier(loaded: Loaded, runner: Runner) -> Detoxifier:
    return Detoxifier("detoxify-original", loaded.sha256[:8], loaded.classes, loaded.tokenizer, runner)


def of_detoxify(files: Files, texts: Sequence[str]) -> np.ndarray[Any, Any]:
    """What Detoxify's own loader and its `predict` give, text by text."""
    content = torch.load(files.checkpoint, weights_only=False)
    arguments = content["config"]["arch"]["args"] | {"model_type": str(files.folder)}
    network, tokenizer = get_model_and_tokenizer(**arguments, state_dict=content["state_dict"])
    network.eval()
    with torch.no_grad():
        inputs = (tokenizer([text], return_tensors="pt", truncation=True, padding=True) for text in texts)
        return np.concatenate([torch.sigmoid(network(**one)[0]).numpy() for one in inputs])


def test_scores_are_those_of_detoxify(files: Files, loaded: Loaded) -> None:
    texts = [*texts_of(60), "", "\x00 binary \ufffd", "no word of it is known"]
    found = detoxifier(loaded, TorchRunner(loaded.network))
    assert (found.label, found.version) == ("detoxify-original", f"{sha256_of(files.checkpoint)[:8]}:torch-fp32")
    assert found.classes == NAMES
    scores = found.score(texts)
    assert np.abs(scores - of_detoxify(files, texts)).max() < 1e-5
    assert scores.std(axis=0).min() > 0.001


def test_a_long_text_is_as_bad_as_its_worst_window(files: Files, loaded: Loaded) -> None:
    found = detoxifier(loaded, TorchRunner(loaded.network))
    long = " ".join(texts_of(12, 300))
    windows = found.windows([long])[0]
    assert len(windows) > 3
    assert max(map(len, windows)) == WINDOW + 2
    told = [" ".join(loaded.tokenizer.convert_ids_to_tokens(window[1:-1])) for window in windows]
    assert np.allclose(found.score([long])[0], found.score(told).max(axis=0), atol=1e-6)
    assert not np.allclose(found.score([long]), of_detoxify(files, [long]), atol=1e-4)


def test_onnx_in_fp32_agrees_and_is_exported_once(loaded: Loaded, folder: Path) -> None:
    texts = texts_of(20)
    expected = detoxifier(loaded, TorchRunner(loaded.network)).score(texts)
    path = exported(loaded.network, folder, "tiny")
    written = path.stat().st_mtime_ns
    assert np.abs(detoxifier(loaded, OnnxRunner(path, "fp32")).score(texts) - expected).max() < 1e-5
    assert exported(loaded.network, folder, "tiny").stat().st_mtime_ns == written
    assert not loaded.network.training


def test_int8_is_near_and_the_probe_measures_it(loaded: Loaded, folder: Path) -> None:
    fp32 = OnnxRunner(exported(loaded.network, folder, "tiny"), "fp32")
    int8 = OnnxRunner(quantised(exported(loaded.network, folder, "tiny")), "int8")
    found = probe(fp32, int8, vocabulary=loaded.network.config.vocab_size)
    assert 0 < found.distance < 0.05
    assert min(found.fp32_s, found.int8_s) > 0


@pytest.mark.parametrize(("distance", "name"), [(0.01, "onnx-int8"), (0.06, "onnx-fp32")])
def test_auto_takes_int8_only_if_the_probe_allows_it(
    distance: float, name: str, loaded: Loaded, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(load, "probe", lambda *_, **__: Probe(2.0, 1.0, distance))
    assert runner_for(loaded, "auto", folder).name == name
    assert runner_for(loaded, "torch", folder).name == "torch-fp32"
    assert runner_for(loaded, "onnx", folder).name == "onnx-fp32"


def test_an_export_that_is_damaged_is_named(folder: Path) -> None:
    path = folder / "broken.onnx"
    path.write_bytes(b"x" * 100)
    with pytest.raises(ModelError, match=r"broken\.onnx cannot be read .* Delete it"):
        OnnxRunner(path, "fp32")


def test_settings_make_a_model_and_the_processor_says_which(files: Files, tmp_path: Path) -> None:
    settings = ToxicitySettings(model="original", checkpoint=files.checkpoint, folder=files.folder, backend="torch")
    choice = choose(settings, tmp_path)
    assert choice.strong is not None
    assert "detoxify-original" in choice.sentence
    made = batch(record(orjson.dumps(_call("You stupid idiot, shut up."))), processor="toxicity")
    (row,) = [row for block in toxicity_processor(choice.strong).function(made) for row in rows(block)]
    assert [name for name in row["names"] if not name.startswith("input_")] == ["toxicity_screen", *NAMES]
    assert set(row["scorers"]) == {"profanity-linear", "detoxify-original"}


def test_identities_that_unbiased_knows_are_not_kept(tmp_path: Path) -> None:
    classes = ("toxicity", "obscene", "male", "sexual_explicit", "insult")
    made = write(tmp_path, classes=classes)
    loaded = checkpoint.load(made.checkpoint, made.folder)
    found = detoxifier(loaded, TorchRunner(loaded.network))
    assert found.classes == ["toxicity", "obscene", "insult", "sexual_explicit"]
    assert np.allclose(found.score(["ba de fi"]), of_detoxify(made, ["ba de fi"])[:, [0, 1, 4, 3]], atol=1e-5)


class Evil:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def test_a_file_that_runs_code_is_refused_without_running_it(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "evil.ckpt"
    torch.save({"config": Evil(tmp_path / "ran"), "state_dict": {}}, path)
    (tmp_path / "raw.ckpt").write_bytes(pickle.dumps(Evil(tmp_path / "ran")))
    for one in (path, tmp_path / "raw.ckpt"):
        for sha256 in ("", sha256_of(one)[:8]):
            with pytest.raises(ModelError, match="holds more than tensors"):
                checkpoint.load(one, files.folder, sha256)
    assert not (tmp_path / "ran").exists()


def test_a_damaged_file_a_foreign_one_and_a_folder_that_does_not_fit_are_refused(files: Files, tmp_path: Path) -> None:
    cut = tmp_path / "cut.ckpt"
    cut.write_bytes(files.checkpoint.read_bytes()[:-2_000])
    with pytest.raises(ModelError, match="is damaged"):
        checkpoint.load(cut, files.folder)
    with pytest.raises(ModelError, match="it is damaged, or another file"):
        checkpoint.load(cut, files.folder, sha256_of(files.checkpoint))
    foreign = tmp_path / "foreign.ckpt"
    torch.save({"state_dict": {}}, foreign)
    with pytest.raises(ModelError, match="none of Detoxify's"):
        checkpoint.load(foreign, files.folder)
    other = write(tmp_path / "other", size="tiny", classes=("toxic",))
    content = torch.load(other.checkpoint, weights_only=True)
    content["state_dict"].pop("classifier.bias")
    torch.save(content, other.checkpoint)
    with pytest.raises(ModelError, match=r"1 tensors differ, classifier\.bias first"):
        checkpoint.load(other.checkpoint, other.folder)


def _call(answer: str) -> dict[str, Any]:
    from llmtower_schemas.codec import encode_event
    from llmtower_schemas.examples import EXAMPLES

    call: dict[str, Any] = orjson.loads(encode_event(EXAMPLES["openai_chat"])) | {"output": answer}
    return call
