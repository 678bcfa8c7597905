"""The half of the benchmark `toxicity` that needs PyTorch: `python -m tests.benchmarks.toxicity_child FOLDER OUT [--quick]` in .venv-ml."""

import json
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from llmtower_processors.toxic import checkpoint
from llmtower_processors.toxic.onnx_runner import OnnxRunner, exported, quantised
from llmtower_processors.toxic.strong import Detoxifier, Runner, Scores
from llmtower_processors.toxic.torch_runner import TorchRunner
from tests.benchmarks.bench_toxicity import texts_of as long_texts
from tests.benchmarks.gpu_toxicity import naive, texts_of
from tests.ml.checkpoints import write

WAYS: Final = ("naive", "torch", "fp32", "int8")


def main() -> None:
    """Time every way over the same texts, in turn, and write the medians."""
    folder, out, quick = Path(sys.argv[1]), Path(sys.argv[2]), "--quick" in sys.argv
    files = write(folder, size="base", spread=0.05)
    loaded = checkpoint.load(files.checkpoint, files.folder)
    path = exported(loaded.network, folder, "base")

    def ours(runner: Runner) -> Callable[[Sequence[str]], Scores]:
        return Detoxifier("detoxify-original", loaded.sha256[:8], loaded.classes, loaded.tokenizer, runner).score

    ways = dict(
        zip(
            WAYS,
            (
                naive(loaded, "cpu"),
                ours(TorchRunner(loaded.network)),
                ours(OnnxRunner(path, "fp32")),
                ours(OnnxRunner(quantised(path), "int8")),
            ),
            strict=True,
        )
    )
    texts = texts_of(8 if quick else 40)
    tokens = sum(map(len, loaded.tokenizer(texts, add_special_tokens=True)["input_ids"]))
    took, scores = time_all(ways, texts, rounds=1 if quick else 5)
    rates = {name: tokens / statistics.median(seconds) for name, seconds in took.items()}
    distance = float(np.abs(scores["int8"] - scores["fp32"]).max())
    rest = {"texts": len(texts), "rounds": len(took["naive"]), "int8_distance": distance, "library": library(quick)}
    out.write_text(json.dumps(rates | rest), "utf-8")


def time_all(
    ways: dict[str, Callable[[Sequence[str]], Scores]], texts: Sequence[str], *, rounds: int
) -> tuple[dict[str, list[float]], dict[str, Scores]]:
    """Warm every way up, then time all of them in each round."""
    scores = {name: score(texts[:2]) for name, score in ways.items()}
    took: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, score in ways.items():
            begun = time.perf_counter()
            scores[name] = score(texts)
            took[name].append(time.perf_counter() - begun)
    return took, scores


def library(quick: bool) -> float:
    """Give texts per CPU-second of alt-profanity-check on whole texts of 1,200 characters."""
    from profanity_check import predict_prob

    texts = long_texts(500 if quick else 3_000)
    begun = time.process_time()
    predict_prob(texts)
    return len(texts) / (time.process_time() - begun)


if __name__ == "__main__":
    main()
