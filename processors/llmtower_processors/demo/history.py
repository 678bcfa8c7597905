"""Seven days of calls, seeded: the same seed and end give the same events, byte for byte. Pure; `sender.py` sends them."""

import random
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from llmtower_schemas.events import ErrorClass

from .behaviour import BASE_ERRORS, CACHE_BLOCK, SLOW_FACTOR, SPREAD
from .identity import uuid7
from .scenario import APPS, MODELS, AppProfile, ModelProfile
from .texts import SYSTEM_PROMPTS, answer, ask, retrieve, tokens, with_context

DAYS = 7
CALLS = 100_000
DAY_NS = 86_400 * 10**9
HOUR_SHAPE = (3, 2, 2, 2, 3, 5, 9, 16, 26, 33, 36, 35, 31, 33, 36, 35, 31, 26, 22, 19, 16, 12, 8, 5)
"""Relative traffic by hour of the day, UTC."""
WEEKEND = 0.55
POOL = 500
"""Different questions per app; each is asked many times over the week."""
USERS = 900
VERSION_CHANGE = 0.62
"""Share of the week after which the live prompt version replaced its predecessor."""
OUTAGE = (0.41, 0.425)
"""Share of the week during which the provider was overloaded."""
OUTAGE_ERRORS = 0.22
FEEDBACK_SHARE = 0.03
TIMEOUT_US = 8_000_000
REFUSAL_US = 31_000

_ERRORS: dict[str, tuple[ErrorClass, str, int | None]] = {
    "rate_limit": (ErrorClass.RATE_LIMIT, "rate_limit_exceeded", 429),
    "server": (ErrorClass.SERVER, "server_error", 500),
    "invalid": (ErrorClass.INVALID_REQUEST, "context_length_exceeded", 400),
    "hang": (ErrorClass.TIMEOUT, "APITimeoutError", None),
}


