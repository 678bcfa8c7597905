"""Each setting is declared once; names and values that do not fit are sentences; secrets never show."""

import ssl
from pathlib import Path
from typing import Literal

import pytest
from pydantic import ValidationError

from llmtower_schemas.settings import ClickHouseSettings, KafkaSettings, Settings, environment_names, unknown_names


def test_every_setting_has_a_meaning() -> None:
    names = environment_names()
    assert names["LLMTOWER_KAFKA__BOOTSTRAP_SERVERS"]
    assert [name for name, meaning in names.items() if not meaning] == []


def test_the_environment_is_read_with_nesting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMTOWER_KAFKA__BOOTSTRAP_SERVERS", "a:1,b:2")
    monkeypatch.setenv("LLMTOWER_ENABLED", "false")
    monkeypatch.setenv("LLMTOWER_RETENTION__CONTENTS_DAYS", "7")
    settings = Settings()
    assert settings.kafka.bootstrap_servers == "a:1,b:2"
    assert not settings.enabled
    assert settings.retention.contents_days == 7


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("LLMTOWER_KAFKA__BOOTSTRAP_SERVER", "did you mean LLMTOWER_KAFKA__BOOTSTRAP_SERVERS?"),
        ("LLMTOWER_ENVIROMENT", "did you mean LLMTOWER_ENVIRONMENT?"),
        ("LLMTOWER_ZZZZZZZZ", "is no setting."),
    ],
)
def test_an_unknown_name_is_a_sentence(name: str, sentence: str) -> None:
    (found,) = unknown_names({name: "x", "PATH": "/bin", "LLMTOWER_APP": "a"})
    assert found.startswith(name)
    assert found.endswith(sentence)


def test_secrets_never_show() -> None:
    text = repr(Settings(kafka=KafkaSettings(sasl_password="hunter2"), clickhouse=ClickHouseSettings(password="hunter3")))
    assert "hunter" not in text


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_sasl_over_tls_reaches_the_client(mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]) -> None:
    kafka = KafkaSettings(
        bootstrap_servers="k:9093",
        security_protocol="SASL_SSL",
        sasl_mechanism=mechanism,
        sasl_username="u",
        sasl_password="p",
    )
    options = kafka.client_options()
    assert (options["sasl_mechanism"], options["sasl_plain_username"], options["sasl_plain_password"]) == (mechanism, "u", "p")
    assert isinstance(options["ssl_context"], ssl.SSLContext)
    assert options["ssl_context"].verify_mode is ssl.CERT_REQUIRED


def test_a_certificate_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        KafkaSettings(security_protocol="SSL", ssl_ca_file=tmp_path / "none.pem").client_options()


def test_clickhouse_over_tls_reaches_the_client(tmp_path: Path) -> None:
    options = ClickHouseSettings(host="c", port=8443, secure=True, ca_file=tmp_path / "ca.pem", password="p").client_options()
    assert options["secure"] is True
    assert options["password"] == "p"
    assert options["ca_cert"].endswith("ca.pem")


@pytest.mark.parametrize(("host", "compressed"), [("127.0.0.1", False), ("localhost", False), ("clickhouse.internal", True)])
def test_what_stays_on_the_machine_is_not_compressed(host: str, compressed: bool) -> None:
    assert ClickHouseSettings(host=host).client_options()["compress"] is compressed


@pytest.mark.parametrize("database", ["a-b", "1a", "a;DROP DATABASE b", ""])
def test_a_database_name_is_an_identifier(database: str) -> None:
    with pytest.raises(ValidationError):
        ClickHouseSettings(database=database)
