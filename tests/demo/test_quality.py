"""What the script does to answers shows in their scores: groundedness, relevance, refusals and personal data move with their scenes."""

import random
from collections.abc import Sequence
from types import SimpleNamespace

import pytest
from tests.scoring.corpus import call

from llmtower_processors.demo.behaviour import Reply, respond
from llmtower_processors.demo.scenario import APPS, BY_NAME, NORMAL, Phase
from llmtower_processors.demo.texts import SYSTEM_PROMPTS, ask, retrieve, with_context
from llmtower_processors.quality import quality_scorers
from llmtower_processors.scoring.model import Spoken
from llmtower_processors.scoring.process import score_all
from llmtower_processors.scoring.spoken import own_words
from llmtower_schemas.metrics import SCORED

CALLS = 400


def played(app: str, phase: Phase) -> list[Spoken]:
    """Calls of one app in one scene, as the demo makes them; failed ones are left out."""
    chance = random.Random(f"{app}/{phase.name}")
    profile, made = APPS[app], []
    for _ in range(CALLS):
        question = ask(app, chance, drifted=phase.drift_app == app)
        documents = [SimpleNamespace(**vars_of(one), updated_at_ms=None) for one in retrieve(question, chance)] if profile.retrieves else []
        content = with_context(question, documents) if documents else question  # type: ignore[arg-type]  # the same fields
        system = SYSTEM_PROMPTS[profile.prompt_name, profile.prompt_version]
        messages = [{"role": "system", "content": system}, {"role": "user", "content": content}]
        reply = respond(messages, model=next(iter(profile.models)), app=app, phase=phase, chance=chance)
        if isinstance(reply, Reply):
            made.append(call(own_words(content, documents), reply.text, documents=documents))
    return made


def vars_of(document: object) -> dict[str, object]:
    return {name: getattr(document, name) for name in ("id", "score", "text")}


def rates(calls: Sequence[Spoken]) -> dict[str, float]:
    """The share of bad answers by score."""
    given = [{one.name: one.value for one in scores} for scores in score_all(calls, quality_scorers())]
    found = {}
    for one in SCORED:
        values = [value for scores in given if (value := scores.get(one.score)) is not None]
        found[one.score] = sum((value < 0.5) == (one.side == "low") for value in values) / len(values) if values else 0.0
    return found


@pytest.mark.parametrize(
    ("app", "scene", "moved"),
    [
        ("support-bot", "price jump", {"groundedness": (0.02, 0.9)}),
        ("support-bot", "toxic answers", {"pii": (0.0, 0.15)}),
        ("search-assistant", "topic drift", {"refusal": (0.01, 0.3), "relevance": (0.3, 0.8), "groundedness": (0.02, 0.9)}),
    ],
)
def test_a_scene_moves_the_scores_of_its_app(app: str, scene: str, moved: dict[str, tuple[float, float]]) -> None:
    usual, then = rates(played(app, NORMAL)), rates(played(app, BY_NAME[scene]))
    for score, (at_most, at_least) in moved.items():
        assert usual[score] <= at_most, (score, usual)
        assert then[score] >= at_least, (score, then)


def test_attempts_to_take_the_support_bot_over_are_found_and_rare() -> None:
    assert 0.001 <= rates(played("support-bot", NORMAL))["injection"] <= 0.03
    assert all(rates(played(app, NORMAL))["injection"] == 0 for app in APPS if app != "support-bot")
