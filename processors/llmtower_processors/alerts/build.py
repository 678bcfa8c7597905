"""Put the evaluator together from settings: rules from the file, Kafka, ClickHouse, routes."""

import logging
import os

from prometheus_client import CollectorRegistry

from llmtower_processors.alerts.journal import KafkaJournal
from llmtower_processors.alerts.load import doubts, load_rules
from llmtower_processors.alerts.metrics import AlertMetrics
from llmtower_processors.alerts.model import Router
from llmtower_processors.alerts.route import SendingRouter
from llmtower_processors.alerts.rules import Rules
from llmtower_processors.alerts.send.build import UnableSender, build_senders, routes_of
from llmtower_processors.alerts.service import AlertService
from llmtower_processors.alerts.silences import KafkaSilences
from llmtower_processors.alerts.tables import ClickHouseTables
from llmtower_processors.connection import kafka_settings
from llmtower_processors.runtime.edges import SystemClock
from llmtower_schemas.settings import AlertSettings, Settings

log = logging.getLogger(__name__)


def build_alerts(settings: Settings, registry: CollectorRegistry, router: Router | None = None) -> AlertService:
    """Read the rules and connect them; what is doubtful in them is said. Raises RulesError when the file cannot be used."""
    rules = load_rules(settings.alerts.file)
    for doubt in doubts(settings.alerts.file):
        log.warning("alerts: %s:%d:%d: %s", settings.alerts.file, doubt.line, doubt.column, doubt.message)
    kafka = kafka_settings(settings)
    return AlertService(
        rules,
        settings.alerts,
        journal=KafkaJournal(kafka, settings.worker.group_prefix),
        tables=ClickHouseTables(settings.clickhouse.client_options()),
        silences=KafkaSilences(kafka),
        router=router or build_router(rules, settings.alerts),
        clock=SystemClock(),
        metrics=AlertMetrics(registry),
    )


def build_router(rules: Rules, settings: AlertSettings) -> SendingRouter:
    """Connect the routes; one that cannot be is said now, and tried like one that is down."""
    senders = build_senders(rules.routes, settings, os.environ)
    for sender in senders.values():
        if isinstance(sender, UnableSender):
            log.error("alerts: %s", sender.reason)
    return SendingRouter(routes_of(rules.routes, settings), senders, SystemClock())
