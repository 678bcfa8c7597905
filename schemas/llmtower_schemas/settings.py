"""Every setting, declared once: environment name, type, default and meaning. Prefix `LLMTOWER_`, nested `__`.

One tree for the SDK and the worker, because both read the same environment: a name that is unknown here is unknown everywhere
(an error in the CLI, a warning in the SDK).
"""

import ssl
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "LLMTOWER_"
OPTION_PREFIX = "LLMTOWER_CLI_"
"""Of the variables that stand for options of a command which are no settings: `LLMTOWER_CLI_AUDIT_REPAIR`."""
NOT_SETTINGS = frozenset({"LLMTOWER_TEST_CLICKHOUSE_URL", "LLMTOWER_TEST_KAFKA"})
"""Names that belong to the test suite alone."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class KafkaSettings(_Section):
    """How to reach Kafka."""

    bootstrap_servers: str | None = Field(None, description="host:port[,host:port …] of the brokers")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field("PLAINTEXT", description="as Kafka names it")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field("PLAIN", description="used with SASL_*")
    sasl_username: str | None = Field(None, description="SASL user")
    sasl_password: SecretStr | None = Field(None, description="SASL password")
    ssl_ca_file: Path | None = Field(None, description="PEM file of the authority that signed the brokers' certificates")
    ssl_cert_file: Path | None = Field(None, description="PEM file of the client's certificate")
    ssl_key_file: Path | None = Field(None, description="PEM file of the client's key")
    request_timeout_ms: Annotated[int, Field(ge=100)] = Field(10_000, description="time allowed for one request")

    def client_options(self, *, metadata_s: int = 5) -> dict[str, Any]:
        """Give the keyword arguments that every aiokafka client takes. Raises OSError when a certificate file cannot be read.

        `metadata_s`: how often a client asks which topics there are, besides whenever a broker says that it knows better.
        """
        options: dict[str, Any] = {
            "bootstrap_servers": self.bootstrap_servers,
            "security_protocol": self.security_protocol,
            "request_timeout_ms": self.request_timeout_ms,
            "metadata_max_age_ms": metadata_s * 1_000,
        }
        if self.security_protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.sasl_mechanism,
                "sasl_plain_username": self.sasl_username,
                "sasl_plain_password": self.sasl_password.get_secret_value() if self.sasl_password else None,
            }
        if self.security_protocol.endswith("SSL"):
            context = ssl.create_default_context(cafile=str(self.ssl_ca_file) if self.ssl_ca_file else None)
            if self.ssl_cert_file:
                context.load_cert_chain(self.ssl_cert_file, self.ssl_key_file)
            options["ssl_context"] = context
        return options


LOOPBACK = ("127.0.0.1", "localhost", "::1")
"""To these, compressing costs more than it saves: 4 % of the worker's CPU, and as much of the engine's."""


class ClickHouseSettings(_Section):
    """How to reach ClickHouse over HTTP."""

    host: str | None = Field(None, description="host name of the server or of the embedded engine's face")
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(8123, description="HTTP port (8443 with TLS)")
    user: str = Field("default", description="user that may write")
    password: SecretStr = Field(SecretStr(""), description="its password")
    database: str = Field("llmtower", description="database that holds the tables", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")
    secure: bool = Field(False, description="TLS")
    ca_file: Path | None = Field(None, description="PEM file of the authority that signed the server's certificate")
    timeout_s: Annotated[float, Field(gt=0)] = Field(60.0, description="seconds allowed for one request")

    def client_options(self) -> dict[str, Any]:
        """Give the keyword arguments of `clickhouse_connect.get_client`."""
        options: dict[str, Any] = {
            "host": self.host,
            "port": self.port,
            "username": self.user,
            "password": self.password.get_secret_value(),
            "database": self.database,
            "secure": self.secure,
            "send_receive_timeout": self.timeout_s,
            "compress": self.host not in LOOPBACK,
        }
        if self.ca_file:
            options["ca_cert"] = str(self.ca_file)
        return options


class RetentionSettings(_Section):
    """How long rows are kept, in days; 0 keeps them for ever."""

    calls_days: Annotated[int, Field(ge=0)] = Field(400, description="calls, steps, scores, feedback, ledger, dead letters (without bytes)")
    contents_days: Annotated[int, Field(ge=0)] = Field(30, description="prompts, outputs, retrieved documents, comments")
    requests_days: Annotated[int, Field(ge=0)] = Field(30, description="starts of calls")
    heartbeats_days: Annotated[int, Field(ge=0)] = Field(30, description="producers' books")
    dead_letter_bytes_days: Annotated[int, Field(ge=0)] = Field(14, description="raw bytes of dead letters")
    rollup_1m_days: Annotated[int, Field(ge=0)] = Field(400, description="rollups per minute (per hour: for ever)")
    topics_days: Annotated[int, Field(ge=1)] = Field(7, description="Kafka topics llmtower.calls and llmtower.signals")
    topics_bytes: Annotated[int, Field(ge=1 << 20)] = Field(8 << 30, description="size cap of llmtower.calls, bytes per partition")


class SdkSettings(_Section):
    """Limits of the transport inside an application."""

    queue_events: Annotated[int, Field(ge=1)] = Field(20_000, description="events held in memory; beyond, the oldest is dropped, counted")
    queue_bytes: Annotated[int, Field(ge=1 << 16)] = Field(64 << 20, description="bytes held in memory, likewise")
    spool_dir: Path | None = Field(None, description="disk spool; default: a folder of the app in the user's state directory")
    spool_bytes: Annotated[int, Field(ge=0)] = Field(256 << 20, description="bytes of disk for the spool; 0 = no spool")
    prompts_dir: Path | None = Field(None, description="cache of prompts for a start without Kafka; default: in the user's state directory")
    linger_ms: Annotated[int, Field(ge=0)] = Field(200, description="an envelope is sent at the latest after this time")
    content_bytes: Annotated[int, Field(ge=256)] = Field(65_536, description="size of one text beyond which it is cut, with a visible mark")
    close_s: Annotated[float, Field(gt=0)] = Field(2.0, description="seconds that close() and the exit of the process may take")


class WorkerSettings(_Section):
    """How the worker runs."""

    processors: str = Field("", description="comma-separated names of the processors to run; empty = all")
    group_prefix: str = Field("llmtower", description="consumer groups are named <prefix>.<processor>")
    flush_rows: Annotated[int, Field(ge=1)] = Field(20_000, description="events per range at most")
    flush_s: Annotated[float, Field(gt=0)] = Field(1.0, description="seconds after which a range is stored, however small")
    session_timeout_ms: Annotated[int, Field(ge=1_000)] = Field(30_000, description="silence after which Kafka gives the partitions away")
    web_host: str = Field("127.0.0.1", description="address of /livez /readyz /metrics")
    web_port: Annotated[int, Field(ge=0, le=65_535)] = Field(6066, description="port of /livez /readyz /metrics; 0 = any free one")
    audit_minutes: Annotated[int, Field(ge=0)] = Field(60, description="minutes between audits of closed hours; 0 = never")
    embedder: str = Field(
        "hashed-words", description="embeds texts for drift: hashed-words, hashed-characters, model2vec:PATH, sentence-transformers:PATH"
    )


class ToxicitySettings(_Section):
    """The strong model that looks at what the linear one finds suspicious, and at a random share of the rest."""

    model: Literal["none", "original", "unbiased", "multilingual"] = Field(
        "none", description="Detoxify's model; none = the linear model alone"
    )
    checkpoint: Path | None = Field(None, description="its file; default: the official one, as `llmtower toxicity fetch` brings it")
    folder: Path | None = Field(
        None, description="folder with config.json and the vocabulary of bert-base-uncased, roberta-base or xlm-roberta-base"
    )
    sha256: str = Field("", description="how the checkpoint's SHA-256 begins (64 digits: all of it); default: the official one's")
    backend: Literal["auto", "torch", "onnx", "onnx-int8"] = Field(
        "auto",
        description="what computes it; auto: the GPU, else ONNX in int8 where that is faster and within 0.05 of fp32, else ONNX in fp32",
    )


class AlertSettings(_Section):
    """How alerts are judged and told."""

    file: Path | None = Field(None, description="YAML file of rules and routes; default: the rules shipped with Llmtower")
    period_s: Annotated[float, Field(ge=1, le=60)] = Field(2.0, description="seconds between two rounds of judging; 60 at most")
    patience_s: Annotated[float, Field(ge=0)] = Field(30.0, description="seconds that a window waits for its watermark at most")
    page_url: str = Field("http://127.0.0.1:8600", description="address of the live page, for links in messages")
    webhook_url: SecretStr | None = Field(None, description="the route `default` of the shipped rules: a webhook")
    webhook_secret: SecretStr | None = Field(None, description="key of its HMAC signature")


class WebSettings(_Section):
    """The live page."""

    host: str = Field("127.0.0.1", description="address that the live page listens on; beyond loopback it needs a read key")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(8600, description="port of the live page; 0 = any free one")
    names: str = Field("", description="comma-separated host names under which the page may be asked for, besides loopback")
    read_key: SecretStr | None = Field(None, description="key of the scope `read`: without it nobody sees the page")
    content_key: SecretStr | None = Field(None, description="key of the scope `content`: shows texts of calls (`up`: the content password)")
    content_user: str = Field("content", description="ClickHouse user that may read texts")
    content_password: SecretStr | None = Field(None, description="its password; without it the page shows no texts")


class GrafanaSettings(_Section):
    """A Grafana that dashboards are pushed to."""

    url: str | None = Field(None, description="address of Grafana, http://host:3000")
    token: SecretStr = Field(SecretStr(""), description="token of a service account with the role Admin")
    clickhouse_host: str | None = Field(None, description="host of ClickHouse as Grafana reaches it; default: as this machine does")
    clickhouse_port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(None, description="its HTTP port, likewise")


class GatewaySettings(_Section):
    """The gateway: OTLP and events over HTTP."""

    host: str = Field("127.0.0.1", description="address it listens on; beyond loopback every request needs a key")
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(4318, description="port (4318 is OTLP's own); 0 = any free one")
    cors_origins: str = Field("", description="comma-separated origins of web pages that may send feedback; * = any")
    body_bytes: Annotated[int, Field(ge=1_024)] = Field(20 << 20, description="size of one request after decompression, bytes at most")
    inflight_bytes: Annotated[int, Field(ge=1 << 20)] = Field(
        64 << 20, description="bytes of requests held until Kafka has acknowledged them; beyond, senders are told to wait"
    )
    body_s: Annotated[float, Field(gt=0)] = Field(30.0, description="seconds that sending headers or a body may take")
    converters: Annotated[int, Field(ge=0, le=64)] = Field(
        0, description="processes that convert large bodies, about 80 MiB each; 0 = as many as there are cores, four at most"
    )
    ack_s: Annotated[float, Field(gt=0)] = Field(10.0, description="seconds to wait for Kafka before a sender is told to try again")


class CollectorSettings(_Section):
    """The OpenTelemetry Collector's kafka exporter, whose topics the worker follows."""

    topics: str = Field("", description="comma-separated topics to follow: otlp_spans,otlp_logs; empty = none")
    project: str = Field("default", description="project of what comes by those topics", max_length=256)


