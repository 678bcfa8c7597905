"""Write `linear.npz` anew from the installed alt-profanity-check: `.venv-ml/bin/python -m tests.ml.extract [FILE]`.

Run it when that package's weights change, and raise `VERSION` in `llmtower_processors.toxic.linear` with it.
"""

import sys
from pathlib import Path
from typing import Any, Final

import numpy as np

FILE: Final = Path(__file__).parents[2] / "processors/llmtower_processors/toxic/linear.npz"


def arrays() -> dict[str, Any]:
    """Take words, rarities, weights and calibrations out of the package's two pickles."""
    from profanity_check.profanity_check import model, vectorizer

    words = sorted(vectorizer.vocabulary_, key=vectorizer.vocabulary_.__getitem__)
    parts = model.calibrated_classifiers_
    calibrations = [part.calibrators[0] for part in parts]
    return {
        "words": np.frombuffer("\n".join(words).encode(), np.uint8),
        "rarity": vectorizer.idf_,
        "weights": np.array([part.estimator.coef_[0] for part in parts]).T.astype(np.float32),
        "classifiers": np.array(
            [
                [part.estimator.intercept_[0] for part in parts],
                [calibration.a_ for calibration in calibrations],
                [calibration.b_ for calibration in calibrations],
            ]
        ),
    }


if __name__ == "__main__":
    np.savez_compressed(sys.argv[1] if len(sys.argv) > 1 else FILE, **arrays())
