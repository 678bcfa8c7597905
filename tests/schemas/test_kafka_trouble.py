"""What is said of a Kafka that cannot be reached, knocked at for real: small servers that each get one thing wrong."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trustme

from llmtower_processors.local.ports import PortReservation
from llmtower_schemas.kafka_trouble import trouble

AUTHORITY = trustme.CA()
SASL = {"security_protocol": "SASL_PLAINTEXT", "sasl_mechanism": "PLAIN", "sasl_plain_username": "tower", "sasl_plain_password": "s3cret"}


async def hang_up(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
    """As a broker does that cannot read what was said."""


async def keep_silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    while await reader.read(1_024):
        pass


def shaking_hands(context: ssl.SSLContext) -> Any:
    """Answer as Kafka's broker does, which says why it refuses; asyncio's own server just hangs up."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_side=True)
        while data := await reader.read(65_536):
            incoming.write(data)
            with suppress(ssl.SSLError):
                tls.do_handshake()
            writer.write(outgoing.read())

    return answer


@asynccontextmanager
async def listening(answer: Any, connections: int) -> AsyncIterator[str]:
    """Give the address of a server; at the end so many connections have come and are closed."""
    ended = asyncio.Semaphore(0)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            await answer(reader, writer)
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
        ended.release()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for _ in range(connections):
            await ended.acquire()


def said(answer: Any, **options: Any) -> str:
    async def within() -> str:
        async with listening(answer, 2 if "ssl_context" in options else 1) as address:
            return (await trouble({"bootstrap_servers": address, **options})).removeprefix(f"{address} ")

    return asyncio.run(within())


def served(*, client_certificate: bool = False, newest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    AUTHORITY.issue_cert("127.0.0.1").configure_cert(context)
    AUTHORITY.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED if client_certificate else ssl.CERT_NONE
    context.maximum_version = newest
    return context


def trusting(authority: trustme.CA = AUTHORITY) -> dict[str, Any]:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return {"security_protocol": "SSL", "ssl_context": context}


def test_nobody_listens() -> None:
    reserved = PortReservation(0, purpose="nobody", option="-")
    options = {"bootstrap_servers": reserved.address, "security_protocol": "PLAINTEXT"}
    assert asyncio.run(trouble(options)).startswith(f"nothing answers at {reserved.address} (ConnectionRefusedError): is Kafka running")
    reserved.release()


def test_a_listener_in_the_clear_may_also_be_starting_or_advertise_what_cannot_be_reached() -> None:
    for options in ({"security_protocol": "PLAINTEXT"}, SASL):
        sentence = said(hang_up, **options)
        assert "s3cret" not in sentence
        assert sentence.endswith("right?; or it is still starting, or the address that it advertises cannot be reached from here")
    assert said(hang_up, **SASL).startswith("answers, but does not let user 'tower' in by PLAIN: ")


@pytest.mark.parametrize(("answer", "end"), [(hang_up, "=SSL right?"), (keep_silent, "=SSL right?; or it is still starting")])
def test_a_listener_that_does_not_speak_tls(answer: Any, end: str) -> None:
    sentence = said(answer, **trusting())
    assert sentence.startswith("does not speak TLS: is LLMTOWER_KAFKA__SECURITY_PROTOCOL")
    assert sentence.endswith(end)


def test_an_authority_that_is_not_known() -> None:
    assert "LLMTOWER_KAFKA__SSL_CA_FILE the authority" in said(shaking_hands(served()), **trusting(trustme.CA()))


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_broker_that_wants_a_certificate_is_said_to_speak_tls_and_to_want_one(newest: ssl.TLSVersion) -> None:
    sentence = said(shaking_hands(served(client_certificate=True, newest=newest)), **trusting())
    assert sentence.startswith("speaks TLS, but ")
    assert "does it want LLMTOWER_KAFKA__SSL_CERT_FILE and LLMTOWER_KAFKA__SSL_KEY_FILE" in sentence