class JudgeSettings(_Section):
    """The LLM judge: it runs where an endpoint is named, and spends money."""

    base_url: str | None = Field(
        None, description="address of an OpenAI-compatible endpoint, https://host/v1; without it nothing is judged"
    )
    api_key: SecretStr = Field(SecretStr(""), description="its key")
    model: str = Field("gpt-4o-mini", description="model that judges; its price must be known", min_length=1, max_length=200)
    budget_usd: Annotated[float, Field(ge=0, le=1_000_000)] = Field(1.0, description="dollars a day (UTC) at most: a hard stop")
    rubrics: str = Field("helpfulness,relevance,faithfulness", description="comma-separated names of the rubrics to ask; empty = all")
    rubrics_dir: Path | None = Field(None, description="folder of your own rubrics, one YAML file each")
    period_s: Annotated[float, Field(ge=1, le=3_600)] = Field(60.0, description="seconds between two rounds")
    per_round: Annotated[int, Field(ge=1, le=1_000)] = Field(20, description="calls asked per round and rubric at most")
    random_share: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5, description="share of the asks picked by chance, not for being uncertain"
    )
    settle_s: Annotated[float, Field(ge=0, le=3_600)] = Field(120.0, description="seconds after its start that a call is left to end")
    lookback_s: Annotated[float, Field(ge=60, le=86_400)] = Field(3_600.0, description="calls older than so many seconds are left out")
    timeout_s: Annotated[float, Field(gt=0, le=600)] = Field(30.0, description="seconds allowed for one ask")
    concurrency: Annotated[int, Field(ge=1, le=64)] = Field(4, description="asks under way at a time")
    text_bytes: Annotated[int, Field(ge=256, le=1 << 20)] = Field(12_000, description="size of a call's texts beyond which they are cut")
    max_output_tokens: Annotated[int, Field(ge=16, le=100_000)] = Field(300, description="tokens of an answer at most, reasoning included")


