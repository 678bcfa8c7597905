"""`judge`: let a model score answers, within a budget, and see how far it agrees with people."""

import asyncio
import logging
import secrets
import sys
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.connection import clickhouse_client, kafka_settings, load_settings
from llmtower_processors.errors import NotConfigured

if TYPE_CHECKING:
    import openai

    from llmtower_processors.judge.endpoint import OpenAIEndpoint
    from llmtower_processors.judge.rubric import Rubric
    from llmtower_processors.judge.service import Judge
    from llmtower_schemas.settings import Settings


def judge_run(data_dir: DataDir = DATA_DIR) -> None:
    """Score answers with a model until Ctrl-C: needs LLMTOWER_JUDGE__BASE_URL, spends at most LLMTOWER_JUDGE__BUDGET_USD a day.

    Several may run: one leads, and together they keep the budget. Their own calls are those of app `llmtower-judge`.

    Example: `LLMTOWER_JUDGE__BASE_URL=https://api.openai.com/v1 LLMTOWER_JUDGE__API_KEY=sk-… llmtower judge run`
    """
    settings = load_settings(data_dir, role="writer")
    if not settings.judge.base_url:
        raise NotConfigured("No endpoint is named for the judge: set LLMTOWER_JUDGE__BASE_URL (docs/judge.md).")
    try:
        import openai  # noqa: F401
        from google.rpc import status_pb2  # noqa: F401
    except ModuleNotFoundError as error:
        raise NotConfigured(f"The judge needs {error.name}: pip install 'llmtower[judge]'.") from error
    rubrics = chosen_rubrics(settings)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    logging.getLogger("llmtower_processors").setLevel(logging.INFO)
    asyncio.run(_run(settings, rubrics))


def chosen_rubrics(settings: "Settings") -> "tuple[Rubric, ...]":
    """Give the rubrics that the settings name. Raises RubricError."""
    from llmtower_processors.judge.rubric import load_rubrics

    names = [name.strip() for name in settings.judge.rubrics.split(",") if name.strip()]
    return load_rubrics(names, settings.judge.rubrics_dir)


async def _run(settings: "Settings", rubrics: "tuple[Rubric, ...]") -> None:
    import signal

    import llmtower
    from llmtower_processors.gateway.sink import KafkaSink
    from llmtower_processors.judge.model import APP
    from llmtower_processors.judge.registry import KafkaRegistry
    from llmtower_processors.leader import KafkaElection, Leader, Timer
    from llmtower_processors.runtime.edges import SystemClock

    kafka = kafka_settings(settings)
    # Texts are not stored a second time: they are where the judged call's own are, under its retention and erasure.
    llmtower.configure(app=APP, project=settings.project, bootstrap_servers=kafka.bootstrap_servers, capture="off")
    registry, sink = KafkaRegistry(kafka), KafkaSink(kafka, ack_s=settings.gateway.ack_s)
    try:
        service = build_judge(settings, rubrics, registry=registry, sink=sink)
        group = f"{settings.worker.group_prefix}.judge"
        leader = Leader(KafkaElection(kafka, group), [Timer("judge", settings.judge.period_s, service.fire)], group, SystemClock())
        running = asyncio.create_task(leader.run())
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, running.cancel)
        await asyncio.gather(running, return_exceptions=True)
    finally:
        await sink.close()
        await registry.close()
        llmtower.close()


def build_judge(settings: "Settings", rubrics: "tuple[Rubric, ...]", *, registry: Any, sink: Any) -> "Judge":
    """Put a judge together around the real client, recorded by our own wrapper. Raises NotConfigured, Unreachable."""
    import llmtower
    from llmtower_processors.judge.service import Judge, Parts
    from llmtower_processors.judge.tables import ClickHouseCalls
    from llmtower_processors.runtime.edges import SystemClock

    endpoint = judge_endpoint(settings, llmtower.wrap_openai(judge_client(settings)))
    calls = ClickHouseCalls(clickhouse_client(settings), settings.judge.model)
    return Judge(Parts(settings.judge, rubrics, calls, registry, endpoint, sink, SystemClock(), secrets.token_hex(6)))


def judge_client(settings: "Settings") -> "openai.AsyncOpenAI":
    """Give the client of the endpoint that the settings name."""
    import openai

    given = settings.judge
    key = given.api_key.get_secret_value() or "none"
    return openai.AsyncOpenAI(base_url=given.base_url, api_key=key, timeout=given.timeout_s, max_retries=0)


def judge_endpoint(settings: "Settings", client: "openai.AsyncOpenAI") -> "OpenAIEndpoint":
    """Give what asks the settings' model through a client, priced as the worker prices it."""
    from llmtower.openai import host_of, provider_of
    from llmtower_processors.judge.endpoint import OpenAIEndpoint
    from llmtower_processors.pricing import load_price_book

    return OpenAIEndpoint(
        client,
        model=settings.judge.model,
        provider=provider_of(host_of(client)),
        prices=load_price_book(settings.prices_file),
        most_output_tokens=settings.judge.max_output_tokens,
    )


def judge_rubrics(data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show the rubrics that the judge asks (LLMTOWER_JUDGE__RUBRICS, LLMTOWER_JUDGE__RUBRICS_DIR).

    Example: `llmtower judge rubrics`
    """
    from llmtower_processors.cli.data import show

    rows = [
        (one.name, one.version, one.score, f"{one.threshold:g}", ", ".join(one.apps) or "all", one.uncertain_by)
        for one in chosen_rubrics(load_settings(data_dir))
    ]
    show(("rubric", "version", "score", "bad below", "apps", "uncertain by"), rows, output)


def judge_agreement(
    rubric: Annotated[list[str] | None, typer.Option(help="Only these rubrics; may be given several times.")] = None,
    app: Annotated[list[str] | None, typer.Option(help="Only these apps.")] = None,
    last: Annotated[str, typer.Option(help="Calls of so long: 12h, 7d, 4w.")] = "30d",
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Say how far the judge agrees with people: Cohen's κ (1 = fully, 0 = as chance would) with its 95 % interval.

    Example: `llmtower judge agreement --rubric helpfulness --last 7d`
    """
    from llmtower_processors.cli.data import show
    from llmtower_processors.drift.slices import span
    from llmtower_processors.judge.agreement import agreements
    from llmtower_processors.judge.rubric import PREFIX

    from_ms = time.time_ns() // 1_000_000 - int(span(last).total_seconds() * 1_000)
    names = [f"{PREFIX}{name.removeprefix(PREFIX)}" for name in rubric or ()]
    found = agreements(clickhouse_client(load_settings(data_dir)), from_ms=from_ms, names=names, apps=app or ())
    if not found and output == "table":
        typer.echo(
            "No call of that time has both a judge's score and a person's word. docs/judge.md and docs/feedback.md say how to get them."
        )
        return
    rows = [
        (one.name, one.version, one.pairs, *(None if x is None else round(x, 3) for x in (one.agreed, one.kappa, one.low, one.high)))
        for one in found
    ]
    show(("score", "scorer", "pairs", "agreed", "kappa", "low", "high"), rows, output)
