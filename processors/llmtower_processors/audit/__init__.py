"""`llmtower audit`: read back the promise that every acknowledged event is stored exactly once, in tables and rollups."""

from llmtower_processors.audit.model import AUDITED, CHECKS, Finding, Ledgered, Report
from llmtower_processors.audit.records import KafkaRecords, LogEnds, MemoryRecords, Records
from llmtower_processors.audit.run import Auditor

__all__ = ["AUDITED", "CHECKS", "Auditor", "Finding", "KafkaRecords", "Ledgered", "LogEnds", "MemoryRecords", "Records", "Report"]
