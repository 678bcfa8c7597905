"""Why Kafka cannot be reached, in a sentence that names the setting to look at.

aiokafka says no more than `Unable to bootstrap from …`, whatever it was: nobody listening, a certificate of another authority, a wrong
password. So after a failure the address is knocked at once more, step by step, with nothing but the standard library.
"""

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any

KNOCK_S = 2.0
_OR = "; or it is still starting, or the address that it advertises cannot be reached from here"
_SETTING = "LLMTOWER_KAFKA__"


async def trouble(options: Mapping[str, Any]) -> str:
    """Say why a client with these options (`KafkaSettings.client_options()`) gets no connection; at most `KNOCK_S` seconds per broker."""
    said = [await _knock(address.strip(), options) for address in str(options["bootstrap_servers"]).split(",")]
    answered = [sentence for sentence in said if not sentence.startswith("nothing")]
    return (answered or said)[0]


async def _knock(address: str, options: Mapping[str, Any]) -> str:
    context: ssl.SSLContext | None = options.get("ssl_context")
    try:
        await _connect(address, None)
    except (OSError, TimeoutError, ValueError) as error:
        return f"nothing answers at {address} ({type(error).__name__}): is Kafka running, and is {_SETTING}BOOTSTRAP_SERVERS right?"
    try:
        if context:
            await _connect(address, context)
    except (OSError, TimeoutError) as error:
        return _no_handshake(address, error, options)
    if "sasl_mechanism" in options:
        return (
            f"{address} answers, but does not let user {options['sasl_plain_username']!r} in by {options['sasl_mechanism']}: "
            f"are {_SETTING}SASL_USERNAME, {_SETTING}SASL_PASSWORD and {_SETTING}SASL_MECHANISM right?{_OR}"
        )
    if context:
        return f"{address} speaks TLS, but ends the connection: does it want {_SETTING}SSL_CERT_FILE and {_SETTING}SSL_KEY_FILE, or SASL?"
    return f"{address} listens, but does not answer as Kafka does in the clear: is {_SETTING}SECURITY_PROTOCOL right?{_OR}"


def _no_handshake(address: str, error: Exception, options: Mapping[str, Any]) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate that {address} shows is not trusted ({error.verify_message}): "
            f"is {_SETTING}SSL_CA_FILE the authority that signed it, and is it made out to this name?"
        )
    if isinstance(error, ssl.SSLError) and "ALERT" in (error.reason or ""):  # up to TLS 1.2 a certificate is missed in the handshake
        return (
            f"{address} speaks TLS, but refuses us ({error.reason}): "
            f"does it want {_SETTING}SSL_CERT_FILE and {_SETTING}SSL_KEY_FILE, signed by an authority that it trusts?"
        )
    late = "; or it is still starting" if isinstance(error, TimeoutError) else ""
    return f"{address} does not speak TLS: is {_SETTING}SECURITY_PROTOCOL={options['security_protocol']} right?{late}"


async def _connect(address: str, context: ssl.SSLContext | None) -> None:
    host, _, port = address.rpartition(":")
    async with asyncio.timeout(KNOCK_S):
        _, writer = await asyncio.open_connection(host.strip("[]"), int(port), ssl=context)
    writer.transport.abort()
