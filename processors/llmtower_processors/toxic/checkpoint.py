"""Detoxify's checkpoints: fetched or given, checked by SHA-256 before anything reads them, loaded without asking any hub.

Detoxify's own loader takes a model's config from a hub even when the weights are local, and unpickles whatever the file holds. Here config
and vocabulary come from a folder beside the weights, and the file is read as tensors and plain values only.
"""

import hashlib
import shutil
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.error import URLError

from llmtower_processors.errors import NotConfigured

_RELEASES: Final = "https://github.com/unitaryai/detoxify/releases/download/"


@dataclass(frozen=True, slots=True)
class Official:
    """A published checkpoint: where it is, and how its SHA-256 begins (torch.hub's habit: eight digits in the file's name)."""

    url: str
    sha256: str
    hub: str
    """The model on a hub whose config.json and vocabulary it needs."""


OFFICIAL: Final[Mapping[str, Official]] = {
    "original": Official(
        _RELEASES + "v0.1-alpha/toxic_original-c1212f89.ckpt",
        "c1212f89ac23307ab33932ce29dc446a6e030fb3f384a500890bbe662b7b544a",
        "bert-base-uncased",
    ),
    "unbiased": Official(_RELEASES + "v0.3-alpha/toxic_debiased-c7548aa0.ckpt", "c7548aa0", "roberta-base"),
    "multilingual": Official(_RELEASES + "v0.4-alpha/multilingual_debiased-0b549669.ckpt", "0b549669", "xlm-roberta-base"),
}
"""Every model by its name in Detoxify."""

RENAMED: Final = {"toxic": "toxicity", "identity_hate": "identity_attack", "severe_toxic": "severe_toxicity"}
"""Classes that older checkpoints call otherwise."""

_KINDS: Final = ("Bert", "Roberta", "XLMRoberta", "Albert")
_BUFFERS: Final = ("position_ids", "token_type_ids")
"""Of older versions of transformers: constants that newer ones make themselves."""


class ModelError(NotConfigured):
    """A strong model cannot be used; the message says why and what to do."""


def sha256_of(path: Path) -> str:
    """Give a file's SHA-256. Raises ModelError when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"The checkpoint {path} cannot be read ({error.strerror}). Correct LLMTOWER_TOXICITY__CHECKPOINT.") from error


def checked(path: Path, sha256: str) -> str:
    """Give a file's SHA-256 if it begins as expected. Raises ModelError."""
    found = sha256_of(path)
    if not found.startswith(sha256.lower()):
        raise ModelError(
            f"The checkpoint {path} has the SHA-256 {found[:16]}…, expected {sha256[:16]}…: it is damaged, or another file. Nothing of it"
            " was loaded. Fetch it again (`llmtower toxicity fetch`), or name its own in LLMTOWER_TOXICITY__SHA256."
        )
    return found


def fetch(model: str, folder: Path, opener: Callable[[str], Any] = urllib.request.urlopen) -> Path:
    """Download an official checkpoint into a folder, checked before it gets its name. Raises ModelError."""
    official = OFFICIAL[model]
    path = folder / official.url.rsplit("/", 1)[1]
    if path.exists():
        checked(path, official.sha256)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    try:
        with opener(official.url) as answer, part.open("wb") as file:
            shutil.copyfileobj(answer, file, 1 << 20)
        checked(part, official.sha256)
    except (URLError, OSError) as error:
        part.unlink(missing_ok=True)
        raise ModelError(
            f"{official.url} could not be fetched ({error}). Bring the file by hand and set LLMTOWER_TOXICITY__CHECKPOINT."
        ) from error
    except ModelError:
        part.unlink()
        raise
    return part.rename(path)


@dataclass(frozen=True, slots=True)
class Loaded:
    """A network in eval mode, its tokenizer, its classes and the SHA-256 of its file."""

    network: Any
    tokenizer: Any
    classes: tuple[str, ...]
    sha256: str


def load(path: Path, folder: Path, sha256: str = "") -> Loaded:
    """Load a checkpoint with the config and vocabulary of a local folder. Raises ModelError; talks to nobody."""
    found = checked(path, sha256)
    if not (folder / "config.json").is_file():
        raise ModelError(
            f"The folder {folder} has no config.json: it must hold config.json and the vocabulary of the model that the checkpoint was"
            " trained from (bert-base-uncased, roberta-base or xlm-roberta-base). Set LLMTOWER_TOXICITY__FOLDER."
        )
    try:
        import torch
        import transformers
    except ImportError as error:
        raise ModelError("Detoxify's models need PyTorch and transformers. Run: pip install 'llmtower[toxicity]'") from error
    content = _read(torch, path, trusted=len(sha256) == 64)
    try:
        classes = tuple(RENAMED.get(name, name) for name in content["config"]["dataset"]["args"]["classes"])
        arguments, state = content["config"]["arch"]["args"], content["state_dict"]
        names = arguments["model_name"], arguments["tokenizer_name"]
    except (KeyError, TypeError) as error:
        raise ModelError(f"The checkpoint {path} is none of Detoxify's: it lacks config or state_dict.") from error
    network, tokenizer = _build(transformers, folder, names, len(classes), state)
    return Loaded(network, tokenizer, classes, found)


def _read(torch: Any, path: Path, *, trusted: bool) -> Any:
    """Read tensors and plain values; more is unpickled only from a file whose whole SHA-256 is known."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        if not trusted:
            raise ModelError(
                f"The checkpoint {path} is damaged, or holds more than tensors ({type(error).__name__}). Only a file whose whole SHA-256 is"
                " set (LLMTOWER_TOXICITY__SHA256) is unpickled."
            ) from error
    try:
        return torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:
        raise ModelError(f"The checkpoint {path} cannot be read ({type(error).__name__}).") from error


def _build(transformers: Any, folder: Path, names: tuple[str, str], count: int, state: Mapping[str, Any]) -> tuple[Any, Any]:
    known = {(f"{kind}ForSequenceClassification", f"{kind}Tokenizer") for kind in _KINDS}
    if names not in known:
        raise ModelError(f"The checkpoint names {names[0]} and {names[1]}, which are none of Detoxify's.")
    model, tokenizer = (getattr(transformers, name) for name in names)
    try:
        network = model(model.config_class.from_pretrained(folder, num_labels=count, local_files_only=True))
        missing, strange = network.load_state_dict(state, strict=False)
        words = tokenizer.from_pretrained(folder, local_files_only=True)
    except Exception as error:
        raise ModelError(f"The checkpoint does not fit config and vocabulary in {folder} ({type(error).__name__}).") from error
    unfit = [name for name in (*missing, *strange) if not name.endswith(_BUFFERS)]
    if unfit:
        raise ModelError(f"The checkpoint does not fit the config in {folder}: {len(unfit)} tensors differ, {unfit[0]} first.")
    return network.eval(), words
