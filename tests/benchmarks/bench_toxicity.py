"""Toxicity: texts a second through stage 1, and stage 2 against the naive Detoxify loop with the same weights on this machine.

Stage 2 runs in `.venv-ml` (`make clients`), with a checkpoint of random weights in the size of BERT-base.
"""

import random
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import orjson

from llmtower_processors.demo.texts import DOMAINS, answer, ask
from llmtower_processors.toxic.linear import load_linear
from tests.benchmarks.figures import Figure, at_least, interleave, main

SEED: Final = 20261126
LENGTH: Final = 1_200
MODELS: Final = Path(".venv-ml/bin/python")


def run(quick: bool) -> list[Figure]:
    """Measure."""
    if not MODELS.exists():
        raise SystemExit("There is no .venv-ml: run `make clients` first.")
    return [*_screening(quick), *_stage_2(quick)]


def texts_of(count: int, mark: Callable[[str], str] = str) -> list[str]:
    """Give different texts of 1,200 characters, made of the demo's answers."""
    chance, apps = random.Random(SEED), list(DOMAINS)
    found = []
    for number in range(count):
        app, parts = apps[number % len(apps)], [f"Case {number}."]
        while sum(map(len, parts)) + len(parts) < LENGTH:
            parts.append(answer(ask(app, chance), chance))
        found.append(mark(" ".join(parts)[:LENGTH]))
    return found


EUROPEAN: Final = {
    "German": (
        "Für die Rücksendung genügt es, das Päckchen in der nächsten Filiale abzugeben.",
        "Später können Sie die Größe ändern - zusätzliche Gebühren fallen dafür nicht an.",
        "„Über Änderungen“, so heißt es, „unterrichten wir die Käuferin natürlich früh.“",
        "Gemäß den Bedingungen läuft die Gewährleistung fünfzehn Monate; danach prüfen wir jede Störung.",
        "Möchten Sie überprüfen, ob Ihr Gerät schon geöffnet wurde? Die Schraube müsste unversehrt sein.",
        "Außerdem hätten wir gern gewusst, welche Schlüsselnummer auf der Rückseite steht …",
    ),
    "French": (
        "Votre colis a été expédié hier et arrivera près de chez vous à la fin de la journée.",
        "L'équipe vérifie d'abord la pièce abîmée, puis crédite le compte dès la réception.",
        "« Où trouver le numéro de série ? » : il est gravé à côté de l'étiquette dorée.",
        "Nous sommes désolés de la gêne occasionnée ; la société a déjà prévenu le dépôt.",
        "Si l'écran s'éteint, maintenez la touche enfoncée jusqu'à ce que le cœur clignote.",
        "Après la réparation, le contrôle qualité dure généralement deux à trois journées.",
    ),
}
"""Sentences full of diacritics, with the quotation marks, dashes and ligatures that go with them."""


def european(count: int, sentences: Sequence[str]) -> list[str]:
    """Give different texts of 1,200 characters of sentences in one language."""
    chance = random.Random(SEED)
    typeset = [sentence.replace("'", "\u2019").replace(" - ", " \u2013 ") for sentence in sentences]
    return [f"{number}. {' '.join(chance.choices(typeset, k=LENGTH // 60))}"[:LENGTH] for number in range(count)]


def _screening(quick: bool) -> list[Figure]:
    count = 1_000 if quick else 4_000
    given = {
        "English": texts_of(count),
        "with typographic quotes and dashes": texts_of(count, lambda text: text.replace(" the ", " \u201cthe\u201d \u2014 ")),
        "with umlauts": texts_of(count, lambda text: text.replace(" the ", " für ")),
        **{language: european(count, sentences) for language, sentences in EUROPEAN.items()},
    }
    _screen(given["English"][:100], 0)
    samples = interleave({name: partial(_screen, texts) for name, texts in given.items()}, 3 if quick else 7)
    rates = {name: count / one.cpu_s for name, one in samples.items()}
    others = ", ".join(f"{name} {rate:,.0f}" for name, rate in rates.items() if name != "English")
    note = f"{samples['English'].spread()}; {others}"
    least = min(EUROPEAN, key=rates.__getitem__)
    return [
        at_least("toxicity stage 1, texts of 1,200 characters", rates["English"], "texts/s and core", 10_000, note),
        at_least(f"toxicity stage 1, the same in {least}, with its diacritics", rates[least], "texts/s and core", 10_000),
    ]


def _screen(texts: Sequence[str], _round: int) -> None:
    load_linear().worst(texts)


def _stage_2(quick: bool) -> list[Figure]:
    """Ask the other environment; it writes what it measured as JSON."""
    with tempfile.TemporaryDirectory(prefix="llmtower-bench-") as folder:
        out = Path(folder) / "figures.json"
        command = [str(MODELS), "-m", "tests.benchmarks.toxicity_child", folder, str(out), *(["--quick"] if quick else [])]
        environment = {"PYTHONPATH": "processors:schemas:producers:.", "TOKENIZERS_PARALLELISM": "false", "PATH": "/usr/bin:/bin"}
        begun = time.monotonic()
        subprocess.run(command, check=True, env=environment)
        found: dict[str, Any] = orjson.loads(out.read_bytes())
    naive = found["naive"]
    note = f"naive Detoxify loop {naive:,.0f} tokens/s; {found['texts']} texts, median of {found['rounds']} rounds in turn"
    return [
        at_least("toxicity stage 2, int8 against the naive Detoxify loop", found["int8"] / naive, "times", 2.5, note),
        Figure("toxicity stage 2, ONNX int8", found["int8"], "tokens/s", note=f"furthest score {found['int8_distance']:.3f} from fp32's"),
        Figure("toxicity stage 2, ONNX fp32", found["fp32"], "tokens/s", note=f"{found['fp32'] / naive:.1f} times the naive loop"),
        Figure("toxicity stage 2, PyTorch fp32 in batches", found["torch"], "tokens/s", note=f"{found['torch'] / naive:.1f} times"),
        Figure(
            "alt-profanity-check itself on the same texts", found["library"], "texts/s and core", note=f"{time.monotonic() - begun:.0f} s"
        ),
    ]


if __name__ == "__main__":
    main(run)
