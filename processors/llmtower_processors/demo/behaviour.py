"""How the stand-in answers: a pure function of seed, request number, request and phase."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .scenario import MODELS, ModelProfile, Phase
from .texts import Mood, answer, tokens

BASE_ERRORS: Mapping[str, float] = {"rate_limit": 0.008, "server": 0.005, "invalid": 0.003, "hang": 0.003}
"""Share of requests that fail on an ordinary day, by kind."""
BURST_ERRORS: Mapping[str, float] = {"rate_limit": 0.5, "server": 0.35, "hang": 0.15}
"""How the failures of an error burst divide."""
SLOW_FIRST_TOKEN_SHARE = 0.02
SLOW_FACTOR = 4.0
SPREAD = 0.28
"""Standard deviation of the logarithm of every time."""
TOXIC_SHARE = 0.6
CACHE_BLOCK = 32
"""Cached tokens come in blocks of this size."""


@dataclass(frozen=True, slots=True)
class Failure:
    """The request fails: `hang` answers nothing until the client gives up."""

    kind: str
    status: int
    code: str
    message: str


FAILURES: dict[str, Failure] = {
    "rate_limit": Failure(
        "rate_limit", 429, "rate_limit_exceeded", "Rate limit reached for requests per minute. Please try again in 200ms."
    ),
    "server": Failure("server", 500, "server_error", "The server had an error while processing your request."),
    "invalid": Failure("invalid", 400, "context_length_exceeded", "This model's maximum context length was exceeded."),
    "hang": Failure("hang", 504, "timeout", "No answer in time."),
}
"""Every failure the stand-in plays, by kind."""


@dataclass(frozen=True, slots=True)
class Reply:
    """The request succeeds: what is said, how fast, and what is billed."""

    text: str
    first_token_s: float
    duration_s: float
    prompt_tokens: int
    cached_tokens: int
    output_tokens: int
    """Visible ones; the wire's `completion_tokens` also holds the reasoning."""
    reasoning_tokens: int
    finish_reason: str

    def usage(self) -> dict[str, Any]:
        """Give the usage object as OpenAI words it: cached and reasoning tokens are parts of their sums."""
        completion = self.output_tokens + self.reasoning_tokens
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": self.prompt_tokens + completion,
            "prompt_tokens_details": {"cached_tokens": self.cached_tokens, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": self.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }


def respond(
    messages: Sequence[Mapping[str, Any]], *, model: str, app: str, phase: Phase, chance: random.Random, max_tokens: int | None = None
) -> Reply | Failure:
    """Decide what happens to a chat completion."""
    failure = _failure(phase, chance)
    if failure is not None:
        return failure
    profile = MODELS[model]
    prompt = " ".join(_text(message) for message in messages if message.get("role") != "system")
    text = answer(prompt, chance, mood=_mood(app, phase, chance))
    text, finish = _cut(text, max_tokens)
    system = sum(tokens(_text(message)) for message in messages if message.get("role") == "system")
    cached = system // CACHE_BLOCK * CACHE_BLOCK if chance.random() < profile.cached_share else 0
    output = tokens(text)
    reasoning = int(profile.reasoning_tokens * chance.lognormvariate(0, SPREAD)) if profile.reasoning_tokens else 0
    first, duration = timing(profile, output, phase=phase, chance=chance)
    return Reply(text, first, duration, system + tokens(prompt), cached, output, reasoning, finish)


def _mood(app: str, phase: Phase, chance: random.Random) -> Mood:
    """What is wrong with an app's answers in this scene; the toxic one insults in six of ten."""
    if phase.toxic_app == app and chance.random() < TOXIC_SHARE:
        return "toxic"
    if phase.drift_app == app:
        return "lost"
    return "guessing" if phase.upgraded_app == app else "usual"


def timing(profile: ModelProfile, output_tokens: int, *, phase: Phase, chance: random.Random) -> tuple[float, float]:
    """Give the seconds to the first token and to the last."""
    first = profile.first_token_s * chance.lognormvariate(0, SPREAD)
    if chance.random() < SLOW_FIRST_TOKEN_SHARE:
        first *= SLOW_FACTOR
    rest = output_tokens / (profile.tokens_per_s * chance.lognormvariate(0, SPREAD / 2))
    factor = SLOW_FACTOR if phase.slow_model == profile.name else 1.0
    return first * factor, (first + rest) * factor


def pieces(text: str, count: int) -> list[str]:
    """Cut a text into about `count` pieces between words, to be streamed."""
    words = text.split(" ")
    size = max(1, -(-len(words) // count))
    return [" ".join(words[start : start + size]) + (" " if start + size < len(words) else "") for start in range(0, len(words), size)]


def embedding(text: str, dimensions: int = 64) -> list[float]:
    """Give a vector for a text: hashed words, normalised; equal texts have equal vectors."""
    vector = [0.0] * dimensions
    for word in text.lower().split():
        place = sum(ord(letter) * 31**position for position, letter in enumerate(word[:8]))
        vector[place % dimensions] += 1.0 if place // dimensions % 2 else -1.0
    length = sum(value * value for value in vector) ** 0.5 or 1.0
    return [round(value / length, 6) for value in vector]


def _failure(phase: Phase, chance: random.Random) -> Failure | None:
    if chance.random() < phase.error_share:
        return FAILURES[chance.choices(list(BURST_ERRORS), list(BURST_ERRORS.values()))[0]]
    mark = chance.random()
    for kind, share in BASE_ERRORS.items():
        mark -= share
        if mark < 0:
            return FAILURES[kind]
    return None


def _cut(text: str, max_tokens: int | None) -> tuple[str, str]:
    if max_tokens is None or tokens(text) <= max_tokens:
        return text, "stop"
    return text[: max_tokens * 4].rstrip(), "length"


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return " ".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
