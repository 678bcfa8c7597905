"""The script: scenes at the promised times, models and apps that fit each other."""

import random
from itertools import pairwise

import pytest

from llmtower_processors.alerts.conditions import Reading, bound, judge
from llmtower_processors.alerts.load import load_rules
from llmtower_processors.demo.app import CLIENT_RETRIES
from llmtower_processors.demo.behaviour import Failure, Reply, embedding, pieces, respond
from llmtower_processors.demo.scenario import APPS, MODELS, NORMAL, PHASES, Phase, Script, pick_app, pick_model, script
from llmtower_processors.demo.texts import SYSTEM_PROMPTS, answer, ask, recognise, retrieve, tokens, with_context
from llmtower_processors.demo.topics import MEDICINE, TOXIC, TRAVEL


def test_every_scene_is_played_in_a_short_run() -> None:
    played = script(30.0)
    seen = [played.at(tenth / 10) for tenth in range(301)]
    assert {phase.name for phase in seen} == {phase.name for phase in PHASES}
    assert seen[0] is NORMAL
    assert seen[-1] is NORMAL


def test_a_minute_begins_with_twelve_calm_seconds_and_errors_last_longest() -> None:
    played = script(60.0)
    assert played.at(11.9) is NORMAL
    assert played.at(12.1) is PHASES[1]
    assert played.until_next(10.0) == pytest.approx(2.0)
    assert played.until_next(59.9) is None
    lengths = [later - start for start, later in zip(played.starts_s[1:], played.starts_s[2:], strict=False)]
    assert lengths == pytest.approx([45 * part / 13 for part in (5, 2, 2, 2, 2)])


def test_an_endless_run_starts_over() -> None:
    played = script(None)
    assert played.at(25) is PHASES[1]
    assert played.at(170) is NORMAL
    assert played.at(played.length_s + 25) is PHASES[1]
    assert played.until_next(170) == pytest.approx(22)


def test_scenes_wait_for_the_first_figures() -> None:
    late = script(50.0, begins_s=30.0)
    assert [late.at(second) for second in (0, 30, 41.9)] == [NORMAL] * 3
    assert late.at(42.1) is PHASES[1]
    assert late.until_next(0) == pytest.approx(30.0)
    assert late.at(79.9) is NORMAL
    assert script(None, begins_s=30.0).at(0) is NORMAL


@pytest.mark.parametrize(
    "played", [script(80.0), script(60.0, begins_s=20.0), script(60.0), script(None)], ids=["80 s", "late", "60 s", "endless"]
)
def test_the_error_burst_is_long_enough_for_its_rule_whatever_the_rate(played: Script) -> None:
    """Four questions a second of which the busiest app gets its share, each tried twice; the burst's own rule, as it is shipped."""
    (burst,) = (phase for phase in PHASES if phase.error_share)
    (rule,) = (one for one in load_rules().active() if one.name in burst.rules)
    start, end = next(pair for pair, phase in zip(pairwise(played.starts_s), played.phases, strict=False) if phase is burst)
    per_s = 4 * APPS["support-bot"].traffic
    failed, calls = (end - start) * per_s * burst.error_share ** (1 + CLIENT_RETRIES), (played.begins_s + end) * per_s
    share = failed / calls
    assert calls >= rule.min_sample
    assert judge(rule, Reading(share, calls, bound(share, calls, rule.sure))).bad


def test_shares_are_whole_and_models_known() -> None:
    assert sum(app.traffic for app in APPS.values()) == pytest.approx(1)
    for app in APPS.values():
        assert sum(app.models.values()) == pytest.approx(1)
        assert set(app.models) <= set(MODELS)
        assert (app.prompt_name, app.prompt_version) in SYSTEM_PROMPTS
    chance = random.Random(1)
    assert {pick_app(chance).name for _ in range(200)} == set(APPS)
    assert {pick_model(APPS["support-bot"], chance) for _ in range(200)} == set(APPS["support-bot"].models)


