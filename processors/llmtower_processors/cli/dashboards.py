"""`dashboards`: the panels as Grafana's dashboards, in files or in a running Grafana."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from llmtower_processors.cli.options import DATA_DIR, DataDir
from llmtower_processors.connection import load_settings
from llmtower_processors.errors import LlmtowerError, NotConfigured
from llmtower_schemas.settings import AlertSettings

if TYPE_CHECKING:
    from llmtower_dashboards.grafana.client import HttpGrafana
    from llmtower_dashboards.grafana.resources import Change, Reader, Resource
    from llmtower_processors.alerts.grafana import Compiled

OUT = Path("grafana")
NO_READERS = frozenset({"writer", "content"})
"""Users of ClickHouse, as `llmtower up` and docker-compose.yml call them, that are not for Grafana."""
Alerts = Annotated[
    bool,
    typer.Option("--alerts", help="Also the rules marked `grafana: true` (LLMTOWER_ALERTS__FILE), their routes and a heartbeat rule."),
]
Out = Annotated[Path, typer.Option("--out", help="Folder to mount as Grafana's provisioning folder.")]


def dashboards_build(out: Out = OUT, alerts: Alerts = False, data_dir: DataDir = DATA_DIR) -> None:
    """Write dashboards and provisioning files for a Grafana that reads them when it starts.

    ClickHouse as Grafana reaches it: LLMTOWER_GRAFANA__CLICKHOUSE_HOST and _PORT, else its address here. Grafana takes the password of
    its dashboards reader from CLICKHOUSE_DASHBOARDS_PASSWORD in its own environment; it stands in no file.

    Example: `llmtower dashboards build --out grafana`
    """
    made = _files(data_dir, alerts)
    for name, text in made.items():
        path = out / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            raise LlmtowerError(f"{path} cannot be written ({error.strerror}): name another folder with --out.") from error
    typer.echo(f"{len(made)} files in {out}: mount it as /etc/grafana/provisioning.")


def dashboards_check(out: Out = OUT, alerts: Alerts = False, data_dir: DataDir = DATA_DIR) -> None:
    """Say whether the files are as `build` would write them now; exit code 1 when one is missing or other.

    Takes the same variables as `build`: LLMTOWER_GRAFANA__CLICKHOUSE_HOST and _PORT, with --alerts LLMTOWER_ALERTS__FILE.

    Example: `llmtower dashboards check --out grafana`
    """
    again = f"llmtower dashboards build{' --alerts' if alerts else ''} --out {out}"
    made = {out / name: text for name, text in _files(data_dir, alerts).items()}
    wrong = [path for path, text in made.items() if not path.is_file() or path.read_text("utf-8") != text]
    for path in wrong:
        typer.echo(f"{path} is {'other' if path.exists() else 'missing'}: run `{again}`.")
    if wrong:
        raise typer.Exit(1)
    typer.echo(f"All files in {out} are current.")


def dashboards_diff(alerts: Alerts = False, data_dir: DataDir = DATA_DIR) -> None:
    """Show what `push` would change in Grafana, and change nothing; exit code 1 when something would.

    Reads LLMTOWER_GRAFANA__URL and LLMTOWER_GRAFANA__TOKEN.

    Example: `llmtower dashboards diff`
    """
    from llmtower_dashboards.grafana.push import plan
    from llmtower_dashboards.grafana.resources import resources

    changes = plan(_grafana(data_dir), resources(_reader(data_dir), _alerts(data_dir) if alerts else ()))
    _show(changes)
    if any(change.verdict != "same" for change in changes):
        raise typer.Exit(1)


def dashboards_push(alerts: Alerts = False, data_dir: DataDir = DATA_DIR) -> None:
    """Bring folder, data source and dashboards into a running Grafana, with --alerts also rules; a second push changes nothing.

    Reads LLMTOWER_GRAFANA__URL and LLMTOWER_GRAFANA__TOKEN (a service account with the role Admin), and LLMTOWER_GRAFANA__CLICKHOUSE_HOST
    and _PORT where Grafana reaches ClickHouse by another address than this machine.

    A rule that Grafana tells of is judged by the worker as a shadow: shown, and nobody is told twice.

    Example: `LLMTOWER_GRAFANA__URL=http://127.0.0.1:3000 llmtower dashboards push --alerts`
    """
    from llmtower_dashboards.grafana.push import push
    from llmtower_dashboards.grafana.resources import resources

    reader = _reader(data_dir)
    changes = push(_grafana(data_dir), resources(reader, _alerts(data_dir) if alerts else ()))
    _show(changes)
    if not reader.password and any(change.resource.kind == "data source" and change.verdict != "same" for change in changes):
        typer.echo(
            f"Grafana asks {reader.host}:{reader.port} as {reader.user} without a password: set LLMTOWER_CLICKHOUSE__HOST, __USER and"
            " __PASSWORD of the reading user where that is not right, and push again."
        )


def _files(data_dir: Path, alerts: bool) -> dict[str, str]:
    from llmtower_dashboards.grafana.files import files

    made = files(_reader(data_dir))
    return made | ({"alerting/llmtower.yaml": _alerts_file(data_dir)} if alerts else {})


def _alerts_file(data_dir: Path) -> str:
    """Addresses that are secrets stand as variables of Grafana's environment."""
    from llmtower_dashboards.grafana.dashboards import FOLDER
    from llmtower_processors.alerts.grafana_file import provisioning_file
    from llmtower_processors.alerts.load import load_rules

    settings = load_settings(data_dir, "dashboards").alerts
    routes = load_rules(settings.file).routes.items()
    named = {name: route.url or f"${{{route.url_env or 'LLMTOWER_ALERTS__WEBHOOK_URL'}}}" for name, route in routes}
    return provisioning_file(_compiled(settings, {"default": "${LLMTOWER_ALERTS__WEBHOOK_URL}"} | named), FOLDER)


