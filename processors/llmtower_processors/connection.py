"""Find what a command talks to: the settings first, then a running `llmtower up` through its data directory."""

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from llmtower_processors.errors import NotConfigured, Unreachable, root
from llmtower_processors.local.endpoints import find_endpoints, read_credentials
from llmtower_schemas.settings import PREFIX, ClickHouseSettings, KafkaSettings, Settings, unknown_names

if TYPE_CHECKING:
    from clickhouse_connect.driver.client import Client

Role = Literal["writer", "content", "dashboards"]
"""writer: everything; content: reads all tables; dashboards: reads all but texts and raw bytes."""

_START = "Start one with `llmtower up`, name its folder with --data-dir, or set "


def load_settings(data_dir: Path | None = None, role: Role = "content") -> Settings:
    """Read the environment once; addresses that it does not name come from the `up` that runs on the data directory.

    Raises NotConfigured for an unknown `LLMTOWER_*` name or a value that does not fit.
    """
    unknown = unknown_names(os.environ)
    if unknown:
        raise NotConfigured("\n".join(unknown))
    try:
        settings = Settings()
    except ValidationError as error:
        raise NotConfigured("\n".join(_sentence(fault["loc"], fault["msg"]) for fault in error.errors())) from error
    if data_dir is not None:
        settings = settings.model_copy(update={"data_dir": data_dir})
    return _from_running_stack(settings, role)


def kafka_settings(settings: Settings) -> KafkaSettings:
    """Give Kafka's settings. Raises NotConfigured when no address is known."""
    if not settings.kafka.bootstrap_servers:
        raise NotConfigured(f"No Kafka: nothing runs on {settings.data_dir}. {_START}LLMTOWER_KAFKA__BOOTSTRAP_SERVERS.")
    return settings.kafka


def clickhouse_address(settings: Settings) -> str:
    """Give `host:port` of ClickHouse. Raises NotConfigured when no address is known."""
    if not settings.clickhouse.host:
        raise NotConfigured(f"No ClickHouse: nothing runs on {settings.data_dir}. {_START}LLMTOWER_CLICKHOUSE__HOST.")
    return f"{settings.clickhouse.host}:{settings.clickhouse.port}"


def clickhouse_client(settings: Settings, *, with_database: bool = True) -> "Client":
    """Connect to ClickHouse. Raises NotConfigured when no address is known, Unreachable when it does not answer or refuses the password."""
    import clickhouse_connect
    from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

    where = clickhouse_address(settings)
    _without_pandas()
    logging.getLogger("clickhouse_connect").setLevel(logging.CRITICAL)
    options = settings.clickhouse.client_options()
    if not with_database:
        options["database"] = "default"
    try:
        return clickhouse_connect.get_client(**options)
    except OperationalError as error:
        raise Unreachable(_unanswered(where, root(error))) from error
    except ClickHouseError as error:
        raise Unreachable(f"ClickHouse at {where} refused the connection: {_first_line(error)}") from error


def _unanswered(where: str, cause: str) -> str:
    if cause == "SSLCertVerificationError":
        return (
            f"The certificate that ClickHouse at {where} shows is not trusted: is LLMTOWER_CLICKHOUSE__CA_FILE the authority that "
            "signed it, and is it made out to this name?"
        )
    if cause.startswith("SSL"):
        return f"ClickHouse at {where} does not speak TLS ({cause}): is LLMTOWER_CLICKHOUSE__SECURE=true right, and is it the port for TLS?"
    return f"ClickHouse at {where} does not answer ({cause}). Is it running, and is LLMTOWER_CLICKHOUSE__HOST right?"


def _from_running_stack(settings: Settings, role: Role) -> Settings:
    if settings.kafka.bootstrap_servers and settings.clickhouse.host:
        return settings
    found = find_endpoints(settings.data_dir)
    if found is None:
        return settings
    update: dict[str, object] = {}
    if not settings.kafka.bootstrap_servers:
        update["kafka"] = settings.kafka.model_copy(update={"bootstrap_servers": found.kafka})
    if not settings.clickhouse.host:
        update["clickhouse"] = _clickhouse_of(settings, found.clickhouse, role)
    return settings.model_copy(update=update)


def _clickhouse_of(settings: Settings, url: str, role: Role) -> ClickHouseSettings:
    address = urlsplit(url)
    try:
        passwords = read_credentials(settings.data_dir)
    except OSError as error:
        raise NotConfigured(
            f"Cannot read {settings.data_dir / 'credentials.json'}: {error.strerror}. Only the user who ran `up` may."
        ) from error
    login = {"host": address.hostname, "port": address.port, "user": role, "password": SecretStr(passwords[role])}
    return settings.clickhouse.model_copy(update=login)


def _without_pandas() -> None:
    """Save half a second and 50 MB per process: at its first insert the driver would load pandas, to ask if it got a data frame."""
    from clickhouse_connect.driver import options

    vars(options).update(pd=None, pd_time_test=None)


def _sentence(location: tuple[int | str, ...], message: str) -> str:
    return f"{PREFIX}{'__'.join(str(part).upper() for part in location)}: {message[:1].lower()}{message[1:]}."


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
