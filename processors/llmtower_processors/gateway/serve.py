"""Running the gateway: uvicorn, with a limit on how long headers may take, and where it may listen."""

import asyncio
import contextlib
import gc
import ipaddress
import logging
import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from llmtower_processors.gateway.app import Gateway, Parts, build_app
from llmtower_processors.gateway.intake import Write
from llmtower_processors.gateway.keyring import Keyring
from llmtower_processors.gateway.labour import Labour, processes_of
from llmtower_processors.gateway.sink import KafkaSink
from llmtower_processors.registry_topic import RegistryFeed
from llmtower_schemas.settings import KafkaSettings, Settings

log = logging.getLogger(__name__)

_MOST_CONNECTIONS = 2_000
_GARBAGE = 200_000
"""Objects made, more than were freed, before the youngest are looked through."""


def run_gateway(settings: Settings, kafka: KafkaSettings, make_write: Callable[[], Write]) -> None:
    """Serve until SIGINT or SIGTERM; requests under way are answered first. `make_write` is called in other processes too."""
    gc.freeze()
    gc.set_threshold(_GARBAGE)  # spans are trees without cycles: there is nothing to find among them
    asyncio.run(_serve(settings, kafka, make_write))


async def _serve(settings: Settings, kafka: KafkaSettings, make_write: Callable[[], Write]) -> None:
    given, write = settings.gateway, make_write()
    labour = Labour(make_write, given.converters or processes_of(os.cpu_count() or 1))
    sink = KafkaSink(kafka, ack_s=given.ack_s)
    keyring = Keyring(settings.project if is_loopback(given.host) else None)
    gateway = Gateway(Parts(given, sink, keyring, RegistryFeed(kafka), write, elsewhere=labour), CollectorRegistry())
    await sink.connect()
    try:
        await _Server(server_config(build_app(gateway), given.host, given.port, headers_s=given.body_s)).serve()
    finally:
        await sink.close()


class _Server(uvicorn.Server):
    """Ends well when it is told to: uvicorn's own way is to end by the signal once more."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop taking requests, answer those under way, return."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self.handle_exit, number, None)
        yield


def server_config(app: Any, host: str, port: int, *, headers_s: float) -> uvicorn.Config:
    """Configure uvicorn: few log lines, bounded connections, no patience with headers that do not come."""

    class Protocol(HttpToolsProtocol):
        """Closes a connection whose first request's headers are not complete in time (slow-loris)."""

        def connection_made(self, transport: Any) -> None:
            super().connection_made(transport)
            self.loop.call_later(headers_s, self._still_nothing)

        def _still_nothing(self) -> None:
            if self.cycle is None and not self.transport.is_closing():
                self.transport.close()

    return uvicorn.Config(
        app,
        host=host,
        port=port,
        http=Protocol,
        ws="none",
        lifespan="on",
        log_level="warning",
        access_log=False,
        server_header=False,
        limit_concurrency=_MOST_CONNECTIONS,
        timeout_graceful_shutdown=15,
    )


def is_loopback(host: str) -> bool:
    """Say whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
