"""ONNX Runtime: the same network, exported once and kept, in fp32 or with its weights in int8."""

import logging
import os
import warnings
from pathlib import Path
from typing import Any, Final

import numpy as np

from llmtower_processors.toxic.batches import Ids
from llmtower_processors.toxic.checkpoint import ModelError
from llmtower_processors.toxic.strong import Scores

TOKENS: Final = 512
"""Of a batch: on a CPU larger ones leave the cache, and are slower per token."""
_OPSET: Final = 17


class OnnxRunner:
    """A session on an exported network."""

    def __init__(self, path: Path, precision: str, *, threads: int = 0) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ModelError("ONNX Runtime is not installed. Run: pip install 'llmtower[toxicity]'") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 3
        try:
            self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            raise ModelError(f"The exported model {path} cannot be read ({type(error).__name__}). Delete it: it is made anew.") from error
        self.name = f"onnx-{precision}"
        self.batch_tokens = TOKENS

    def run(self, ids: Ids, mask: Ids) -> Scores:
        """Compute a batch."""
        (scores,) = self._session.run(None, {"input_ids": ids, "attention_mask": mask})
        found: Scores = np.asarray(scores, dtype=np.float32)
        return found


def exported(network: Any, folder: Path, name: str) -> Path:
    """Export a network in fp32 into a folder, unless it is there. Raises ModelError."""
    path = folder / f"{name}-fp32.onnx"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part")
        _export(network, part)
        part.replace(path)
    return path


def _export(network: Any, path: Path) -> None:
    try:
        import torch

        class Scoring(torch.nn.Module):  # type: ignore[misc,unused-ignore]  # torch is optional
            """The network from tokens to scores."""

            def __init__(self) -> None:
                super().__init__()
                self.network = network

            def forward(self, input_ids: Any, attention_mask: Any) -> Any:
                return torch.sigmoid(self.network(input_ids=input_ids, attention_mask=attention_mask).logits)

        ids = torch.full((2, 16), 3, dtype=torch.int64)
        mask = torch.ones_like(ids)
        mask[1, 9:] = 0
        free = {0: "texts", 1: "tokens"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                Scoring().eval(),  # the exporter puts a network that is not in eval mode back into training, dropout and all
                (ids, mask),
                str(path),
                input_names=["input_ids", "attention_mask"],
                output_names=["scores"],
                dynamic_axes={"input_ids": free, "attention_mask": free, "scores": {0: "texts"}},
                opset_version=_OPSET,
                dynamo=False,
            )
    except Exception as error:
        path.unlink(missing_ok=True)
        raise ModelError(
            f"The network could not be exported to ONNX ({type(error).__name__}). Set LLMTOWER_TOXICITY__BACKEND=torch."
        ) from error


def quantised(fp32: Path) -> Path:
    """Write the weights in int8 (each channel with a scale of its own) beside the exported network, unless that is there."""
    path = fp32.with_name(fp32.name.replace("-fp32", "-int8"))
    if not path.exists():
        part = path.with_suffix(f".{os.getpid()}.part")
        try:
            from onnxruntime.quantization import QuantType, quantize_dynamic

            logging.getLogger().addFilter(_quiet)
            try:
                quantize_dynamic(str(fp32), str(part), weight_type=QuantType.QInt8, per_channel=True)
            finally:
                logging.getLogger().removeFilter(_quiet)
        except Exception as error:
            part.unlink(missing_ok=True)
            raise ModelError(
                f"The network could not be quantised ({type(error).__name__}). Set LLMTOWER_TOXICITY__BACKEND=onnx."
            ) from error
        part.replace(path)
    return path


def _quiet(record: logging.LogRecord) -> bool:
    """Drop the quantiser's advice to users of its command line."""
    return "pre-processing before quantization" not in record.getMessage()
