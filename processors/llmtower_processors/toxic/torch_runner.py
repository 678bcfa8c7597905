"""PyTorch, on the CPU or a GPU."""

from typing import Any, Final

import numpy as np

from llmtower_processors.toxic.batches import Ids
from llmtower_processors.toxic.strong import Scores

CPU_TOKENS: Final = 1_024
GPU_TOKENS: Final = 65_536


class TorchRunner:
    """A network on a device, in a precision: fp32, or fp16 and bf16 where the device computes them."""

    def __init__(self, network: Any, *, device: str = "cpu", precision: str = "fp32") -> None:
        import torch

        dtypes = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
        self._torch = torch
        self._network = network.to(device=device, dtype=dtypes[precision]).eval()
        self._device = device
        self.name = f"torch-{precision}" if device == "cpu" else f"torch-{device}-{precision}"
        self.batch_tokens = CPU_TOKENS if device == "cpu" else GPU_TOKENS

    def run(self, ids: Ids, mask: Ids) -> Scores:
        """Compute a batch."""
        torch = self._torch
        with torch.inference_mode():
            given = (torch.from_numpy(array).to(self._device, non_blocking=True) for array in (ids, mask))
            logits = self._network(**dict(zip(("input_ids", "attention_mask"), given, strict=True))).logits
            scores: Scores = torch.sigmoid(logits.float()).cpu().numpy().astype(np.float32, copy=False)
        return scores
