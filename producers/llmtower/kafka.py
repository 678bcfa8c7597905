"""The transport over Kafka: one idempotent aiokafka producer. The only module that imports aiokafka."""

import asyncio
import logging
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    CorruptRecordException,
    InvalidMessageError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)

from llmtower.errors import Rejected, Undelivered
from llmtower.transport import THREAD, Envelope
from llmtower_schemas.kafka_trouble import trouble
from llmtower_schemas.topics import CALLS, MAX_RECORD_BYTES, SIGNALS

_FOR_GOOD = (MessageSizeTooLargeError, RecordListTooLargeError, InvalidMessageError, CorruptRecordException)
_STOP_S = 0.3
_TOPIC_S = 3.0


class _Quiet(logging.Filter):
    """Keeps aiokafka's complaints of our own thread out of the host's logs: the courier says once, in one sentence, what is wrong."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let other threads' records pass."""
        return record.threadName != THREAD


for _name in [name for name in logging.root.manager.loggerDict if name.split(".")[0] == "aiokafka"]:
    logging.getLogger(_name).addFilter(_Quiet())


class KafkaTransport:
    """Delivers to Kafka. After any failure the courier throws it away and opens a new one.

    (A batch that fails inside aiokafka has used up a number of the idempotent sequence: the same producer must not go on.)
    """

    def __init__(self, options: dict[str, Any]) -> None:
        self._options = options
        self._producer: AIOKafkaProducer | None = None
        self._partitions: dict[str, int] = {}

    async def start(self) -> None:
        """Connect and learn the topics' partitions."""
        try:
            self._producer = producer = AIOKafkaProducer(
                **self._options,
                client_id="llmtower",
                acks="all",
                enable_idempotence=True,
                compression_type="lz4",
                max_request_size=MAX_RECORD_BYTES,
                max_batch_size=MAX_RECORD_BYTES,
                linger_ms=0,
            )
            await producer.start()
            for topic in (CALLS, SIGNALS):
                self._partitions[topic] = await _partitions_of(producer, topic)
        except KafkaConnectionError as error:
            raise Undelivered(await trouble(self._options), attempted=False) from error
        except (KafkaError, OSError) as error:
            raise Undelivered(_reason(error), attempted=False) from error

    def partitions(self, topic: str) -> int:
        """Give the number of partitions of a topic."""
        return self._partitions[topic]

    async def send(self, envelope: Envelope) -> None:
        """Send and wait for the acknowledgement of all replicas in sync."""
        assert self._producer is not None  # noqa: S101 - the courier starts before it sends
        try:
            answer = await self._producer.send(envelope.topic, envelope.value, partition=envelope.partition, headers=list(envelope.headers))
        except _FOR_GOOD as error:
            raise Rejected(_reason(error)) from error
        except KafkaTimeoutError as error:
            raise Undelivered(_reason(error), attempted=False) from error
        except (KafkaError, OSError) as error:
            raise Undelivered(_reason(error), attempted=True) from error
        await _acknowledged(answer)

    async def stop(self) -> None:
        """Disconnect; aiokafka's own stop waits for deliveries for ever, so it is bounded. Cancelled, it leaves no connection either."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            await _stopped(producer)
        finally:
            for connection in list(producer.client._conns.values()):
                connection.close()


async def _stopped(producer: AIOKafkaProducer) -> None:
    stopping = asyncio.ensure_future(producer.stop())
    done, _ = await asyncio.wait({stopping}, timeout=_STOP_S)
    if not done:
        stopping.cancel()
        sender = producer._sender
        if sender is not None and sender.sender_task is not None:
            sender.sender_task.cancel()
        with suppress(Exception, asyncio.CancelledError):
            await asyncio.wait_for(producer.client.close(), _STOP_S)
    with suppress(Exception, asyncio.CancelledError):
        await stopping


async def _partitions_of(producer: AIOKafkaProducer, topic: str) -> int:
    try:
        async with asyncio.timeout(_TOPIC_S):
            return len(await producer.partitions_for(topic))
    except (TimeoutError, TypeError):  # aiokafka waits, or gives None
        reason = f"topic {topic} is not there; `llmtower topics create` makes it"
        raise Undelivered(reason, attempted=False) from None


async def _acknowledged(answer: "asyncio.Future[Any]") -> None:
    try:
        await answer
    except _FOR_GOOD as error:
        raise Rejected(_reason(error)) from error
    except (KafkaError, OSError) as error:
        raise Undelivered(_reason(error), attempted=True) from error


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"
