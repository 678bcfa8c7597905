"""Watching a stream go by: the caller keeps the client's own stream object; only the iterator inside it is ours."""

import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any, Protocol

from llmtower.calls import Call
from llmtower.errors import internal_error

Facts = dict[str, Any]
"""What an answer says, as arguments of `Call.finish`."""


class Reader(Protocol):
    """Puts a streamed answer together; one per call."""

    @property
    def complete(self) -> bool:
        """Whether the answer's end has come, whatever the connection does afterwards."""

    def add(self, chunk: Any) -> bool:
        """Take a chunk; says whether it brought any token."""

    def facts(self) -> Facts:
        """Give what is known so far."""


class StreamAbandoned(Exception):  # noqa: N818 - a kind of end, recorded and never raised
    """The caller stopped reading before the stream's end."""


class Record:
    """The books of one stream."""

    def __init__(
        self, call: Call, reader: Reader, details: Mapping[str, Any], hidden: Callable[[Any], bool] | None = None, *, clock: bool = True
    ) -> None:
        """`hidden` names chunks that only our own asking brought; without `clock` there is no time to the first token."""
        self._call, self._reader, self._details, self._hidden = call, reader, details, hidden
        self._waits = clock
        self.reading = False
        """True while the next chunk is being fetched: a close within that is part of the fetching."""

    def passes(self, chunk: Any) -> bool:
        """Take a chunk; False for one that the caller is not to see."""
        try:
            if self._reader.add(chunk) and self._waits:
                self._waits = False
                self._call.first_token()
            return self._hidden is None or not self._hidden(chunk)
        except Exception:
            internal_error("stream")
            return True

    def end(self, error: BaseException | None) -> None:
        """Close the call with what has come so far."""
        if self._call.closed:
            return
        try:
            facts = self._reader.facts()
        except Exception:
            facts = {}
            internal_error("stream")
        conclude(self._call, facts, self._details, error)

    def abandon(self) -> None:
        """Close the call of a stream nobody reads on: complete when its last token had come, else cancelled."""
        if not self._call.closed and not self.reading:
            self.end(None if self._reader.complete else StreamAbandoned())


def conclude(call: Call, facts: Facts, details: Mapping[str, Any], error: BaseException | None = None) -> None:
    """Close a call with an answer's facts; output without usage is estimated, and says so."""
    facts = dict(facts)
    untold = {"usage_source": "estimated"} if facts.get("usage") is None and facts.get("output") else {}
    failed = facts.pop("error", None)
    extra = {**details, **untold, **facts.pop("details", {})}
    call.finish(**facts, details=extra, error=failed if error is None else error)


class Watched:
    """A stream's iterator that tells what goes by."""

    def __init__(self, inner: Iterator[Any], record: Record) -> None:
        self._inner, self._record = inner, record

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        record = self._record
        record.reading = True
        try:
            while not record.passes(chunk := next(self._inner)):
                pass
        except StopIteration:
            record.end(None)
            raise
        except BaseException as error:
            record.end(error)
            raise
        record.reading = False
        return chunk

    def close(self) -> None:
        """End the inner iterator as a generator would."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()
        self._record.abandon()

    def __del__(self) -> None:
        self._record.abandon()


class WatchedAsync:
    """The same for asynchronous streams."""

    def __init__(self, inner: AsyncIterator[Any], record: Record) -> None:
        self._inner, self._record = inner, record

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        record = self._record
        record.reading = True
        try:
            while not record.passes(chunk := await anext(self._inner)):
                pass
        except StopAsyncIteration:
            record.end(None)
            raise
        except BaseException as error:
            record.end(error)
            raise
        record.reading = False
        return chunk

    async def aclose(self) -> None:
        """End the inner iterator as a generator would."""
        close = getattr(self._inner, "aclose", None)
        if close is not None:
            await close()
        self._record.abandon()

    def __del__(self) -> None:
        self._record.abandon()


def watched(inner: Any, record: Record) -> Any:
    """Give an iterator, synchronous or not as it was, that tells what goes by."""
    return WatchedAsync(inner, record) if hasattr(inner, "__anext__") else Watched(inner, record)


def generated(inner: Any, record: Record) -> Any:
    """Give a generator, synchronous or not as it was, that tells what goes by; one that nobody starts is told of too."""
    made = _generated_async(inner, record) if hasattr(inner, "__anext__") else _generated(inner, record)
    weakref.finalize(made, record.abandon).atexit = False
    return made


def _generated(inner: Any, record: Record) -> Iterator[Any]:
    passes = record.passes
    try:
        for chunk in inner:
            if passes(chunk):
                yield chunk
    except GeneratorExit:
        inner.close()
        record.abandon()
        raise
    except BaseException as error:
        record.end(error)
        raise
    record.end(None)


async def _generated_async(inner: Any, record: Record) -> AsyncIterator[Any]:
    passes = record.passes
    try:
        async for chunk in inner:
            if passes(chunk):
                yield chunk
    except GeneratorExit:
        record.abandon()
        await inner.aclose()
        raise
    except BaseException as error:
        record.end(error)
        raise
    record.end(None)


def watch(stream: Any, response: Any, record: Record) -> None:
    """Record what a client's stream object brings, and how it ends: read to the end, failed, closed early or forgotten."""
    stream._iterator = watched(stream._iterator, record)
    tell_close(response if response is not None else stream, record)


def tell_close(response: Any, record: Record) -> None:
    """Let an HTTP response tell when it is closed."""
    if callable(getattr(response, "aclose", None)):
        response.aclose = _closing_async(response.aclose, record)
    if callable(getattr(response, "close", None)):
        response.close = _closing(response.close, record)


def _closing(close: Callable[[], Any], record: Record) -> Callable[[], Any]:
    def closed() -> Any:
        try:
            return close()
        finally:
            record.abandon()

    return closed


def _closing_async(close: Callable[[], Any], record: Record) -> Callable[[], Any]:
    async def closed() -> Any:
        try:
            return await close()
        finally:
            record.abandon()

    return closed
