"""`up`, `demo`, `bench`: run everything on this machine."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypedDict

import typer

from llmtower_processors.cli.options import DATA_DIR, ClickHousePort, DataDir, GatewayPort, KafkaPort, WebPort, need
from llmtower_processors.connection import clickhouse_address, load_settings
from llmtower_processors.errors import LlmtowerError

if TYPE_CHECKING:
    from llmtower_dashboards.web.budgets import Budgets

log = logging.getLogger(__name__)


class _Ports(TypedDict):
    kafka_port: int
    clickhouse_port: int
    web_port: int
    gateway_port: int


def up(
    data_dir: DataDir = DATA_DIR,
    kafka_port: KafkaPort = 9092,
    clickhouse_port: ClickHousePort = 8123,
    web_port: WebPort = 8600,
    gateway_port: GatewayPort = 4318,
) -> None:
    """Start Kafka, the ClickHouse engine, the worker and the gateway, and keep them running until Ctrl-C.

    The addresses are in DATA_DIR/endpoints.json once all are ready; the next `up` on the same folder goes on with the same data.

    Example: `llmtower up --data-dir /var/lib/llmtower --kafka-port 0`
    """
    need("local", "aiohttp", "chdb", "jgo")
    from llmtower_processors.local.stack import StackOptions, run_up

    load_settings(data_dir)
    ports = _Ports(kafka_port=kafka_port, clickhouse_port=clickhouse_port, web_port=web_port, gateway_port=gateway_port)
    raise typer.Exit(run_up(StackOptions(data_dir=data_dir, **ports)))


def demo(
    data_dir: DataDir = DATA_DIR,
    kafka_port: KafkaPort = 9092,
    clickhouse_port: ClickHousePort = 8123,
    web_port: WebPort = 8600,
    gateway_port: GatewayPort = 4318,
    seconds: Annotated[
        int | None,
        typer.Option(
            envvar="DEMO_SECONDS", min=1, help="End after so many seconds of live traffic [default: until Ctrl-C; 60 without a terminal]."
        ),
    ] = None,
    rate: Annotated[float, typer.Option(envvar="DEMO_RATE", min=0.1, help="Live calls per second.")] = 20.0,
    history: Annotated[bool, typer.Option("--history/--no-history", help="First send seven days of history through Kafka.")] = True,
    json_file: Annotated[Path | None, typer.Option("--json", envvar="DEMO_JSON", help="Write the closing summary to this file.")] = None,
) -> None:
    """Run a small application with a scripted incident against a local stand-in for OpenAI, and watch it live.

    Ends with the proof of the books: emitted = stored, by app, and the total cost; exit code 1 when they do not balance.

    Example: `llmtower demo --seconds 60 --json summary.json`
    """
    need("demo", "aiohttp", "chdb", "jgo", "fastapi", "httpx", "openai", "uvicorn")
    from llmtower_processors.demo import run_demo
    from llmtower_processors.local.stack import StackOptions

    load_settings(data_dir)
    ports = _Ports(kafka_port=kafka_port, clickhouse_port=clickhouse_port, web_port=web_port, gateway_port=gateway_port)
    code = run_demo(
        StackOptions(data_dir=data_dir, **ports),
        seconds=seconds,
        rate=rate,
        history=history,
        json_file=json_file,
    )
    raise typer.Exit(code)


def web(
    data_dir: DataDir = DATA_DIR,
    host: Annotated[
        str, typer.Option(envvar="LLMTOWER_WEB__HOST", help="Address to listen on; beyond loopback LLMTOWER_WEB__READ_KEY must be set.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(envvar="LLMTOWER_WEB__PORT", min=0, max=65_535, help="Port; 0 = any free one.")] = 8600,
) -> None:
    """Serve the live page: figures, calls and alerts in a browser. `llmtower up` and `demo` do it themselves.

    Example: `LLMTOWER_WEB__READ_KEY=$(openssl rand -hex 24) llmtower web --host 0.0.0.0`
    """
    need("web", "nicegui")
    from llmtower_dashboards.web.serve import RefusedToBindError, serve

    settings = load_settings(data_dir, role="dashboards")
    clickhouse_address(settings)
    settings = settings.model_copy(update={"web": settings.web.model_copy(update={"host": host, "port": port})})
    try:
        serve(settings, _budgets(settings.alerts.file))
    except RefusedToBindError as error:
        raise LlmtowerError(str(error)) from error


def _budgets(file: Path | None) -> "Budgets":
    """The budgets of the rules; a file that cannot be read costs the page nothing else, the worker says what is wrong with it."""
    from llmtower_dashboards.web.budgets import Budgets
    from llmtower_processors.alerts.load import RulesError, daily_budget, load_rules

    try:
        rules = load_rules(file)
    except RulesError as error:
        log.warning("live page: no budget is shown beside the cost of today. %s", error)
        return Budgets()
    return Budgets(project=daily_budget(rules, ("project",)), app=daily_budget(rules, ("project", "app")))


def bench(
    names: Annotated[list[str] | None, typer.Argument(help="Benchmarks to run; none = all.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Shorter runs, rougher figures.")] = False,
) -> None:
    """Measure what the README's table claims (from a checkout: the benchmarks live in tests/benchmarks).

    Example: `llmtower bench worker rollups --quick`
    """
    import subprocess
    import sys

    if not Path("tests/benchmarks/__main__.py").is_file():
        typer.echo("The benchmarks are in the repository: run this in a checkout of Llmtower, or `make bench`.", err=True)
        raise typer.Exit(1)
    command = [sys.executable, "-m", "tests.benchmarks", *(names or []), *(["--quick"] if quick else [])]
    raise typer.Exit(subprocess.run(command, check=False).returncode)  # noqa: S603 - our own module, words from the user's own shell
