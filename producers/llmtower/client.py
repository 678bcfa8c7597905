"""Configuration at the edge: settings and environment in, one client for the process out. Survives forks, signals and exits."""

import atexit
import os
import re
import signal
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from types import FrameType
from typing import Any

from pydantic import ValidationError

from llmtower import state
from llmtower.contents import Policy
from llmtower.errors import LOG, faults_of, forget_warnings, renew_lock, warn_once
from llmtower.outbox import Outbox, Tally
from llmtower.redaction import RedactHook
from llmtower.run import Options, Run
from llmtower.transport import OpenTransport, Transport
from llmtower_schemas.settings import Settings, unknown_names

_abandoned: list[Run] = []
"""Parents' runs, kept in forked children for ever: collecting them would close sockets and selectors the parent still uses."""

_installed = False


class Client:
    """The process's client: one run, renewed after a fork."""

    def __init__(self, options: Options, identity: tuple[Any, ...]) -> None:
        self.options, self.identity = options, identity
        self.run = Run(options)

    @property
    def outbox(self) -> Outbox:
        """Where calls are left."""
        return self.run.outbox

    def renew(self) -> None:
        """Begin a run of its own in a forked child; what the parent had queued stays the parent's."""
        _abandoned.append(self.run)
        self.run.abandon()
        self.run = Run(self.options)


def configure(
    *,
    app: str | None = None,
    environment: str | None = None,
    project: str | None = None,
    release: str | None = None,
    bootstrap_servers: str | Iterable[str] | None = None,
    capture: str | None = None,
    redact: RedactHook | None = None,
    spool_dir: str | os.PathLike[str] | None = None,
    transport: Transport | None = None,
    enabled: bool | None = None,
) -> None:
    """Start recording; what is not given comes from `LLMTOWER_*`. Never raises: what is wrong is logged, and nothing recorded."""
    servers = bootstrap_servers if bootstrap_servers is None or isinstance(bootstrap_servers, str) else ",".join(bootstrap_servers)
    given = {"app": app, "environment": environment, "project": project, "release": release, "capture": capture, "enabled": enabled}
    overrides: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
    if servers is not None:
        overrides["kafka"] = {"bootstrap_servers": servers}
    if spool_dir is not None:
        overrides["sdk"] = {"spool_dir": Path(spool_dir)}
    forget_warnings()
    for sentence in unknown_names(os.environ):
        LOG.warning("llmtower: %s", sentence)
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        LOG.warning("llmtower records nothing: %s", faults_of(error))
        return _switch(None)
    return _begin(settings, redact, transport)


def _begin(settings: Settings, redact: RedactHook | None, transport: Transport | None) -> None:
    if not settings.enabled:
        return _switch(None)
    if transport is None and not settings.kafka.bootstrap_servers:
        LOG.warning("llmtower records nothing: set LLMTOWER_KAFKA__BOOTSTRAP_SERVERS, or pass bootstrap_servers= to configure().")
        return _switch(None)
    if not settings.app:
        warn_once("app", "llmtower: set LLMTOWER_APP, or pass app= to configure(); until then events belong to the app 'unnamed'.")
    identity = (settings, redact, transport)
    if state.client is not None and state.client.identity == identity and not state.client.outbox.closed:
        return None
    opener = (lambda: transport) if transport is not None else _kafka(settings)
    if opener is None:
        return _switch(None)
    client = Client(_options(settings, redact, opener, spool=transport is None or settings.sdk.spool_dir is not None), identity)
    LOG.info("llmtower records app %r; content capture is %r.", client.options.policy.head["app"], settings.capture)
    _switch(client)
    _install()
    client.run.start()
    return None


