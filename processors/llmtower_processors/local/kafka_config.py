"""The settings of the one-node Kafka: safe for one machine, quiet on disk and nearly free when idle."""

from collections.abc import Mapping
from types import MappingProxyType

from llmtower_processors.local.ports import LOOPBACK

MEBIBYTE = 1024 * 1024

# Values that hold whatever the ports are. Idle cost was measured over 30 s: 5.5 % of a core with Kafka's defaults, 1.9 % with these.
FIXED: Mapping[str, str] = MappingProxyType(
    {
        "process.roles": "broker,controller",
        "node.id": "1",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        # Relative to the process's working directory, so that no path needs quoting (log.dirs splits at commas).
        "log.dirs": "data",
        "auto.create.topics.enable": "false",
        "message.max.bytes": str(16 * MEBIBYTE),
        # One broker: every internal topic has one replica.
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "min.insync.replicas": "1",
        "offsets.topic.num.partitions": "4",
        "transaction.state.log.num.partitions": "4",
        "share.coordinator.state.topic.num.partitions": "1",
        # Consumer groups: no waiting for members that will not come, commits written at once, sessions as short as a second.
        "group.initial.rebalance.delay.ms": "0",
        "group.coordinator.append.linger.ms": "0",
        "group.min.session.timeout.ms": "1000",
        "offsets.retention.minutes": str(60 * 24 * 60),
        # Disk: topics set their own limits; these bound what sets none.
        "log.segment.bytes": str(64 * MEBIBYTE),
        "log.retention.hours": str(7 * 24),
        "log.retention.bytes": str(1024 * MEBIBYTE),
        "log.retention.check.interval.ms": "60000",
        "metadata.log.segment.bytes": str(16 * MEBIBYTE),
        "metadata.max.retention.bytes": str(32 * MEBIBYTE),
        # Threads and timers: a write every half second to the metadata log is most of an idle node's work.
        "metadata.max.idle.interval.ms": "0",
        # A broker that was killed may register again only when its old session has ended: short, or a restart takes as long.
        "broker.heartbeat.interval.ms": "1000",
        "broker.session.timeout.ms": "2500",
        "num.network.threads": "1",
        "num.io.threads": "2",
        "background.threads": "2",
        "group.coordinator.threads": "1",
        "share.coordinator.threads": "1",
        "log.cleaner.threads": "1",
        "log.cleaner.dedupe.buffer.size": str(4 * MEBIBYTE),
    }
)

JVM_OPTIONS: tuple[str, ...] = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-XX:+ExitOnOutOfMemoryError",
    "-Djava.awt.headless=true",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
    "-Dorg.slf4j.simpleLogger.showThreadName=false",
    "-Dorg.slf4j.simpleLogger.showShortLogName=true",
)


def server_properties(*, port: int, controller_port: int) -> str:
    """Return the text of `server.properties`."""
    listeners = {
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller_port}",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller_port}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
    }
    return "".join(f"{name}={value}\n" for name, value in {**FIXED, **listeners}.items())
