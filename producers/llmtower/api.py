"""The functions an application calls beside `call` and `step`; heavy imports wait until they are needed."""

import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from llmtower import state
from llmtower.errors import internal_error

if TYPE_CHECKING:
    from llmtower.books import Stats
    from llmtower.run import FlushReport
    from llmtower.transport import Transport


def configure(
    *,
    app: str | None = None,
    environment: str | None = None,
    project: str | None = None,
    release: str | None = None,
    bootstrap_servers: str | Iterable[str] | None = None,
    capture: str | None = None,
    redact: Callable[[str], str] | None = None,
    spool_dir: str | os.PathLike[str] | None = None,
    transport: "Transport | None" = None,
    enabled: bool | None = None,
) -> None:
    """Start recording; what is not given comes from the environment (`LLMTOWER_APP`, `LLMTOWER_KAFKA__BOOTSTRAP_SERVERS` …).

    `capture` is `full`, `hash` or `off`; `redact` is a function of text to text that runs after the built-in redaction. Never raises:
    what is wrong is logged, and nothing is recorded. `LLMTOWER_ENABLED=false` makes the SDK do nothing at all.
    """
    try:
        if enabled is False or (
            enabled is None and os.environ.get("LLMTOWER_ENABLED", "").lower() in ("false", "0", "no", "off", "f", "n")
        ):
            if state.client is None:
                return state.use(None, quiet=True)
            enabled = False
        from llmtower import client

        return client.configure(
            app=app,
            environment=environment,
            project=project,
            release=release,
            bootstrap_servers=bootstrap_servers,
            capture=capture,
            redact=redact,
            spool_dir=spool_dir,
            transport=transport,
            enabled=enabled,
        )
    except Exception:
        internal_error("configure")


def record(event: Any) -> None:
    """Record an event of the contract (`llmtower_schemas.events`), as a model or as a mapping with its `type`.

    What a mapping leaves out of project, app, environment, release, id and time is filled in. An event that the contract refuses is
    dropped with a warning and counted as `invalid`.
    """
    if state.outbox is None:
        return state.unconfigured()
    try:
        from llmtower import recording

        recording.record(event)
    except Exception:
        internal_error("record")
    return None


def feedback(
    call_id: str = "",
    *,
    response_id: str = "",
    trace_id: str = "",
    name: str = "thumbs",
    score: float | None = None,
    label: str = "",
    comment: str = "",
    user_id: str = "",
    correction: str = "",
) -> None:
    """Record what a person said of an answer, named by its call, by the provider's id of the response, or by its trace; never raises.

    `score` lies between -1 (bad) and 1 (good). It may come days later, from another process, or before its call is stored. Of one user,
    target and name the last one counts, the others stay as history; what does not fit is dropped with a warning.

    Example: `llmtower.feedback(call.id, score=-1, comment="wrong order", user_id="u-17")`
    """
    if state.outbox is None:
        return state.unconfigured()
    try:
        from llmtower import recording

        targets = {"call_id": call_id, "response_id": response_id, "trace_id": trace_id}
        said = {"name": name, "score": score, "label": label, "comment": comment, "user_id": user_id, "correction": correction}
        recording.feedback(targets, said)
    except Exception:
        internal_error("feedback")
    return None


def score(
    call_id: str = "",
    *,
    name: str,
    value: float | None = None,
    response_id: str = "",
    trace_id: str = "",
    label: str = "",
    reason: str = "",
    scorer: str = "",
    scorer_version: str = "",
    weight: float = 1.0,
) -> None:
    """Record what an evaluation of yours says of an answer, named as in `feedback`; never raises.

    `value` is a number in a unit of yours, `label` a word; `weight` says for how many answers it stands where only a sample is scored. What
    does not fit is dropped with a warning.

    Example: `llmtower.score(call.id, name="helpful", value=0.9, scorer="our-eval", scorer_version="3")`
    """
    if state.outbox is None:
        return state.unconfigured()
    try:
        from llmtower import recording

        targets = {"call_id": call_id, "response_id": response_id, "trace_id": trace_id}
        said = {"name": name, "value": value, "label": label, "reason": reason, "weight": weight}
        recording.score(targets, {**said, "scorer": scorer, "scorer_version": scorer_version})
    except Exception:
        internal_error("score")
    return None


def flush(timeout: float = 5.0) -> "FlushReport":
    """Wait until everything emitted so far is acknowledged by Kafka; the report says what is not. Blocks: not for event loops."""
    from llmtower.run import FlushReport

    nothing = FlushReport(complete=True, delivered=0, queued=0, spooled=0, dropped=0, seconds=0.0)
    try:
        return state.client.run.flush(timeout) if state.client is not None else nothing
    except Exception:
        internal_error("flush")
        return FlushReport(complete=False, delivered=0, queued=0, spooled=0, dropped=0, seconds=0.0)


def stats() -> "Stats":
    """Give the books of this process: emitted = delivered + spooled + dropped + queued, exactly. All zero when not configured."""
    from llmtower.books import Stats, zero

    try:
        last: Stats | None = state.client.run.stats() if state.client is not None else state.final
    except Exception:
        internal_error("stats")
        last = None
    return last if last is not None else zero()


def close() -> None:
    """Deliver what is left, put the rest on the disk, and record no more; takes at most two seconds (`LLMTOWER_SDK__CLOSE_S`)."""
    if (prompts := sys.modules.get("llmtower.prompts")) is not None:
        prompts.stop()
    if state.client is None:
        return
    try:
        from llmtower import client

        client.close()
    except Exception:
        internal_error("close")
