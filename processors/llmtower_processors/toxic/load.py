"""From settings to a strong model, or to the reason why there is none."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmtower_processors.toxic import checkpoint
from llmtower_processors.toxic.checkpoint import OFFICIAL, Loaded, ModelError
from llmtower_processors.toxic.onnx_runner import OnnxRunner, exported, quantised
from llmtower_processors.toxic.probe import probe
from llmtower_processors.toxic.strong import Detoxifier, Runner, Strong
from llmtower_processors.toxic.torch_runner import TorchRunner
from llmtower_schemas.settings import ToxicitySettings

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Choice:
    """A strong model, or why there is none."""

    strong: Strong | None
    sentence: str
    """For doctor and the log."""
    failed: bool = False
    """Whether one was asked for and cannot be had."""


def choose(settings: ToxicitySettings, data_dir: Path) -> Choice:
    """Load what the settings ask for; what goes wrong is said and never stops the worker."""
    if settings.model == "none":
        return Choice(
            None, "the linear model alone scores all texts; for Detoxify set LLMTOWER_TOXICITY__MODEL and LLMTOWER_TOXICITY__FOLDER"
        )
    try:
        strong = load_strong(settings, data_dir)
    except ModelError as error:
        return Choice(None, f"the linear model alone scores all texts: {error}", failed=True)
    return Choice(strong, f"{strong.label} ({strong.version}) sees what the linear model finds suspicious, and a random share of the rest")


def path_of(settings: ToxicitySettings, data_dir: Path) -> Path:
    """Give where the checkpoint is, or would be after it was fetched."""
    if settings.checkpoint is not None:
        return settings.checkpoint
    return data_dir / "models" / OFFICIAL[settings.model].url.rsplit("/", 1)[1]


def load_strong(settings: ToxicitySettings, data_dir: Path) -> Strong:
    """Load checkpoint and backend. Raises ModelError."""
    path = path_of(settings, data_dir)
    if not path.exists():
        raise ModelError(f"There is no checkpoint at {path}. Run `llmtower toxicity fetch`, or set LLMTOWER_TOXICITY__CHECKPOINT.")
    if settings.folder is None:
        hub = OFFICIAL[settings.model].hub
        raise ModelError(f"Set LLMTOWER_TOXICITY__FOLDER to a local folder with config.json and the vocabulary of {hub}.")
    expected = settings.sha256 or ("" if settings.checkpoint else OFFICIAL[settings.model].sha256)
    loaded = checkpoint.load(path, settings.folder, expected)
    runner = runner_for(loaded, settings.backend, data_dir / "models")
    return Detoxifier(f"detoxify-{settings.model}", loaded.sha256[:8], loaded.classes, loaded.tokenizer, runner)


def runner_for(loaded: Loaded, backend: str, folder: Path) -> Runner:
    """Give the runner: `auto` is the GPU where there is one, else int8 where the probe allows it, else fp32. Raises ModelError."""
    if backend == "torch" or (backend == "auto" and _has_gpu()):
        return _on_torch(loaded.network)
    path = exported(loaded.network, folder, loaded.sha256[:16])
    fp32 = OnnxRunner(path, "fp32")
    if backend == "onnx":
        return fp32
    int8 = OnnxRunner(quantised(path), "int8")
    refusal = probe(fp32, int8, vocabulary=int(loaded.network.config.vocab_size)).refusal
    if refusal:
        log.warning("int8 is refused: %s. fp32 is used.", refusal)
        return fp32
    return int8


def _on_torch(network: Any) -> Runner:
    return TorchRunner(network, device="cuda", precision="fp16") if _has_gpu() else TorchRunner(network)


def _has_gpu() -> bool:
    import torch

    return bool(torch.cuda.is_available())
