"""`alerts`: check rules, see what fires, try routes, silence and acknowledge, and play a rule over the past."""

import asyncio
import getpass
import os
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir, Format
from llmtower_processors.connection import clickhouse_client, kafka_settings, load_settings

RulesFile = Annotated[
    Path | None,
    typer.Option("--file", envvar="LLMTOWER_ALERTS__FILE", help="YAML of rules and routes [default: the rules shipped with Llmtower]."),
]
Groups = Annotated[list[str] | None, typer.Option("--group", help="Only groups with this value, name=value; may be given several times.")]
Whole = Annotated[str, typer.Argument(metavar="RULE", help="Name of a rule; * and ? stand for any text.")]


def alerts_check(
    file: RulesFile = None,
    ask: Annotated[bool, typer.Option("--ask", help="Also ask ClickHouse every question once: finds faults in SQL of your own.")] = False,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Read a file of rules and say of every fault in which line and column it is. Exit code 1 when there is one.

    Broken YAML, names that are not known, levels that no value passes, windows that reach back further than rows are kept, routes and
    panels that are not there, secrets in addresses; with `--ask` SQL that ClickHouse refuses.

    Example: `llmtower alerts check --file alerts.yaml --ask`
    """
    from llmtower_processors.cli.alert_checks import run_check

    raise typer.Exit(run_check(load_settings(data_dir), file, ask=ask))


def alerts_list(
    past: Annotated[int, typer.Option(min=0, max=24 * 31, help="Also what was over within so many hours.")] = 0,
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Show what is pending or firing, since when, and which routes have not taken it yet.

    Example: `llmtower alerts list --past 24`
    """
    from llmtower_processors.alerts.listing import alerts
    from llmtower_processors.alerts.message import amount
    from llmtower_processors.cli.data import show

    found = alerts(clickhouse_client(load_settings(data_dir)), past_hours=past)
    if output == "json":
        show(list(asdict(found[0])) if found else (), [tuple(asdict(one).values()) for one in found], output)
        return
    if not found:
        typer.echo("Nothing is pending or firing." + ("" if past else " `--past 24` shows what was."))
        return

    rows = [
        (
            *(one.state, one.severity, one.rule, one.group, amount(one.value, one.unit), amount(one.threshold, one.unit)),
            *(f"{one.since:%Y-%m-%d %H:%M:%S} UTC", one.note),
        )
        for one in found
    ]
    show(("state", "severity", "rule", "group", "value", "level", "since", "note"), rows, output)


def alerts_test_route(
    routes: Annotated[list[str] | None, typer.Argument(metavar="[ROUTE]...", help="Routes to try; none = all.")] = None,
    severity: Annotated[Literal["warning", "critical"], typer.Option(help="As grave as this.")] = "warning",
    file: RulesFile = None,
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Send a marked test alert and its end through routes, as real alerts go. Exit code 1 when one is not taken.

    Secrets come from the environment variables that the file names (`url_env`, `secret_env`); without a file the route `default` is
    LLMTOWER_ALERTS__WEBHOOK_URL.

    Example: `llmtower alerts test-route pager --severity critical --file alerts.yaml`
    """
    from llmtower_processors.alerts.load import load_rules
    from llmtower_processors.alerts.send.build import build_senders
    from llmtower_processors.alerts.trial import example, try_route
    from llmtower_processors.errors import NotConfigured

    settings = load_settings(data_dir)
    senders = build_senders(load_rules(file).routes, settings.alerts, os.environ)
    unknown = [name for name in routes or () if name not in senders]
    if unknown or not senders:
        raise NotConfigured(
            f"There is no route {unknown[0]}; there are {', '.join(senders) or 'none'}."
            if unknown
            else "There is no route: set LLMTOWER_ALERTS__WEBHOOK_URL, or name a file with routes by --file or LLMTOWER_ALERTS__FILE."
        )
    failed = 0
    for name in routes or senders:
        tried = asyncio.run(try_route(name, senders[name], example(name, severity, time.time_ns() // 1_000, settings.alerts.page_url)))
        failed += not tried.ok
        typer.echo(f"{'ok  ' if tried.ok else 'FAIL'} {name}: {tried.sentence}")
    raise typer.Exit(1 if failed else 0)


def alerts_backtest(
    rule: Annotated[str, typer.Option(help="Name of the rule.")],
    last: Annotated[str, typer.Option(help="Span of time up to now: 12h, 7d, 30d.")] = "30d",
    labels: Annotated[
        Path | None,
        typer.Option(help="YAML list of incidents that there were: {from: …, to: …, group: {app: …}}: gives precision, recall."),
    ] = None,
    false_alarms_per_week: Annotated[
        float | None, typer.Option(min=0, help="Suggest a level with at most so many false alarms (without labels: alarms) a week.")
    ] = None,
    file: RulesFile = None,
    data_dir: DataDir = DATA_DIR,
    output: Format = "table",
) -> None:
    """Play a rule over the past: when it would have fired, for how long, how right it would have been, and which level would suit.

    Example: `llmtower alerts backtest --rule latency_p95 --last 30d --labels incidents.yaml --false-alarms-per-week 0.5`
    """
    from llmtower_processors.cli.backtests import run_backtest

    settings = load_settings(data_dir)
    seconds = _seconds(last, "--last")
    run_backtest(settings, name=rule, last_s=seconds, labels_file=labels, per_week=false_alarms_per_week, file=file, output=output)


def alerts_silence(
    rule: Whole,
    group: Groups = None,
    lasting: Annotated[str, typer.Option("--for", help="For so long from now: 30m, 2h, 1d.")] = "2h",
    comment: Annotated[str, typer.Option(help="Why.")] = "",
    by: Annotated[str, typer.Option(help="Who [default: your user name].")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Tell nobody of these alerts for a while; they are judged and shown all the same.

    Example: `llmtower alerts silence "latency_*" --group app=support-bot --for 2h --comment "load test"`
    """
    _publish("silence", rule, group or [], lasting, comment, by, data_dir)


def alerts_ack(
    rule: Whole,
    group: Groups = None,
    lasting: Annotated[str, typer.Option("--for", help="At most for so long: 30m, 2h, 1d.")] = "1d",
    comment: Annotated[str, typer.Option(help="What you are doing about it.")] = "",
    by: Annotated[str, typer.Option(help="Who [default: your user name].")] = "",
    data_dir: DataDir = DATA_DIR,
) -> None:
    """Say that you are at it: no reminders of the present incident; that it gets worse and that it ends is told.

    Example: `llmtower alerts ack error_rate --group app=support-bot --comment "rolling back"`
    """
    _publish("acknowledge", rule, group or [], lasting, comment, by, data_dir)


def alerts_unsilence(
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="As `llmtower alerts silences` shows it.")], data_dir: DataDir = DATA_DIR
) -> None:
    """End a silence or an acknowledgement now.

    Example: `llmtower alerts unsilence 3f2a9c01`
    """
    from llmtower_processors.alerts.silences import end_silence

    asyncio.run(end_silence(kafka_settings(load_settings(data_dir)), silence_id))
    typer.echo(f"{silence_id} is over.")


