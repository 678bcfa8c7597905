"""Put the evaluator together from settings: rules from the file, Kafka, ClickHouse, routes."""

from prometheus_client import CollectorRegistry

from llmtower_processors.alerts.journal import KafkaJournal
from llmtower_processors.alerts.load import load_rules
from llmtower_processors.alerts.metrics import AlertMetrics
from llmtower_processors.alerts.model import MemoryRouter, Router
from llmtower_processors.alerts.service import AlertService
from llmtower_processors.alerts.silences import KafkaSilences
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.connection import kafka_settings
from llmtower_processors.runtime.edges import SystemClock
from llmtower_schemas.settings import Settings


def build_alerts(settings: Settings, registry: CollectorRegistry, router: Router | None = None) -> AlertService:
    """Read the rules and connect them. Raises RulesError when the file cannot be used."""
    rules = load_rules(settings.alerts.file)
    kafka = kafka_settings(settings)
    return AlertService(
        rules,
        settings.alerts,
        journal=KafkaJournal(kafka, settings.worker.group_prefix),
        tables=ClickHouseTables(settings.clickhouse.client_options()),
        silences=KafkaSilences(kafka),
        router=router or MemoryRouter(()),
        clock=SystemClock(),
        metrics=AlertMetrics(registry),
    )
