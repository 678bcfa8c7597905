"""Kafka with TLS, SASL and certificates of clients, and ClickHouse with TLS, as they run in production: every part of us through them."""

import asyncio
import contextlib
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from tests.faults.proxy import Proxy
from tests.integration.cli.test_worker import llmtower, running, until
from tests.integration.secured.kafka import PASSWORD, USER, Authority, SecuredKafka

from llmtower_processors.connection import clickhouse_client
from llmtower_processors.engine import EngineProcess
from llmtower_processors.errors import Unreachable
from llmtower_processors.local.ports import PortReservation
from llmtower_processors.topics import check_topics
from llmtower_schemas.settings import Settings

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

APPLICATION = """
import llmtower
llmtower.configure()
with llmtower.call(provider="acme", model="m-1", input="Hello") as call:
    call.finish(output="Hi", usage={"input_tokens": 3, "output_tokens": 2})
report = llmtower.flush(20)
assert report.complete, report
"""


class Site(NamedTuple):
    """Where everything is, as environment variables: of a server of one's own, with each way of proving who one is."""

    common: dict[str, str]
    ways: dict[str, dict[str, str]]

    def environment(self, way: str, **changed: str) -> dict[str, str]:
        """Give the variables of a process."""
        return self.common | self.ways[way] | changed


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, engine: EngineProcess) -> Iterator[Site]:
    """A secured Kafka, and the engine behind TLS."""
    folder = tmp_path_factory.mktemp("secured")
    authority = Authority(folder)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.issue("clickhouse"))
    certificate, key = authority.issue("application")
    with contextlib.ExitStack() as undo:
        front = Proxy((engine.host, engine.port), tls=tls)
        undo.callback(front.close)
        web = PortReservation(0, purpose="a worker", option="-")
        undo.callback(web.release)
        kafka = undo.enter_context(SecuredKafka(folder / "kafka", authority))
        sasl = {"SASL_USERNAME": USER, "SASL_PASSWORD": PASSWORD}
        trust = {"SSL_CA_FILE": str(authority.ca)}
        ways = {
            "SCRAM-SHA-512 over TLS": {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "SCRAM-SHA-512", **sasl, **trust},
            "PLAIN over TLS": {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", **sasl, **trust},
            "SCRAM-SHA-256 in the clear": {"SECURITY_PROTOCOL": "SASL_PLAINTEXT", "SASL_MECHANISM": "SCRAM-SHA-256", **sasl},
            "certificates": {"SECURITY_PROTOCOL": "SSL", "SSL_CERT_FILE": str(certificate), "SSL_KEY_FILE": str(key), **trust},
        }
        listener = {"SASL_SSL": "SASL_SSL", "SASL_PLAINTEXT": "SASL", "SSL": "MUTUAL"}
        named = {
            way: {f"LLMTOWER_KAFKA__{name}": value for name, value in how.items()}
            | {"LLMTOWER_KAFKA__BOOTSTRAP_SERVERS": kafka.address(listener[how["SECURITY_PROTOCOL"]])}
            for way, how in ways.items()
        }
        common = {
            "LLMTOWER_DATA_DIR": str(folder / "data"),
            "LLMTOWER_CLICKHOUSE__HOST": "127.0.0.1",
            "LLMTOWER_CLICKHOUSE__PORT": str(front.port),
            "LLMTOWER_CLICKHOUSE__USER": "writer",
            "LLMTOWER_CLICKHOUSE__PASSWORD": engine.credentials.passwords["writer"],
            "LLMTOWER_CLICKHOUSE__DATABASE": f"secured_{os.getpid()}_{time.time_ns()}",
            "LLMTOWER_CLICKHOUSE__SECURE": "true",
            "LLMTOWER_CLICKHOUSE__CA_FILE": str(authority.ca),
            "LLMTOWER_WORKER__WEB_PORT": str(web.port),
        }
        yield Site(common, named)


def test_a_call_reaches_its_row_by_every_way_of_proving_who_one_is(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = site.environment("SCRAM-SHA-512 over TLS")
    for words in (["migrate"], ["topics", "create"]):
        done = llmtower(settings, *words)
        assert done.returncode == 0, done.stderr
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    for number, way in enumerate(site.ways):
        environment = {**os.environ, **site.environment(way, LLMTOWER_APP=f"app-{number}", LLMTOWER_SDK__SPOOL_BYTES="0")}
        subprocess.run([sys.executable, "-c", APPLICATION], env=environment, check=True, timeout=60)

    sql = "SELECT app, count() FROM calls GROUP BY app ORDER BY app"
    with running(settings, "--processors", "calls"), clickhouse_client(Settings()) as client:
        until(lambda: client.query(sql).result_rows == [(f"app-{number}", 1) for number in range(len(site.ways))])
    said = llmtower(settings, "doctor").stdout
    assert "all topics are as they should be" in said
    assert "all migrations are applied" in said
    assert llmtower(settings, "report", "--last", "1h").returncode == 0


KAFKA = "LLMTOWER_KAFKA__"
WRONG = [
    ("PLAIN over TLS", {f"{KAFKA}SASL_PASSWORD": "wrong"}, "does not let user 'tower' in by PLAIN"),
    ("SCRAM-SHA-512 over TLS", {f"{KAFKA}SASL_PASSWORD": "wrong"}, "does not let user 'tower' in by SCRAM-SHA-512"),
    ("SCRAM-SHA-512 over TLS", {f"{KAFKA}SSL_CA_FILE": ""}, "LLMTOWER_KAFKA__SSL_CA_FILE the authority"),
    ("SCRAM-SHA-256 in the clear", {f"{KAFKA}SECURITY_PROTOCOL": "SASL_SSL"}, "does not speak TLS"),
    ("certificates", {f"{KAFKA}SSL_CERT_FILE": "", f"{KAFKA}SSL_KEY_FILE": ""}, "does it want LLMTOWER_KAFKA__SSL_CERT_FILE"),
    ("certificates", {f"{KAFKA}SECURITY_PROTOCOL": "PLAINTEXT"}, "LLMTOWER_KAFKA__SECURITY_PROTOCOL right?"),
]


@pytest.mark.parametrize(("way", "changed", "says"), WRONG)
def test_what_kafka_refuses_is_said_with_the_setting_to_look_at(
    site: Site, monkeypatch: pytest.MonkeyPatch, way: str, changed: dict[str, str], says: str
) -> None:
    for name, value in site.environment(way, **changed).items():
        if value:
            monkeypatch.setenv(name, value)
    settings = Settings()
    with pytest.raises(Unreachable) as refused:
        asyncio.run(check_topics(settings.kafka, settings.retention))
    assert says in str(refused.value)
    assert PASSWORD not in str(refused.value)


def test_the_application_says_once_why_its_events_stay_on_the_disk(site: Site, tmp_path: Path) -> None:
    wrong = {"LLMTOWER_KAFKA__SASL_PASSWORD": "wrong", "LLMTOWER_SDK__SPOOL_DIR": str(tmp_path), "LLMTOWER_APP": "a"}
    environment = {**os.environ, **site.environment("PLAIN over TLS", **wrong)}
    script = APPLICATION.replace("assert report.complete, report", "assert report.spooled, report")
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=60, capture_output=True, text=True)
    (said,) = [line for line in done.stderr.splitlines() if "cannot reach Kafka" in line]
    assert "does not let user 'tower' in by PLAIN" in said


def test_a_certificate_of_clickhouse_that_is_not_trusted_is_said_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in site.environment("certificates").items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LLMTOWER_CLICKHOUSE__CA_FILE")
    with pytest.raises(Unreachable, match="LLMTOWER_CLICKHOUSE__CA_FILE the authority"):
        clickhouse_client(Settings())
