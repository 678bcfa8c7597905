"""Checkpoints in Detoxify's format with random weights, and the folder beside them: small for tests, BERT-base for benchmarks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

CLASSES: Final = ("toxic", "severe_toxic", "obscene", "threat", "insult", "identity_hate")
"""As the checkpoint `original` names them."""
SIZES: Final = {
    "tiny": {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64},
    "base": {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3_072},
}
_SYLLABLES: Final = ("ba", "de", "fi", "go", "ku", "la", "me", "ni", "po", "ru", "sa", "te", "vi", "wo", "zu")


@dataclass(frozen=True, slots=True)
class Files:
    """Where a checkpoint, and config and vocabulary, were written."""

    checkpoint: Path
    folder: Path


def words(count: int = 3_000) -> list[str]:
    """Made-up words of two to four syllables, each one token of the vocabulary."""
    pairs = [a + b for a in _SYLLABLES for b in _SYLLABLES]
    return [*pairs, *(pair + c for pair in pairs for c in _SYLLABLES)][:count]


def write(folder: Path, *, size: str = "tiny", classes: tuple[str, ...] = CLASSES, spread: float = 0.2) -> Files:
    """Write a checkpoint; weights are drawn with a standard deviation of `spread`, so that scores differ between texts."""
    import torch
    import transformers

    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"abcdefghijklmnopqrstuvwxyz", *words()]
    (folder / "vocab.txt").write_text("\n".join(vocabulary) + "\n", "utf-8")
    (folder / "tokenizer_config.json").write_text('{"model_max_length": 512}', "utf-8")
    config = transformers.BertConfig(vocab_size=30_522 if size == "base" else len(vocabulary), num_labels=len(classes), **SIZES[size])
    config.save_pretrained(folder)
    torch.manual_seed(0)
    network: Any = transformers.BertForSequenceClassification(config)
    with torch.no_grad():
        for tensor in network.parameters():
            if tensor.dim() > 1:
                tensor.normal_(std=spread)
    arguments = {"model_type": "bert-base-uncased", "model_name": "BertForSequenceClassification", "tokenizer_name": "BertTokenizer"}
    arch = {"type": "toxic", "args": arguments | {"num_classes": len(classes)}}
    content = {"config": {"arch": arch, "dataset": {"args": {"classes": list(classes)}}}, "state_dict": network.state_dict()}
    path = folder / "toxic.ckpt"
    torch.save(content, path)
    return Files(path, folder)