Event = dict[str, Any]
"""An event as `llmtower.record` takes it; plain, because validating it is the SDK's work and 200,000 models would cost seconds."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """A question and its answer, ready to be used many times."""

    input: list[dict[str, str]]
    output: str
    retrieved: list[dict[str, Any]]
    prompt_tokens: int
    system_tokens: int
    output_tokens: int


@dataclass(frozen=True, slots=True)
class Moment:
    """Everything about one call that is drawn at random."""

    started_ns: int
    share: float
    """Where in the week it lies, 0 to 1."""
    model: ModelProfile
    first_s: float
    rest_factor: float
    error: float
    exchange: int
    user: int
    stream: bool
    cached: bool


def calls_by_app(total: int) -> dict[str, int]:
    """Divide the calls among the apps by their share of traffic; the sum is exact."""
    counts = {app.name: int(total * app.traffic) for app in APPS.values()}
    counts[next(iter(counts))] += total - sum(counts.values())
    return counts


def history(app_name: str, *, calls: int, end_ns: int, seed: int) -> Iterator[Event]:
    """Give the week of one app before `end_ns`: for each call a request and a response, now and then feedback, and one deploy."""
    app = APPS[app_name]
    chance = random.Random(f"{seed}/{app_name}/history")  # noqa: S311  (a script, no secret)
    before, after = (_exchanges(app, version, chance) for version in (str(int(app.prompt_version) - 1), app.prompt_version))
    deployed = False
    for moment in _moments(app, calls=calls, end_ns=end_ns, seed=seed):
        live = moment.share >= VERSION_CHANGE
        if live and not deployed:
            deployed = True
            yield _deploy(app, moment.started_ns, chance)
        pool = after if live else before
        yield from _call(app, moment, pool[moment.exchange], live=live, chance=chance)


def _exchanges(app: AppProfile, version: str, chance: random.Random) -> list[Exchange]:
    instructions = SYSTEM_PROMPTS[app.prompt_name, app.prompt_version]
    if version != app.prompt_version:
        instructions = instructions.rsplit(". ", 1)[0] + "."
    return [_exchange(app, instructions, chance) for _ in range(POOL)]


def _exchange(app: AppProfile, instructions: str, chance: random.Random) -> Exchange:
    question = ask(app.name, chance)
    documents = retrieve(question, chance) if app.retrieves else ()
    content = with_context(question, documents) if documents else question
    output = answer(content, chance)
    return Exchange(
        input=[{"role": "system", "content": instructions}, {"role": "user", "content": content}],
        output=output,
        retrieved=[asdict(document) for document in documents],
        prompt_tokens=tokens(instructions) + tokens(content),
        system_tokens=tokens(instructions),
        output_tokens=tokens(output),
    )


def _moments(app: AppProfile, *, calls: int, end_ns: int, seed: int) -> Iterator[Moment]:
    """Draw all calls at once (columns), then walk them in the order of time."""
    draw = np.random.default_rng([seed, *app.name.encode()])
    names, shares = list(app.models), np.array(list(app.models.values()))
    started = _times(draw, calls, end_ns)
    columns: tuple[list[Any], ...] = (
        started.tolist(),
        draw.choice(len(names), calls, p=shares / shares.sum()).tolist(),
        draw.lognormal(0, SPREAD, calls).tolist(),
        draw.lognormal(0, SPREAD / 2, calls).tolist(),
        draw.random(calls).tolist(),
        draw.integers(0, POOL, calls).tolist(),
        (draw.pareto(1.2, calls) * 20).astype(np.int64).tolist(),
        (draw.random(calls) < app.stream_share).tolist(),
        draw.random(calls).tolist(),
    )
    profiles = [MODELS[name] for name in names]
    for at, model, first, rest, error, exchange, user, stream, cached in zip(*columns, strict=True):
        profile = profiles[model]
        share = 1 - (end_ns - at) / (DAYS * DAY_NS)
        yield Moment(
            at, share, profile, profile.first_token_s * first, rest, error, exchange, user % USERS, stream, cached < profile.cached_share
        )


def _times(draw: np.random.Generator, calls: int, end_ns: int) -> np.ndarray[Any, np.dtype[np.int64]]:
    """Draw sorted starts with the shape of days and weekends; the last call ends before `end_ns`."""
    begin = end_ns - DAYS * DAY_NS
    minutes = begin + np.arange(DAYS * 1440, dtype=np.int64) * 60 * 10**9
    hours = np.interp((minutes // 10**9 % 86_400) / 3600, np.arange(25), (*HOUR_SHAPE, HOUR_SHAPE[0]))
    weekday = (minutes // DAY_NS + 3) % 7
    weight = hours * np.where(weekday >= 5, WEEKEND, 1.0)
    starts = draw.choice(minutes, calls, p=weight / weight.sum()) + draw.integers(0, 60 * 10**9, calls)
    return np.sort(np.minimum(starts, end_ns - 60 * 10**9))


def _call(app: AppProfile, moment: Moment, exchange: Exchange, *, live: bool, chance: random.Random) -> Iterator[Event]:
    call_id = uuid7(moment.started_ns, chance)
    common: dict[str, Any] = {
        "app": app.name,
        "release": app.release if live else "previous",
        "user_id": f"user-{moment.user:04d}",
        "session_id": f"s-{moment.user:04d}-{moment.started_ns // (1800 * 10**9)}",
        "route": app.route,
        "prompt_name": app.prompt_name,
        "prompt_version": app.prompt_version if live else str(int(app.prompt_version) - 1),
        "instrumentation": "llmtower.demo.history",
        "call_id": call_id,
        "provider": "openai",
        "request_model": moment.model.name,
        "started_at_ns": moment.started_ns,
        "stream": moment.stream,
    }
    yield {"type": "request", **common, "timeout_ms": TIMEOUT_US // 1000}
    kind = _error_kind(moment)
    response = _failed(common, kind, exchange) if kind else _answered(common, moment, exchange, chance)
    yield response
    if not kind and chance.random() < FEEDBACK_SHARE:
        yield _feedback(app, response, chance)


def _error_kind(moment: Moment) -> str:
    if OUTAGE[0] <= moment.share < OUTAGE[1] and moment.error < OUTAGE_ERRORS:
        return "rate_limit" if moment.error < OUTAGE_ERRORS * 0.6 else "server"
    mark = moment.error
    for kind, share in BASE_ERRORS.items():
        mark -= share / 2
        if mark < 0:
            return kind
    return ""


def _failed(common: dict[str, Any], kind: str, exchange: Exchange) -> Event:
    error_class, error_type, status = _ERRORS[kind]
    return {
        "type": "response",
        **common,
        "duration_us": TIMEOUT_US if kind == "hang" else REFUSAL_US,
        "status": "error",
        "error_class": error_class,
        "error_type": error_type,
        "http_status": status,
        "retries": 0 if kind == "invalid" else 1,
        "input": exchange.input,
        "retrieved": exchange.retrieved,
    }


def _answered(common: dict[str, Any], moment: Moment, exchange: Exchange, chance: random.Random) -> Event:
    model = moment.model
    cached = exchange.system_tokens // CACHE_BLOCK * CACHE_BLOCK if moment.cached else 0
    first_s = moment.first_s * (SLOW_FACTOR if chance.random() < 0.01 else 1.0)
    duration_s = first_s + exchange.output_tokens / model.tokens_per_s * moment.rest_factor
    return {
        "type": "response",
        **common,
        "response_model": model.snapshot,
        "response_id": f"chatcmpl-{common['call_id']}",
        "duration_us": int(duration_s * 1e6),
        "ttft_us": int(first_s * 1e6) if moment.stream else None,
        "http_status": 200,
        "retries": 0,
        "finish_reasons": ["stop"],
        "service_tier": "default",
        "usage": {
            "input_tokens": exchange.prompt_tokens - cached,
            "cache_read_tokens": cached,
            "output_tokens": exchange.output_tokens,
            "reasoning_tokens": int(model.reasoning_tokens * moment.rest_factor),
        },
        "usage_source": "provider",
        "usage_convention": "openai",
        "input": exchange.input,
        "output": [{"role": "assistant", "content": exchange.output}],
        "retrieved": exchange.retrieved,
    }


def _feedback(app: AppProfile, response: Event, chance: random.Random) -> Event:
    at_ns = response["started_at_ns"] + response["duration_us"] * 1000 + int(20e9 * chance.random())
    return {
        "type": "feedback",
        "app": app.name,
        "feedback_id": uuid7(at_ns, chance),
        "at_ns": at_ns,
        "target_id": response["call_id"],
        "score": 1.0 if chance.random() < 0.83 else -1.0,
        "user_id": response["user_id"],
    }


def _deploy(app: AppProfile, at_ns: int, chance: random.Random) -> Event:
    version, note = app.release, "llmtower demo history"
    return {"type": "deploy", "app": app.name, "deploy_id": uuid7(at_ns, chance), "at_ns": at_ns, "version": version, "note": note}