def _alerts(data_dir: Path) -> "list[Resource]":
    """Give what alerting adds; addresses of routes come from the environment."""
    from llmtower_dashboards.grafana.resources import Resource
    from llmtower_processors.alerts.load import load_rules
    from llmtower_processors.alerts.send.build import addresses

    settings = load_settings(data_dir, "dashboards").alerts
    routes = load_rules(settings.file).routes
    known = addresses(routes, settings, os.environ)
    for name, route in routes.items():
        if route.kind != "apprise" and not known[name]:
            raise NotConfigured(
                f"Route {name} has no address: set {route.url_env} in the environment."
                if route.url_env
                else f"Route {name} has no address: give it url or url_env."
            )
    return [Resource(one.kind, one.name, one.body) for one in _compiled(settings, known)]


def _compiled(settings: AlertSettings, addresses: Mapping[str, str]) -> "list[Compiled]":
    from llmtower_dashboards.grafana.dashboards import FOLDER_UID, panel_places
    from llmtower_dashboards.grafana.query import DATASOURCE_UID, PLUGIN
    from llmtower_processors.alerts.grafana import Stage, grafana_alerts
    from llmtower_processors.alerts.grafana_words import Shown
    from llmtower_processors.alerts.load import load_rules
    from llmtower_processors.alerts.send.build import routes_of

    rules = load_rules(settings.file)
    routes = routes_of(rules.routes, settings)
    chosen = [rule.name for rule in rules.active() if rule.grafana]
    typer.echo(f"Grafana tells of {', '.join(chosen) or 'no rule (mark some with `grafana: true`)'}, and when this system is silent.")
    for name in (name for name, route in routes.items() if route.kind == "apprise"):
        typer.echo(f"route {name} is left out: make a contact point named llmtower-{name} in Grafana by hand")
    panels = {name: Shown(*place) for name, place in panel_places().items()}
    return grafana_alerts(rules.rules, routes, addresses, Stage(FOLDER_UID, DATASOURCE_UID, PLUGIN, panels))


def _reader(data_dir: Path) -> "Reader":
    from llmtower_dashboards.grafana.resources import Reader

    settings = load_settings(data_dir, "dashboards")
    clickhouse, seen = settings.clickhouse, settings.grafana
    if clickhouse.user in NO_READERS:
        raise NotConfigured(
            f"Grafana would read ClickHouse as {clickhouse.user}, who may read prompts and answers: set"
            " LLMTOWER_CLICKHOUSE__USER=dashboards and LLMTOWER_CLICKHOUSE__PASSWORD to that user's password."
        )
    return Reader(
        host=seen.clickhouse_host or clickhouse.host or "clickhouse",
        port=seen.clickhouse_port or clickhouse.port,
        database=clickhouse.database,
        user="dashboards" if clickhouse.user == "default" else clickhouse.user,
        password=clickhouse.password.get_secret_value(),
        secure=clickhouse.secure,
    )


def _grafana(data_dir: Path) -> "HttpGrafana":
    from llmtower_dashboards.grafana.client import HttpGrafana
    from llmtower_dashboards.grafana.errors import GrafanaError

    settings = load_settings(data_dir, "dashboards").grafana
    if not settings.url:
        raise NotConfigured(
            "No Grafana: set LLMTOWER_GRAFANA__URL (and LLMTOWER_GRAFANA__TOKEN), or write files with `llmtower dashboards build`."
        )
    try:
        grafana = HttpGrafana(settings.url, settings.token.get_secret_value())
    except GrafanaError as error:
        raise NotConfigured(str(error)) from error
    grafana.greet()
    return grafana


def _show(changes: "list[Change]") -> None:
    words = {"create": "new", "update": "changed", "same": "same"}
    for change in changes:
        where = f": {', '.join(change.paths[:5])}{' …' if len(change.paths) > 5 else ''}" if change.paths else ""
        note = f" ({change.note})" if change.note else ""
        typer.echo(f"{words[change.verdict]:8} {change.resource.kind} {change.resource.name}{where}{note}")