def test_texts_stay_on_their_topic_and_drift_leaves_it() -> None:
    chance = random.Random(2)
    travel, medicine = {topic.name for topic in TRAVEL}, {topic.name for topic in MEDICINE}
    usual = [recognise(ask("search-assistant", chance)).name for _ in range(200)]
    drifted = [recognise(ask("search-assistant", chance, drifted=True)).name for _ in range(200)]
    assert sum(name in travel for name in usual) > 190
    assert sum(name in medicine for name in drifted) > 190


def test_documents_and_answers_speak_of_the_question() -> None:
    chance = random.Random(3)
    question = "Where is my floor lamp? Order 12345 was due 3 days ago."
    documents = retrieve(question, chance)
    assert len({document.id for document in documents}) == 3
    assert all(0 < document.score <= 1 for document in documents)
    assert [document.score for document in documents] == sorted((document.score for document in documents), reverse=True)
    content = with_context(question, documents)
    assert question in content
    assert all(document.text in content for document in documents)
    assert "{" not in answer(content, chance) + content


def test_the_same_seed_answers_the_same() -> None:
    assert [ask("code-helper", random.Random(5)) for _ in range(3)] == [ask("code-helper", random.Random(5)) for _ in range(3)]


def _reply(phase: Phase, *, model: str = "gpt-4.1", app: str = "support-bot", seed: int = 0) -> Reply | Failure:
    messages = [{"role": "system", "content": "word " * 100}, {"role": "user", "content": "Where is my mirror?"}]
    return respond(messages, model=model, app=app, phase=phase, chance=random.Random(seed))


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def test_the_slow_model_is_slow_and_no_other() -> None:
    slow = next(phase for phase in PHASES if phase.slow_model)

    def median(phase: Phase, model: str) -> float:
        replies = [_reply(phase, model=model, seed=seed) for seed in range(200)]
        return _median([reply.duration_s for reply in replies if isinstance(reply, Reply)])

    assert median(slow, slow.slow_model) > 3.5 * median(NORMAL, slow.slow_model)
    assert median(slow, "gpt-4o") == pytest.approx(median(NORMAL, "gpt-4o"))


def test_an_error_burst_fails_often_in_every_way_and_a_normal_day_seldom() -> None:
    burst = next(phase for phase in PHASES if phase.error_share)
    failures = [reply for seed in range(400) if isinstance(reply := _reply(burst, seed=seed), Failure)]
    assert 0.85 < len(failures) / 400 < 0.95
    assert {"rate_limit", "server", "hang"} <= {failure.kind for failure in failures}
    assert sum(isinstance(_reply(NORMAL, seed=seed), Failure) for seed in range(400)) < 25


def test_toxic_answers_come_from_one_app_only() -> None:
    toxic = next(phase for phase in PHASES if phase.toxic_app)

    def insulted(app: str) -> int:
        replies = [_reply(toxic, app=app, seed=seed) for seed in range(100)]
        return sum(any(insult in reply.text for insult in TOXIC) for reply in replies if isinstance(reply, Reply))

    assert insulted(toxic.toxic_app) > 30
    assert insulted("summarizer") == 0


def test_usage_adds_up_in_openais_way() -> None:
    reply = next(reply for seed in range(20) if isinstance(reply := _reply(NORMAL, model="o4-mini", seed=seed), Reply))
    usage = reply.usage()
    assert usage["completion_tokens"] == reply.output_tokens + reply.reasoning_tokens
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert reply.output_tokens == tokens(reply.text)
    assert reply.cached_tokens <= reply.prompt_tokens
    assert 0 < reply.first_token_s < reply.duration_s


@pytest.mark.parametrize("text", ["one", "a few words only", "word " * 100, ""])
def test_pieces_join_to_the_text(text: str) -> None:
    assert "".join(pieces(text, 12)) == text


def test_embeddings_of_equal_texts_are_equal() -> None:
    assert embedding("a night train") == embedding("a night train") != embedding("a mountain hut")
    assert embedding("") == [0.0] * 64
