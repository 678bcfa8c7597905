"""What changed before an alert: whatever the registry can do is told under its name, and what matters most before the rest."""

from typing import get_args

import pytest
from tests.alerts.receiver import AT_US, notification

from llmtower_processors.alerts.changes import MOST, with_changes
from llmtower_schemas.alerts import ChangeKind
from llmtower_schemas.models import Model
from llmtower_schemas.prompts import Move

ACTIONS = [action for shape in (Move, Model) for action in get_args(shape.model_fields["action"].annotation)]


def test_what_the_registry_does_is_among_the_kinds_that_are_written() -> None:
    assert set(ACTIONS) <= set(get_args(ChangeKind))


@pytest.mark.parametrize("action", get_args(ChangeKind))
def test_every_kind_of_change_can_be_told(action: str) -> None:
    told = notification("shop").transition.model_copy(update={"coincident": ()})
    rows = [(action, "default", app, "support/answer production 1 → 2", AT_US) for app in ("shop", "other")]
    (change,) = with_changes(told, rows).coincident
    assert (change.kind, change.what) == (action, "support/answer production 1 → 2")


def test_drift_of_many_segments_does_not_displace_the_deploy_before_it() -> None:
    told = notification("shop").transition.model_copy(update={"coincident": ()})
    rows = [("drift", "default", "shop", f"of embedding ({number})", AT_US - number) for number in range(MOST + 1)]
    changes = with_changes(told, [*rows, ("deploy", "default", "shop", "shop 1.4.2", AT_US - 5_400_000_000)]).coincident
    assert [change.kind for change in changes] == ["deploy", *["drift"] * (MOST - 1)]
    assert [change.what for change in changes[1:]] == [f"of embedding ({number})" for number in range(MOST - 1)], "the latest first"
