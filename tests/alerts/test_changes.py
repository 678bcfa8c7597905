"""What changed before an alert: whatever the registry can do can be told; a kind without a name would end every round of judging."""

from typing import get_args

import pytest
from tests.alerts.receiver import AT_US, notification

from llmtower_processors.alerts.changes import with_changes
from llmtower_schemas.models import Model
from llmtower_schemas.prompts import Move

ACTIONS = [action for shape in (Move, Model) for action in get_args(shape.model_fields["action"].annotation)]


@pytest.mark.parametrize("action", ["deploy", "prompt", "model", "snapshot", "drift", *ACTIONS])
def test_every_action_of_the_registry_can_be_told(action: str) -> None:
    told = notification("shop").transition.model_copy(update={"coincident": ()})
    rows = [(action, "default", app, "support/answer production 1 → 2", AT_US) for app in ("shop", "other")]
    (change,) = with_changes(told, rows).coincident
    assert (change.kind, change.what) == (action, "support/answer production 1 → 2")
