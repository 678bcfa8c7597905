"""Every panel with what it must say: one literal table. A panel that is missing here fails the test."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import numpy as np
from tests.integration.dashboards import expected_calls as calls
from tests.integration.dashboards import expected_changes as changes
from tests.integration.dashboards import expected_models as models
from tests.integration.dashboards import expected_rest as rest
from tests.integration.dashboards import expected_scores as scores
from tests.integration.dashboards.columns import Array, Table, known
from tests.integration.dashboards.oracle import Found, Look, cost, failed, flow, grouped, percentile, seconds, share, total, unpriced


@dataclass(frozen=True)
class Rows:
    """The rows by their keys. Where a panel lists the first so many: how many, and of what."""

    keys: tuple[str, ...]
    find: Callable[[Look], Found]
    limit: int = 100_000
    biggest: str = ""
    """The figure that decides which rows are listed, biggest first (NULL last)."""


@dataclass(frozen=True)
class Calls:
    """The calls that are listed, in their order."""

    find: Callable[[Look], Sequence[str]]


@dataclass(frozen=True)
class Apart:
    """Has a test of its own, by hand."""

    test: str


def _listed(keep: Callable[[Table], Array], *order: str) -> Calls:
    """The first hundred calls: biggest first, by one column after the other, then by their ids."""

    def find(look: Look) -> list[str]:
        rows = look.rows("calls")
        rows = rows.where(keep(rows))
        first = np.lexsort((rows["call_id"].numbers, *(-rows[name] for name in reversed(order))))[:100]
        return [str(call) for call in rows.take(first)["call_id"].plain()]

    return Calls(find)


def _all(rows: Table) -> Array:
    return np.ones(len(rows), dtype=bool)


def _named(rows: Table) -> Array:
    return np.asarray(rows["prompt_name"] != "")


def _of_app(look: Look, figure: Callable[[Table], object], name: str, fine_s: int = calls.FINE_SUMS) -> Found:
    return look.by_time(("app",), lambda rows: {name: figure(rows)}, fine_s=fine_s)


def _cost_series(look: Look, *, hourly: bool) -> Found:
    def figures(rows: Table) -> dict[str, object]:
        value = cost(rows) / look.minutes() * 60 if hourly else share(cost(rows), len(rows) - failed(rows))
        return {"cost": value, "unpriced": unpriced(rows)}

    return look.by_time(("app",), figures)


def _traffic(look: Look, by: tuple[str, ...], *, named: bool = False) -> Found:
    return look.by_time(by, lambda rows: {"calls": len(rows) / look.minutes()}, keep=_named if named else None)


def _behind(rows: Table) -> Array:
    return np.asarray((rows["at"] * 1_000 - rows["watermark"]) / 1e6)


_VERSION: Final = ("prompt_name", "prompt_version")
_MODEL: Final = ("request_model", "provider")


def _slower(look: Look) -> Found:
    return look.by_time(
        _VERSION,
        lambda rows: {"p95": percentile(seconds(rows, "duration_us"), 0.95)},
        fine_s=calls.FINE_DIGESTS,
        keep=_named,
    )


_FACTS: Final = Apart("test_one_call")

EXPECTED: Final[Mapping[str, Rows | Calls | Apart]] = {
    "overview_calls": Rows((), lambda look: calls.compared_sum(look, len)),
    "overview_cost": Rows((), lambda look: calls.compared_sum(look, cost, with_unpriced=True)),
    "overview_error_rate": Rows((), lambda look: calls.compared(look, lambda r: share(failed(r), len(r)), len, calls.FINE_SUMS)),
    "overview_p95": Rows((), lambda look: calls.compared(look, calls._p95("duration_us"), len, calls.FINE_DIGESTS)),
    "overview_ttft": Rows((), lambda look: calls.compared(look, calls._p95("ttft_us"), calls._streamed, calls.FINE_DIGESTS)),
    "overview_unpriced": Rows((), calls.unpriced_share),
    "overview_changed": Rows(("kind", "app", "what"), changes.changed),
    "overview_traffic": Rows(
        ("time",),
        lambda look: look.by_time((), lambda rows: {"calls": len(rows) / look.minutes(), "errors": failed(rows) / look.minutes()}),
    ),
    "overview_p95_series": Rows(
        ("time", "app"),
        lambda look: _of_app(look, lambda rows: percentile(seconds(rows, "duration_us"), 0.95), "p95", calls.FINE_DIGESTS),
    ),
    "cost_by_app_series": Rows(("time", "app"), partial(_cost_series, hourly=True)),
    "cost_today": Rows((), calls.today),
    "cost_month": Rows((), calls.month),
    "cost_kinds": Rows(("time",), calls.kinds),
    "cost_tokens": Rows(("time",), calls.tokens),
    "cost_per_success": Rows(("time", "app"), partial(_cost_series, hourly=False)),
    "cost_by_app": Rows(("app",), lambda look: grouped(look.calls(), ("app",), calls.sums)),
    "cost_by_model": Rows(("model", "provider"), lambda look: grouped(look.calls(), _MODEL, calls.sums)),
    "cost_by_prompt": Rows(("prompt", "version"), calls.by_prompt),
    "cost_by_user": Rows(("user",), calls.by_user, limit=20, biggest="cost"),
    "cost_by_session": Rows(("session",), calls.by_session, limit=20, biggest="cost"),
    "cost_cache_savings": Rows(("model", "provider"), calls.savings),
    "cost_unpriced": Rows(("model", "provider", "app"), calls.unpriced_models),
    "latency_duration": Rows(("time",), lambda look: calls.percentiles(look, lambda rows: seconds(rows, "duration_us"))),
    "latency_ttft": Rows(("time",), lambda look: calls.percentiles(look, lambda rows: seconds(rows, "ttft_us"))),
    "latency_token_time": Rows(("time",), lambda look: calls.percentiles(look, flow)),
    "latency_duration_heat": Rows(("time", "bucket_start"), partial(calls.heat, column="duration_us")),
    "latency_ttft_heat": Rows(("time", "bucket_start"), partial(calls.heat, column="ttft_us")),
    "latency_speed": Rows((), calls.speed),
    "latency_by_app": Rows(("app",), lambda look: calls.both(look, ("app",))),
    "latency_by_model": Rows(("model", "provider"), lambda look: calls.both(look, _MODEL)),
    "errors_rate": Rows(("time",), calls.error_rate),
    "errors_classes": Rows(("time", "error_class"), calls.classes),
    "errors_by_class": Rows(("error_class", "app", "model", "provider"), calls.by_class, limit=20, biggest="errors"),
    "errors_retries": Rows(
        ("time", "model"),
        lambda look: look.by_time(("request_model",), lambda rows: {"retries": total(rows, "retries") / len(rows)}),
    ),
    "latency_headroom_requests": Rows(("time", "model", "provider"), partial(calls.headroom, of="requests")),
    "latency_headroom_tokens": Rows(("time", "model", "provider"), partial(calls.headroom, of="tokens")),
    "latency_hung": Rows(("call",), calls.hung),
    "prompt_versions": Rows(("prompt", "version"), lambda look: calls.side_by_side(look, _VERSION, named=True)),
    "models": Rows(("model", "provider"), lambda look: calls.side_by_side(look, _MODEL, named=False)),
    "prompt_traffic": Rows(("time", "prompt", "version"), lambda look: _traffic(look, _VERSION, named=True)),
    "prompt_duration": Rows(("time", "prompt", "version"), _slower),
    "prompt_seen": Rows(("prompt", "version"), calls.seen),
    "prompt_scores": Rows(("prompt", "version", "name"), scores.scores_by_version),
    "registry_models": Rows(("model",), models.registered),
    "registry_strangers": Rows(("model", "provider"), models.strangers),
    "model_snapshots": Rows(("model", "snapshot"), models.snapshots),
    "experiments": Rows(("run", "dataset", "prompt", "version", "model"), models.experiments),
    "experiment_scores": Rows(("run", "dataset", "prompt", "version", "model", "score"), models.experiment_scores),
    "registry_datasets": Rows(("dataset",), models.datasets),
    "model_traffic": Rows(("time", "model"), lambda look: _traffic(look, ("request_model",))),
    **{f"quality_{name}": Rows((), partial(scores.score_now, name=name)) for name in scores.BAD},
    **{f"quality_{name}_series": Rows(("time",), partial(scores.score_series, name=name)) for name in scores.BAD},
    "quality_by_app": Rows(("app", "score"), lambda look: scores.scores_by(look, "app")),
    "quality_by_prompt": Rows(
        ("model", "prompt", "version", "score"),
        lambda look: scores.scores_by(look, "request_model", "prompt_name", "prompt_version"),
        limit=50,
        biggest="rate",
    ),
    "quality_means": Rows(("time", "score"), scores.score_means),
    "quality_retrieval": Rows(("time",), scores.retrieval),
    "quality_scorers": Rows(("score", "scorer", "version"), scores.scorers),
    "quality_unscored": Rows(("score", "scorer", "status", "reason"), scores.unscored),
    "quality_flagged": Calls(scores.flagged),
    "feedback_negative_now": Rows((), scores.feedback_now),
    "feedback_negative": Rows(("time",), scores.feedback_series),
    "feedback_share": Rows((), scores.feedback_share),
    "feedback_by_app": Rows(("app", "feedback"), scores.feedback_by_app),
    "feedback_latest": Calls(scores.latest_negative),
    "judge_budget": Rows((), scores.judge_budget),
    "judge_rounds": Rows(("time",), scores.judge_rounds),
    "judge_rates": Rows(("app", "rubric"), scores.judge_rates),
    "judge_agreement": Rows(("rubric", "scorer"), scores.judge_agreement),
    "drift_now": Rows((), rest.drift_now),
    "drift_ratio": Rows(("time", "app", "metric"), rest.drift_ratio),
    "drift_mass": Rows(("time", "app", "metric"), rest.drift_mass),
    "drift_sessions": Rows(("time", "app"), rest.sessions),
    "drift_hours": Rows(("hour",), rest.hours_asked),
    "drift_segments": Rows(("app", "model", "prompt", "version", "direction", "metric", "window", "reference"), rest.drift_segments),
    "drift_alarms": Rows(("app", "metric"), rest.drift_alarms),
    "drift_why": Rows(("time", "call"), rest.drift_why),
    "drift_unjudged": Rows(("reason", "app"), rest.unjudged),
    "drift_vectorless": Rows(("app", "direction", "embedder"), rest.vectorless),
    "drift_length": Rows(("time", "app"), lambda look: rest.behaviour(look, rest.per_answer("tokens"))),
    "drift_refusals": Rows(("time", "app"), lambda look: rest.behaviour(look, rest.per_answer("refusals"))),
    "drift_tools": Rows(("time", "app"), lambda look: rest.behaviour(look, rest.per_answer("tool_calls", without="failed"))),
    "drift_languages": Rows(("time", "language"), rest.languages),
    "drift_moved": Rows(("app", "what"), changes.moved),
    "pipeline_freshness": Rows((), lambda look: rest.mark(look, _behind)),
    "pipeline_lag": Rows((), lambda look: rest.mark(look, lambda rows: rows["lag_records"])),
    "pipeline_silent": Rows((), lambda look: rest.mark(look, lambda rows: rows["silent_producers"], sum)),
    "pipeline_freshness_series": Rows(("time", "project"), lambda look: rest.mark_series(look, _behind)),
    "pipeline_lag_series": Rows(("time", "project"), lambda look: rest.mark_series(look, lambda rows: rows["lag_records"])),
    "pipeline_silent_series": Rows(("time", "project"), lambda look: rest.mark_series(look, lambda rows: rows["silent_producers"])),
    "pipeline_dead_letters": Rows((), rest.letters),
    "pipeline_letters_by_reason": Rows(("app", "processor", "reason"), rest.letters_by_reason),
    "pipeline_letters_series": Rows(("time", "reason"), rest.letters_series),
    "pipeline_stored": Rows(("time", "processor"), rest.stored),
    "pipeline_complete": Apart("test_the_books"),
    "pipeline_producers": Apart("test_the_books"),
    "pipeline_own_cpu": Rows(("time", "process"), rest.own_cpu),
    "pipeline_own_cost": Rows(("process", "instance"), rest.own_cost),
    "pipeline_audits": Rows(("check",), rest.audits),
    "pipeline_room": Apart("test_audits_and_room"),
    "calls_recent": _listed(_all, "started_at"),
    "calls_failed": _listed(lambda rows: rows["status"] != "ok", "started_at"),
    "calls_slowest": _listed(_all, "duration_us", "started_at"),
    "calls_dearest": _listed(lambda rows: known(rows["cost_nano_usd"]), "cost_nano_usd", "started_at"),
    "call_facts": _FACTS,
    "call_cost": _FACTS,
    "call_steps": _FACTS,
    "call_scores": _FACTS,
    "call_feedback": _FACTS,
    "call_content": _FACTS,
}
