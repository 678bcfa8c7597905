"""Stage 2 on a GPU: batches by length in fp32, fp16 and bf16 against the naive Detoxify loop, with the same random BERT-base weights.

Needs PyTorch and transformers and nothing else: `PYTHONPATH=processors:schemas:. python3 -m tests.benchmarks.gpu_toxicity [--json FILE]
[--quick]`, from the checkout. Figures are non-padding tokens a second, tokenizing included, and how far scores are from the loop's.
"""

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from llmtower_processors.toxic import checkpoint
from llmtower_processors.toxic.strong import Detoxifier, Scores
from llmtower_processors.toxic.torch_runner import TorchRunner
from tests.ml.checkpoints import words, write

SEED: Final = 20261126
NAIVE_TEXTS: Final = 300
TEXTS: Final = 6_000
BATCH_TOKENS: Final = (4_096, 16_384, 65_536, 262_144)


@dataclass(frozen=True, slots=True)
class Taken:
    """One way of computing: seconds for so many tokens, and its scores."""

    name: str
    tokens: int
    seconds: float
    scores: Scores

    @property
    def rate(self) -> float:
        """Non-padding tokens a second."""
        return self.tokens / self.seconds


def texts_of(count: int) -> list[str]:
    """Give made-up texts of 10 to 480 tokens, most of them short, as answers are."""
    rng, vocabulary = random.Random(SEED), words()
    return [" ".join(rng.choices(vocabulary, k=min(480, max(10, int(rng.lognormvariate(4.6, 0.8)))))) for _ in range(count)]


def naive(loaded: checkpoint.Loaded, device: str) -> Callable[[Sequence[str]], Scores]:
    """Detoxify's `predict` text by text, as its README shows it: fp32, one text a call."""
    import torch

    network, tokenizer = loaded.network.to(device=device, dtype=torch.float32), loaded.tokenizer

    def score(texts: Sequence[str]) -> Scores:
        rows = []
        for text in texts:
            with torch.no_grad():
                inputs = tokenizer([text], return_tensors="pt", truncation=True, padding=True).to(device)
                rows.append(torch.sigmoid(network(**inputs)[0]).cpu().numpy())
        found: Scores = np.concatenate(rows)
        return found

    return score


def timed(name: str, score: Callable[[Sequence[str]], Scores], texts: Sequence[str], tokens: int, device: str) -> Taken:
    """Warm up on all texts once (kernels are chosen by shape), then time the best of two turns."""
    import torch

    best, scores = float("inf"), score(texts)
    for _ in range(2):
        if device == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        scores = score(texts)
        best = min(best, time.perf_counter() - begun)
    return Taken(name, tokens, best, scores)


def measure(device: str, *, size: str, naive_texts: int, many: int) -> list[Taken]:
    """Run every way over texts of its own number: the naive loop over fewer."""
    with tempfile.TemporaryDirectory(prefix="llmtower-gpu-") as folder:
        files = write(Path(folder), size=size, spread=0.05)
        loaded = checkpoint.load(files.checkpoint, files.folder)
    texts = texts_of(many)
    counts = [len(row) for row in loaded.tokenizer(texts, add_special_tokens=True)["input_ids"]]
    few = texts[:naive_texts]
    taken = [timed("naive Detoxify loop, fp32", naive(loaded, device), few, sum(counts[:naive_texts]), device)]
    for precision in ("fp32", "bf16", "fp16"):
        runner = TorchRunner(loaded.network, device=device, precision=precision)
        for batch_tokens in BATCH_TOKENS if precision == "fp16" else BATCH_TOKENS[1:2]:
            runner.batch_tokens = batch_tokens
            detoxifier = Detoxifier("detoxify-original", loaded.sha256[:8], loaded.classes, loaded.tokenizer, runner)
            taken.append(timed(f"batches of {batch_tokens:,} tokens, {precision}", detoxifier.score, texts, sum(counts), device))
        loaded = checkpoint.Loaded(loaded.network.float(), loaded.tokenizer, loaded.classes, loaded.sha256)
    return taken


def report(taken: Sequence[Taken], device: str) -> dict[str, Any]:
    """Say how each way compares with the naive loop, and how far its scores are from it."""
    import torch

    base = taken[0]
    rows = [
        {
            "name": one.name,
            "tokens_per_s": round(one.rate),
            "times_naive": round(one.rate / base.rate, 1),
            "furthest_score": float(np.abs(one.scores[: len(base.scores)] - base.scores).max()),
            "texts": len(one.scores),
        }
        for one in taken
    ]
    where = torch.cuda.get_device_name(0) if device == "cuda" else "CPU"
    return {"device": where, "torch": torch.__version__, "rows": rows}


def main() -> None:
    """Measure on the GPU if there is one, else on the CPU with a tiny model: a check that the script runs."""
    import torch

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--quick", action="store_true", help="a tiny model and few texts")
    options = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    quick = options.quick or device == "cpu"
    taken = measure(device, size="tiny" if quick else "base", naive_texts=20 if quick else NAIVE_TEXTS, many=100 if quick else TEXTS)
    found = report(taken, device)
    print(f"{found['device']}, torch {found['torch']}")
    for row in found["rows"]:
        print(
            f"{row['name']:<40} {row['tokens_per_s']:>12,} tokens/s  {row['times_naive']:>6} x naive"
            f"  furthest score {row['furthest_score']:.5f}  ({row['texts']:,} texts)"
        )
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
