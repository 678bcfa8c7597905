"""The HTTP edge: aiohttp in front of the face, one write per response, loopback only unless told otherwise."""

import asyncio
import ipaddress
import logging
from typing import Final
from urllib.parse import urlsplit

from aiohttp import web

from llmtower_processors.engine.errors import QUERY_IS_TOO_LARGE, EngineError
from llmtower_processors.engine.face import MAX_BODY, Face, Reply, Request

_LARGE: Final = 16 * 2**20
_LARGE_AT_ONCE: Final = 4
"""Bodies above 16 MiB in memory at a time: bounds what clients can make the face hold to about 1 GiB."""

_MAX_QUERY_LINE: Final = 1 << 20
_READ_BUFFER: Final = 1 << 20
"""A block of 20,000 calls is some 20 MB: with the default of 64 KiB its reading stops and starts 300 times."""

_SHUTDOWN_SECONDS: Final = 60.0


class Server:
    """Serves a face on one port."""

    def __init__(self, face: Face, *, allow_remote: bool = False) -> None:
        self._face = face
        self._allow_remote = allow_remote
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)
        self._runner: web.ServerRunner | None = None

    async def start(self, host: str, port: int) -> int:
        """Listen; gives the port (0 picks a free one). Raises ValueError for an address beyond this machine without `allow_remote`."""
        if not is_loopback_name(host) and not self._allow_remote:
            raise ValueError(f"--host {host} is reachable from other machines: use 127.0.0.1, or add --allow-remote if that is wanted.")
        server = web.Server(
            self._handle,
            access_log=None,
            logger=_discreet_log(),
            auto_decompress=False,
            read_bufsize=_READ_BUFFER,
            max_line_size=_MAX_QUERY_LINE,
            max_field_size=1 << 16,
            lingering_time=1.0,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.TCPSite(self._runner, host, port).start()
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Stop accepting, let running requests finish."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        loopback = is_loopback_name(request.remote or "")
        known_host = is_loopback_name(_host_name(request.headers.get("Host", "")))
        if _is_foreign(request) or not (known_host or self._allow_remote):
            return web.Response(status=403, text="Requests under a foreign Host or from a foreign page are refused.\n")
        body, slot = b"", False
        try:
            body, slot = await self._read(request)
            asked = Request(
                method=request.method,
                path=request.path,
                params=dict(request.query),
                headers=request.headers,
                body=body,
                loopback=loopback and known_host,
            )
            del body
            return _response(await self._face.answer(asked))
        except EngineError as error:
            return web.Response(status=error.status, text=error.body(""), headers={"X-ClickHouse-Exception-Code": str(error.code)})
        finally:
            if slot:
                self._large.release()

    async def _read(self, request: web.BaseRequest) -> tuple[bytes, bool]:
        """Read the body; True with it if it holds one of the slots for large bodies."""
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        pieces: list[bytes] = []
        size = 0
        slot = False
        try:
            async for piece in request.content.iter_any():
                size += len(piece)
                if size > MAX_BODY:
                    raise EngineError(QUERY_IS_TOO_LARGE, f"The body is larger than {MAX_BODY} bytes: send it in smaller pieces.")
                if size > _LARGE and not slot:
                    await self._large.acquire()
                    slot = True
                pieces.append(piece)
        except BaseException:
            if slot:
                self._large.release()
            raise
        return b"".join(pieces), slot


class _WithoutPayload(logging.Filter):
    """aiohttp logs a request that it cannot parse with its bytes: keep the event, drop what was sent."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep every record, without exception and arguments."""
        kind = record.exc_info[0] if record.exc_info else None
        record.msg, record.args = f"A request was refused or failed: {kind.__name__ if kind else 'no details'}.", ()
        record.exc_info = record.exc_text = None
        return True


def _discreet_log() -> logging.Logger:
    log = logging.getLogger("llmtower.engine.http")
    log.filters[:] = [_WithoutPayload()]
    return log


def is_loopback_name(name: str) -> bool:
    """True for localhost and the loopback addresses."""
    if name.lower() in ("localhost", "localhost."):
        return True
    try:
        return ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _host_name(header: str) -> str:
    try:
        return urlsplit(f"//{header}").hostname or ""
    except ValueError:
        return ""


def _is_foreign(request: web.BaseRequest) -> bool:
    """A page of another origin (DNS rebinding, a form or an image on a foreign site) must not reach the engine."""
    origin = request.headers.get("Origin")
    if origin is not None and not is_loopback_name(_host_name(urlsplit(origin).netloc)):
        return True
    return request.headers.get("Sec-Fetch-Site", "none") == "cross-site"


def _response(reply: Reply) -> web.Response:
    return web.Response(status=reply.status, body=reply.body, headers=reply.headers)
