"""A TCP proxy that can hold, cut, swallow or slow what passes through it."""

import asyncio
import contextlib
import ssl
import threading
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["pass", "hold", "swallow_answers", "slow", "refuse"]


@dataclass(eq=False)
class _Pair:
    client: asyncio.StreamWriter
    server: asyncio.StreamWriter
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Proxy:
    """Forwards `port` to `target`; its modes act on the connections that are open and on those to come.

    hold: requests wait here and are delivered later, in order (a commit in the network). swallow_answers: requests arrive, answers never
    do (an insert that was applied but never confirmed). slow: 64 kB a second. refuse: new connections are closed at once.
    `cut` closes every connection now. With `tls` clients speak TLS to it, and it speaks in the clear to `target`.
    """

    def __init__(self, target: tuple[str, int], *, tls: ssl.SSLContext | None = None) -> None:
        self._target = target
        self._tls = tls
        self._mode: Mode = "pass"
        self._changed = asyncio.Event()
        self._pairs: set[_Pair] = set()
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        self._thread.start()
        self._started.wait()

    port: int

    def set(self, mode: Mode) -> None:
        """Change the mode."""
        self._loop.call_soon_threadsafe(self._set, mode)

    def cut(self) -> None:
        """Close every connection."""
        self._loop.call_soon_threadsafe(self._cut)

    def close(self) -> None:
        """Stop."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    def _set(self, mode: Mode) -> None:
        self._mode = mode
        self._changed.set()
        self._changed = asyncio.Event()

    def _cut(self) -> None:
        for pair in list(self._pairs):
            pair.client.transport.abort()
            pair.server.transport.abort()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._accept, "127.0.0.1", 0, ssl=self._tls))
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        self._loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(server.wait_closed())
        self._loop.run_until_complete(asyncio.sleep(0.05))
        self._loop.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "refuse":
            writer.transport.abort()
            return
        try:
            server_reader, server_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = _Pair(writer, server_writer)
        self._pairs.add(pair)
        try:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.gather(self._pump(reader, server_writer, answers=False), self._pump(server_reader, writer, answers=True))
        finally:
            self._pairs.discard(pair)
            writer.transport.abort()
            server_writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError, asyncio.CancelledError):
            while data := await reader.read(65_536):
                while self._mode == "hold" and not answers:
                    await self._changed.wait()
                if self._mode == "slow":
                    await asyncio.sleep(len(data) / 65_536)
                if answers and self._mode == "swallow_answers":
                    continue
                writer.write(data)
                await writer.drain()
        with contextlib.suppress(OSError):
            writer.transport.abort()