def alerts_silences(data_dir: DataDir = DATA_DIR, output: Format = "table") -> None:
    """Show what is silenced or acknowledged now.

    Example: `llmtower alerts silences`
    """
    from llmtower_processors.alerts.listing import silences
    from llmtower_processors.cli.data import show

    rows = silences(clickhouse_client(load_settings(data_dir)))
    show(("id", "kind", "rule", "group", "from", "until", "by", "comment"), rows, output)


def _publish(
    kind: Literal["silence", "acknowledge"], rule: str, group: list[str], lasting: str, comment: str, by: str, data_dir: Path
) -> None:
    from datetime import UTC, datetime

    from llmtower_processors.alerts.silences import publish_silence
    from llmtower_schemas.silences import Silence

    pairs = dict(part.partition("=")[::2] for part in group)
    if wrong := [part for part in group if "=" not in part]:
        raise typer.BadParameter(f"{wrong[0]!r} is no group; write name=value, as in app=support-bot", param_hint="--group")
    now = time.time_ns() // 1_000
    silence = Silence(
        silence_id=os.urandom(4).hex(),
        kind=kind,
        rule=rule,
        group=pairs,
        starts_at_us=now,
        ends_at_us=now + round(_seconds(lasting) * 1e6),
        by=by or getpass.getuser(),
        comment=comment,
    )
    asyncio.run(publish_silence(kafka_settings(load_settings(data_dir)), silence))
    until = datetime.fromtimestamp(silence.ends_at_us / 1e6, UTC)
    word = "silenced" if kind == "silence" else "acknowledged"
    typer.echo(
        f"{silence.silence_id}: {rule} is {word} until {until:%Y-%m-%d %H:%M} UTC; `llmtower alerts unsilence {silence.silence_id}` ends it"
    )


def _seconds(text: str, option: str = "--for") -> float:
    from llmtower_processors.alerts.durations import seconds

    try:
        found = float(seconds(text))
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error
    if not 0 < found <= 366 * 86_400:
        raise typer.BadParameter(f"{text!r} is not between 1s and 366d", param_hint=option)
    return found
