"""Every command, as one literal table; errors end as one sentence and exit code 1, wrong usage as exit code 2."""

import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import typer

from llmtower_processors.cli import (
    alerts,
    dashboards,
    data,
    dataset_erasures,
    datasets,
    drift,
    gateway,
    judge,
    model_snapshots,
    models,
    pipeline,
    prompt_checks,
    prompt_tests,
    prompts,
    reports,
    stack,
    toxicity,
)
from llmtower_processors.errors import LlmtowerError, NotConfigured, root
from llmtower_schemas.model_store import ModelError
from llmtower_schemas.settings import OPTION_PREFIX, unknown_names

COMMANDS: dict[str, Callable[..., Any]] = {
    "up": stack.up,
    "demo": stack.demo,
    "worker": pipeline.worker,
    "web": stack.web,
    "gateway": gateway.gateway,
    "migrate": pipeline.migrate,
    "doctor": pipeline.doctor,
    "query": data.query,
    "audit": data.audit,
    "report": reports.report,
    "bench": stack.bench,
}
"""Commands of one word."""

GROUPS: dict[str, tuple[str, dict[str, Callable[..., Any]]]] = {
    "topics": ("Create or check the Kafka topics.", {"create": pipeline.topics_create, "check": pipeline.topics_check}),
    "dead-letters": (
        "See and re-send what could not be stored.",
        {"list": data.dead_letters_list, "show": data.dead_letters_show, "replay": data.dead_letters_replay},
    ),
    "keys": (
        "Who may send, read and promote.",
        {"create": gateway.keys_create, "list": gateway.keys_list, "revoke": gateway.keys_revoke},
    ),
    "mark": ("Tell Llmtower what you did.", {"deploy": pipeline.mark_deploy}),
    "schema": ("The event contract for other languages.", {"export": data.schema_export}),
    "alerts": (
        "Rules, what fires, who is told.",
        {
            "check": alerts.alerts_check,
            "list": alerts.alerts_list,
            "test-route": alerts.alerts_test_route,
            "silence": alerts.alerts_silence,
            "silences": alerts.alerts_silences,
            "unsilence": alerts.alerts_unsilence,
            "ack": alerts.alerts_ack,
            "backtest": alerts.alerts_backtest,
        },
    ),
    "dashboards": (
        "The panels in Grafana.",
        {
            "build": dashboards.dashboards_build,
            "push": dashboards.dashboards_push,
            "diff": dashboards.dashboards_diff,
            "check": dashboards.dashboards_check,
        },
    ),
    "datasets": (
        "Training and test data out of calls.",
        {
            "build": datasets.datasets_build,
            "list": datasets.datasets_list,
            "show": datasets.datasets_show,
            "diff": datasets.datasets_diff,
            "export": datasets.datasets_export,
            "erase": dataset_erasures.datasets_erase,
        },
    ),
    "judge": (
        "Let a model score answers, within a budget.",
        {"run": judge.judge_run, "rubrics": judge.judge_rubrics, "agreement": judge.judge_agreement},
    ),
    "prompts": (
        "Prompts as versions with labels: reviewed, promoted, rolled back.",
        {
            "push": prompts.prompts_push,
            "sync": prompts.prompts_sync,
            "list": prompts.prompts_list,
            "show": prompts.prompts_show,
            "diff": prompts.prompts_diff,
            "history": prompts.prompts_history,
            "promote": prompts.prompts_promote,
            "rollback": prompts.prompts_rollback,
            "render": prompts.prompts_render,
            "compare": prompt_checks.prompts_compare,
            "gate": prompt_checks.prompts_gate,
            "test": prompt_tests.prompts_test,
        },
    ),
    "models": (
        "Models and fine-tunes: what they are, where they came from, how they do.",
        {
            "register": models.models_register,
            "stage": models.models_stage,
            "list": models.models_list,
            "show": models.models_show,
            "compare": models.models_compare,
            "snapshots": model_snapshots.models_snapshots,
        },
    ),
    "toxicity": (
        "Which model scores toxicity, and its weights.",
        {"fetch": toxicity.toxicity_fetch, "check": toxicity.toxicity_check},
    ),
    "drift": ("What changed in what is asked and answered.", {"compare": drift.drift_compare, "explain": drift.drift_explain}),
    "drift baseline": (
        "Spans of traffic that later traffic is held against.",
        {"set": drift.baseline_set, "list": drift.baseline_list, "delete": drift.baseline_delete},
    ),
}
"""Commands of two words, and of three below a group that stands before."""

_HELP = """The watchtower for LLM applications: exact cost, latency and errors from Kafka to ClickHouse.

First steps: `llmtower demo` shows everything on this machine; `llmtower up` starts an empty stack for your own application.
"""


def build() -> typer.Typer:
    """Assemble the command line."""
    app = typer.Typer(
        name="llmtower",
        help=_HELP,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
        context_settings={"auto_envvar_prefix": OPTION_PREFIX.removesuffix("_")},
    )
    for name, command in COMMANDS.items():
        app.command(name)(command)
    groups = {"": app}
    for name, (text, commands) in GROUPS.items():
        above, _, last = name.rpartition(" ")
        group = groups[name] = typer.Typer(name=last, help=text, no_args_is_help=True)
        for word, command in commands.items():
            group.command(word)(command)
        groups[above].add_typer(group)
    return app


def option_variables() -> Iterator[str]:
    """Give the environment variables of all options that are no settings, as typer makes them of command and parameter."""

    def below(command: Any, prefix: str) -> Iterator[str]:
        for parameter in command.params:
            if parameter.param_type_name == "option" and not parameter.envvar:
                yield f"{prefix}{parameter.name}".upper()
        for name, sub in getattr(command, "commands", {}).items():
            yield from below(sub, f"{prefix}{name.replace('-', '_')}_")

    return below(typer.main.get_command(build()), OPTION_PREFIX)


def _check_variables() -> None:
    if any(name.startswith(OPTION_PREFIX) for name in os.environ) and (unknown := unknown_names(os.environ, option_variables())):
        raise NotConfigured("\n".join(unknown))


def run() -> None:
    """Run it."""
    from aiokafka.errors import KafkaError
    from clickhouse_connect.driver.exceptions import ClickHouseError

    from llmtower_dashboards.grafana.errors import GrafanaError
    from llmtower_processors.local.errors import LocalStackError
    from llmtower_processors.runtime.edges import EdgeError

    try:
        _check_variables()
        build()()
    except NotConfigured as error:
        sys.exit(_say(str(error), 2))
    except (LlmtowerError, LocalStackError, EdgeError, GrafanaError, ModelError) as error:
        sys.exit(_say(str(error), 1))
    except ClickHouseError as error:
        sys.exit(_say(f"ClickHouse failed in the middle ({root(error)}). Run `llmtower doctor`, then this command again.", 1))
    except KafkaError as error:
        sys.exit(_say(f"Kafka failed in the middle ({root(error)}). Run `llmtower doctor`, then this command again.", 1))


def _say(sentence: str, code: int) -> int:
    sys.stderr.write(f"{sentence}\n")
    return code
