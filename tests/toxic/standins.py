"""A strong model in memory: it judges by words, and fails when it is told to."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from llmtower_processors.toxic.strong import Scores


@dataclass
class Words:
    """Says 0.9 of texts with a bad word and 0.1 of others, for every class; notes what it was asked."""

    bad: frozenset[str] = frozenset({"fool", "idiot", "zonk"})
    label: str = "words"
    version: str = "1:memory"
    classes: Sequence[str] = ("toxicity", "insult")
    asked: list[str] = field(default_factory=list)
    trouble: Callable[[Sequence[str]], None] = lambda texts: None

    def score(self, texts: Sequence[str]) -> Scores:
        """Give a row a text."""
        self.trouble(texts)
        self.asked += texts
        values = [0.9 if self.bad & set(re.findall(r"\w+", text.lower())) else 0.1 for text in texts]
        return np.array([[value] * len(self.classes) for value in values], dtype=np.float32).reshape(len(texts), len(self.classes))
