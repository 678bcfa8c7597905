"""`worker`, `migrate`, `topics`, `doctor`, `mark`: the pipeline's own commands."""

import asyncio
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, DryRun
from llmtower_processors.connection import clickhouse_client, kafka_settings, load_settings
from llmtower_processors.errors import NotConfigured
from llmtower_processors.roles import PIPELINE

if TYPE_CHECKING:
    from llmtower_processors.gateway.collector import CollectorTopics
    from llmtower_schemas.settings import Settings


def worker(
    data_dir: DataDir = DATA_DIR,
    processors: Annotated[
        str, typer.Option(envvar="LLMTOWER_WORKER__PROCESSORS", help="Comma-separated names of the processors to run; empty = all.")
    ] = "",
    resume: Annotated[
        bool, typer.Option("--resume", help="Try partitions again that a processor had paused because of its own failure.")
    ] = False,
) -> None:
    """Run processors: read Kafka, compute, store in ClickHouse exactly once.

    With LLMTOWER_COLLECTOR__TOPICS=otlp_spans,otlp_logs it also follows what an OpenTelemetry Collector's kafka exporter writes.

    Example: `llmtower worker --processors calls,signals`
    """
    from llmtower_processors.ending import PATIENCE_S, busy_threads, end_without
    from llmtower_processors.worker import run_worker

    settings = load_settings(data_dir, role="writer")
    kafka_settings(settings)
    names = tuple(name.strip() for name in processors.split(",") if name.strip())
    code = run_worker(settings, names, resume=resume, beside=_beside(settings, names))
    end_without(busy_threads(PATIENCE_S), code)
    raise typer.Exit(code)


def _beside(settings: "Settings", names: tuple[str, ...]) -> "Iterator[CollectorTopics]":
    """What the worker of the pipeline runs besides: it follows the topics of an OpenTelemetry Collector where there are any."""
    topics = tuple(name.strip() for name in settings.collector.topics.split(",") if name.strip())
    if not topics or (names and not set(names) & set(PIPELINE)):
        return
    try:
        from llmtower_processors.gateway.collector import CollectorTopics
        from llmtower_processors.gateway.sink import KafkaSink
    except ModuleNotFoundError as error:
        needs = f"Following a Collector's topics (LLMTOWER_COLLECTOR__TOPICS) needs {error.name}"
        raise NotConfigured(f"{needs}: pip install 'llmtower[gateway]'.") from error
    from llmtower_processors.cli.policy import content_writer

    kafka, group = kafka_settings(settings), f"{settings.worker.group_prefix}.collector"
    sink = KafkaSink(kafka, ack_s=settings.gateway.ack_s)
    yield CollectorTopics(kafka, group, topics, sink=sink, project=settings.collector.project, write=content_writer(settings))


def migrate(data_dir: DataDir = DATA_DIR, dry_run: DryRun = False) -> None:
    """Create or upgrade the tables and set retention as the settings say. Running it twice changes nothing.

    Example: `llmtower migrate --dry-run`
    """
    from llmtower_processors import migrate as migration

    settings = load_settings(data_dir, role="writer")
    if dry_run:
        exists = migration.has_database(clickhouse_client(settings, with_database=False), settings.clickhouse.database)
        found = migration.plan(clickhouse_client(settings), settings.retention) if exists else migration.plan_anew()
        for pending in found.pending:
            typer.echo(f"-- {pending.number:04} {pending.name}\n{pending.sql}")
        for statement in found.retention:
            typer.echo(f"{statement};")
        typer.echo(f"-- {len(found.pending)} migration(s) pending, {len(found.retention)} retention change(s)")
        return
    migration.create_database(clickhouse_client(settings, with_database=False), settings.clickhouse.database)
    done = migration.migrate(clickhouse_client(settings), settings.retention, typer.echo)
    if not done.pending and not done.retention:
        typer.echo("The tables are current.")


def topics_create(data_dir: DataDir = DATA_DIR, dry_run: DryRun = False) -> None:
    """Create the Kafka topics that are missing; existing ones are left alone.

    Example: `llmtower topics create --dry-run`
    """
    from llmtower_processors.topics import check_topics, create_topics

    settings = load_settings(data_dir)
    kafka = kafka_settings(settings)
    if dry_run:
        missing = [found.topic for found in asyncio.run(check_topics(kafka, settings.retention)) if found.found is None]
        typer.echo("would create: " + (", ".join(missing) or "nothing"))
        return
    created = asyncio.run(create_topics(kafka, settings.retention))
    typer.echo("created: " + (", ".join(created) or "nothing, all are there"))


def topics_check(data_dir: DataDir = DATA_DIR) -> None:
    """Compare the topics with what they should be; exit code 1 when one differs.

    Example: `llmtower topics check`
    """
    from llmtower_processors.topics import check_topics

    settings = load_settings(data_dir)
    found = asyncio.run(check_topics(kafka_settings(settings), settings.retention))
    for difference in found:
        typer.echo(str(difference))
    typer.echo(f"{len(found)} difference(s)")
    raise typer.Exit(1 if found else 0)


def doctor(data_dir: DataDir = DATA_DIR) -> None:
    """Check dependencies, connections, settings and clocks; each problem comes with its remedy. Exit code 1 on a problem.

    Example: `llmtower doctor --data-dir .llmtower`
    """
    from llmtower_processors.doctor import examine

    problems = 0
    for finding in examine(data_dir):
        problems += not finding.ok
        mark = typer.style("ok  ", fg="green") if finding.ok else typer.style("FAIL", fg="red", bold=True)
        typer.echo(f"{mark} {finding.subject}: {finding.sentence}")
        if finding.remedy:
            typer.echo(f"     do: {finding.remedy}")
    typer.echo("All is well." if not problems else f"{problems} problem(s).")
    raise typer.Exit(1 if problems else 0)


def mark_deploy(
    app: Annotated[str, typer.Option(envvar="LLMTOWER_APP", help="Application that was deployed.")],
    version: Annotated[str, typer.Option(envvar="LLMTOWER_RELEASE", help="Version that is live now.")],
    environment: Annotated[str, typer.Option(envvar="LLMTOWER_ENVIRONMENT", help="Environment it is live in.")] = "production",
    project: Annotated[str, typer.Option(envvar="LLMTOWER_PROJECT", help="Project of the application.")] = "default",
    note: Annotated[str, typer.Option(help="A word on what changed.")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Record that a version of an application went live, so that charts can show it.

    Example: `llmtower mark deploy --app support-bot --version 1.8.0`
    """
    import llmtower
    from llmtower.ids import new_id

    kafka = kafka_settings(load_settings(data_dir))
    llmtower.configure(app=app, project=project, environment=environment, release=version, bootstrap_servers=kafka.bootstrap_servers)
    llmtower.record(
        llmtower.DeployEvent(
            app=app,
            project=project,
            environment=environment,
            release=version,
            deploy_id=new_id(),
            at_ns=time.time_ns(),
            version=version,
            note=note,
        )
    )
    report = llmtower.flush(10.0)
    llmtower.close()
    if not report.complete:
        typer.echo(
            f"Kafka at {kafka.bootstrap_servers} did not take the mark within 10 s; it is spooled and sent with the next start.", err=True
        )
        raise typer.Exit(1)
    typer.echo(f"marked: {app} {version} in {environment}")
