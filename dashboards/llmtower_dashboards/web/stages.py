"""Stages of registered models as the page offers and moves them: each button holds what its reader saw. Pure, but for the move itself."""

import json
from collections.abc import Sequence
from typing import Any, Final

from llmtower_dashboards.ask import Answer
from llmtower_dashboards.panel import Panel
from llmtower_dashboards.web import tables
from llmtower_dashboards.web.look import Look
from llmtower_dashboards.web.shelf import NotMovedError, Shelf, StageStep
from llmtower_dashboards.web.tags import Html, join, tag
from llmtower_schemas.models import STAGES

PANEL: Final = "registry_models"


def registered(panel: Panel, answer: Answer, look: Look) -> Html:
    """The registered models, each with buttons to the stages it is not in."""
    names = [column.name for column in answer.columns]
    model, stage = names.index("model"), names.index("stage")

    def offered(row: Sequence[Any]) -> Html:
        return join(_button(str(row[model]), str(row[stage]), other) for other in STAGES if other != row[stage])

    return tables.table(panel, answer, look, offered)


async def moved(shelf: Shelf, key: str, *, key_id: str) -> str:
    """Do what was clicked; gives what to tell. `key_id`: of the key of the scope promote that the browser showed."""
    try:
        model, stage, seen = json.loads(key)
        step = StageStep(str(model), str(stage), str(seen))
    except (ValueError, TypeError):
        return "That button is of an older page: load it again."
    try:
        return await shelf.stage(step, key_id=key_id)
    except NotMovedError as error:
        return str(error)


def _button(model: str, seen: str, stage: str) -> Html:
    ask = f"Move {model} from stage {seen} to {stage}?"
    return tag("button", f"to {stage}", type="button", data_do="stage", data_key=json.dumps([model, stage, seen]), data_confirm=ask)