def _options(settings: Settings, redact: RedactHook | None, opener: OpenTransport, *, spool: bool) -> Options:
    app = settings.app or "unnamed"
    failures = Tally()
    head = {"project": settings.project or "default", "app": app, "environment": settings.environment, "release": settings.release}
    return Options(
        policy=Policy(head, settings.capture, settings.sdk.content_bytes, redact, failures.add),
        open_transport=opener,
        hook_failures=failures,
        queue_events=settings.sdk.queue_events,
        queue_bytes=settings.sdk.queue_bytes,
        linger_s=max(0.005, settings.sdk.linger_ms / 1_000),
        close_s=settings.sdk.close_s,
        spool_dir=spool_folder(settings) if spool else None,
        spool_bytes=settings.sdk.spool_bytes,
    )


def _kafka(settings: Settings) -> OpenTransport | None:
    from llmtower.kafka import KafkaTransport

    try:
        options = settings.kafka.client_options()
    except OSError as error:
        LOG.warning("llmtower records nothing: a certificate of LLMTOWER_KAFKA__SSL_* cannot be read (%s).", error)
        return None
    return lambda: KafkaTransport(options)


def spool_folder(settings: Settings) -> Path | None:
    """Give the app's own folder: its name for people, a hash of project, app and environment against collisions; None without a home."""
    kept = state.folder()
    base = settings.sdk.spool_dir or (kept / "spool" if kept else None)
    if base is None:
        return None
    identity = f"{settings.project}\n{settings.app}\n{settings.environment}"
    slug = re.sub(r"[^A-Za-z0-9_-]+", "-", settings.app or "unnamed")[:40]
    return base / f"{slug}-{sha256(identity.encode('utf-8', 'replace')).hexdigest()[:12]}"


def _switch(client: Client | None) -> None:
    """Put a client in the place of the one before, which is closed."""
    before = state.client
    state.use(client, quiet=client is None)
    if before is not None:
        before.run.close()
        state.final = before.run.stats()


def close() -> None:
    """Deliver what is left, put the rest on the disk, and record no more; takes at most `LLMTOWER_SDK__CLOSE_S` (2) seconds."""
    _switch(None)


def _install() -> None:
    """Once per process: close at exit and at SIGTERM, begin anew after a fork."""
    global _installed
    if not _installed:
        _installed = True
        atexit.register(close)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=_after_fork)
    if (process := sys.modules.get("multiprocessing.process")) is not None and process.parent_process() is not None:
        _close_with_child(None)
    if threading.current_thread() is threading.main_thread():
        _listen(signal.getsignal(signal.SIGTERM))


def _listen(handler: Any) -> None:
    """Close at SIGTERM: where nobody else listens to it, and where uvicorn does, which dies of it once its requests have ended."""
    if handler is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_term)
    elif any(kind.__module__ == "uvicorn.server" for kind in type(getattr(handler, "__self__", None)).__mro__):
        # of a server, or of a kind of one: where the method itself comes from says nothing, others put theirs there (sse_starlette)
        signal.signal(signal.SIGTERM, lambda number, frame: handler(_LastWord(number), frame))


class _LastWord:
    """The number of a signal that uvicorn keeps, and raises again when it has ended: read then, as a number, it closes us first.

    Nothing later would do: the process dies there without `atexit`, which also waits for the host's threads.
    """

    def __init__(self, number: int) -> None:
        self._number = number

    def __index__(self) -> int:
        if signal.getsignal(self._number) is signal.SIG_DFL:
            with suppress(BaseException):  # Ctrl-C too: the process is about to die
                close()
        return self._number

    def __eq__(self, other: object) -> bool:
        return self._number == other

    def __hash__(self) -> int:
        return hash(self._number)


def _on_term(number: int, frame: FrameType | None) -> None:
    """Close, then die of the signal as if nobody had caught it."""
    close()
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _after_fork() -> None:
    renew_lock()
    if (util := sys.modules.get("multiprocessing.util")) is not None:
        util.register_after_fork(_install, _close_with_child)
    if state.client is not None:
        state.client.renew()
        state.use(state.client, quiet=False)


def _close_with_child(_: object) -> None:
    """Close at the end of a `multiprocessing` child: those leave without running `atexit`."""
    from multiprocessing.util import Finalize

    Finalize(None, close, exitpriority=10)
