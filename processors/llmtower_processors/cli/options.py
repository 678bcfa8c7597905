"""Options that several commands share; each names its environment variable in `--help`."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from llmtower_processors.cli import missing
from llmtower_processors.errors import NotConfigured
from llmtower_processors.installed import is_installed

DataDir = Annotated[
    Path,
    typer.Option("--data-dir", envvar="LLMTOWER_DATA_DIR", help="Folder of the running `llmtower up`, used when no address is configured."),
]
KafkaPort = Annotated[int, typer.Option(envvar="LLMTOWER_UP__KAFKA_PORT", min=0, max=65_535, help="Port of Kafka; 0 = any free one.")]
ClickHousePort = Annotated[
    int,
    typer.Option("--clickhouse-port", envvar="LLMTOWER_UP__CLICKHOUSE_PORT", min=0, max=65_535, help="HTTP port of the engine; 0 = any."),
]
WebPort = Annotated[int, typer.Option(envvar="LLMTOWER_UP__WEB_PORT", min=0, max=65_535, help="Port of the live page; 0 = any free one.")]
GatewayPort = Annotated[
    int, typer.Option(envvar="LLMTOWER_UP__GATEWAY_PORT", min=0, max=65_535, help="Port of the gateway (OTLP over HTTP); 0 = any free one.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would be done and do nothing.")]
Format = Annotated[Literal["table", "json", "csv"], typer.Option("--format", help="How to print the result.")]

DATA_DIR = Path(".llmtower")


def need(extra: str, *modules: str) -> None:
    """Say now what a child process, or a later step, would miss. Raises NotConfigured."""
    for module in modules:
        if not is_installed(module):
            raise NotConfigured(missing(module, extra))