class PromptSettings(_Section):
    """The prompt library."""

    protected: str = Field(
        "production",
        description="comma-separated labels, and stages of models, that only a key of the scope promote moves, once there is one",
    )
    key: SecretStr | None = Field(
        None, description="API key of the scope promote, for `llmtower prompts promote`, `rollback` and `models stage`"
    )


class UpSettings(_Section):
    """Where `llmtower up` and `llmtower demo` listen; 0 = any free port."""

    kafka_port: Annotated[int, Field(ge=0, le=65_535)] = Field(9092, description="port of Kafka")
    clickhouse_port: Annotated[int, Field(ge=0, le=65_535)] = Field(8123, description="port of the engine's HTTP interface")
    web_port: Annotated[int, Field(ge=0, le=65_535)] = Field(8600, description="port of the live page")
    gateway_port: Annotated[int, Field(ge=0, le=65_535)] = Field(4318, description="port of the gateway (OTLP over HTTP)")


class Settings(BaseSettings):
    """One frozen object per process; secrets never show in its `repr`."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_nested_delimiter="__", extra="ignore", frozen=True)

    enabled: bool = Field(True, description="false: the SDK does nothing at all")
    project: str = Field("default", description="project that events belong to", max_length=256)
    app: str = Field("", description="name of the application that emits", max_length=256)
    environment: str = Field("production", description="production, staging …", max_length=256)
    release: str = Field("", description="version of the application", max_length=256)
    capture: Literal["off", "hash", "full"] = Field("full", description="prompts and outputs: leave out, hash, or keep")
    prices_file: Path | None = Field(None, description="YAML file of your own prices; it wins over the price book")
    data_dir: Path = Field(Path(".llmtower"), description="where `llmtower up` keeps its data")
    cache_dir: Path | None = Field(None, description="where Kafka's jars are kept; default: the user's cache directory")
    kafka: KafkaSettings = KafkaSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    retention: RetentionSettings = RetentionSettings()
    sdk: SdkSettings = SdkSettings()
    worker: WorkerSettings = WorkerSettings()
    toxicity: ToxicitySettings = ToxicitySettings()
    alerts: AlertSettings = AlertSettings()
    web: WebSettings = WebSettings()
    grafana: GrafanaSettings = GrafanaSettings()
    gateway: GatewaySettings = GatewaySettings()
    collector: CollectorSettings = CollectorSettings()
    judge: JudgeSettings = JudgeSettings()
    prompts: PromptSettings = PromptSettings()
    up: UpSettings = UpSettings()


def environment_names(model: type[BaseModel] = Settings, prefix: str = PREFIX) -> dict[str, str]:
    """Give every environment variable with its meaning, in the order of declaration."""
    names: dict[str, str] = {}
    for field, info in model.model_fields.items():
        name = f"{prefix}{field.upper()}"
        if isinstance(info.annotation, type) and issubclass(info.annotation, _Section):
            names |= environment_names(info.annotation, f"{name}__")
        else:
            names[name] = info.description or ""
    return names


def unknown_names(environ: Mapping[str, str], options: Iterable[str] | None = None) -> list[str]:
    """Give one sentence for each `LLMTOWER_*` variable that is no setting, with the nearest known name.

    Variables of `OPTION_PREFIX` are left to the command line, which knows them and asks for them with `options`.
    """
    if options is not None:
        known = dict.fromkeys(options, "")
        return [_unknown(name, known) for name in sorted(environ) if name.startswith(OPTION_PREFIX) and name not in known]
    known = environment_names()
    return [_unknown(name, known) for name in sorted(environ) if _is_unknown(name, known)]


def _is_unknown(name: str, known: Iterable[str]) -> bool:
    ours = name.startswith(PREFIX) and not name.startswith(OPTION_PREFIX)
    return ours and name.upper() not in known and name not in NOT_SETTINGS


def _unknown(name: str, known: Iterable[str]) -> str:
    nearest = get_close_matches(name.removeprefix(PREFIX), [word.removeprefix(PREFIX) for word in known], n=1, cutoff=0.6)
    return f"{name} is no setting" + (f"; did you mean {PREFIX}{nearest[0]}?" if nearest else ".")
