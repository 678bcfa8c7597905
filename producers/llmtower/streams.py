"""Watching a stream go by: the caller keeps the client's own stream object; only the iterator inside it is ours."""

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from llmtower.calls import Call
from llmtower.chat import Chunks
from llmtower.errors import internal_error


def watch(stream: Any, call: Call, details: Mapping[str, Any], *, hide: bool) -> None:
    """Record what a stream brings, and how it ends: read to the end, failed, closed early or forgotten."""
    record = _Record(call, details, hide)
    inner = stream._iterator
    if hasattr(inner, "__anext__"):
        stream._iterator = _WatchedAsync(inner, record)
        stream.close = _closing_async(stream.close, record)
    else:
        stream._iterator = _Watched(inner, record)
        stream.close = _closing(stream.close, record)


class StreamAbandoned(Exception):  # noqa: N818 - a kind of end, recorded and never raised
    """The caller stopped reading before the stream's end."""


class _Record:
    """The books of one stream."""

    def __init__(self, call: Call, details: Mapping[str, Any], hide: bool) -> None:
        self._call, self._details, self._hide = call, details, hide
        self._chunks = Chunks()

    def passes(self, chunk: Any) -> bool:
        """Take a chunk; False for the one chunk that only our own asking for usage brought."""
        try:
            if self._chunks.add(chunk):
                self._call.first_token()
            return not (self._hide and not getattr(chunk, "choices", None) and getattr(chunk, "usage", None) is not None)
        except Exception:
            internal_error("stream")
            return True

    def end(self, error: BaseException | None) -> None:
        """Close the call with what has come so far."""
        if self._call.closed:
            return
        chunks = self._chunks
        untold = {"usage_source": "estimated"} if chunks.usage is None and chunks.choices else {}
        self._call.finish(
            output=chunks.output(),
            usage=chunks.usage,
            response_id=chunks.id,
            response_model=chunks.model,
            finish_reasons=chunks.finish_reasons(),
            details={**self._details, **untold, "service_tier": chunks.service_tier},
            error=error,
        )

    def abandon(self) -> None:
        """Close the call of a stream nobody reads on: complete when its last token had come, else cancelled."""
        complete = bool(self._chunks.choices) and len(self._chunks.finish_reasons()) == len(self._chunks.choices)
        self.end(None if complete else StreamAbandoned())


class _Watched:
    """A stream's iterator that tells what goes by."""

    def __init__(self, inner: Iterator[Any], record: _Record) -> None:
        self._inner, self._record = inner, record

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            while not self._record.passes(chunk := next(self._inner)):
                pass
        except StopIteration:
            self._record.end(None)
            raise
        except BaseException as error:
            self._record.end(error)
            raise
        return chunk

    def close(self) -> None:
        """End the inner iterator as a generator would."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()
        self._record.abandon()

    def __del__(self) -> None:
        self._record.abandon()


class _WatchedAsync:
    """The same for asynchronous streams."""

    def __init__(self, inner: AsyncIterator[Any], record: _Record) -> None:
        self._inner, self._record = inner, record

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        try:
            while not self._record.passes(chunk := await anext(self._inner)):
                pass
        except StopAsyncIteration:
            self._record.end(None)
            raise
        except BaseException as error:
            self._record.end(error)
            raise
        return chunk

    async def aclose(self) -> None:
        """End the inner iterator as a generator would."""
        close = getattr(self._inner, "aclose", None)
        if close is not None:
            await close()
        self._record.abandon()

    def __del__(self) -> None:
        self._record.abandon()


def _closing(close: Callable[[], None], record: _Record) -> Callable[[], None]:
    def closed() -> None:
        try:
            close()
        finally:
            record.abandon()

    return closed


def _closing_async(close: Callable[[], Any], record: _Record) -> Callable[[], Any]:
    async def closed() -> None:
        try:
            await close()
        finally:
            record.abandon()

    return closed
