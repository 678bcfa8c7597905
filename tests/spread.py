"""How `pytest -n` spreads the suite over processes: by file, so that a module's fixtures stay shared, and each run of faults alone."""

from typing import TYPE_CHECKING

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from xdist.remote import Producer

SINGLY = "tests/faults/test_faults.py"
LONG_FIRST = ("tests/faults/test_outages.py", "tests/browser", "tests/integration")
"""Begun first; then everything else; the runs of `SINGLY` last: small pieces that even out the end."""


class Spread(LoadScopeScheduling):  # type: ignore[misc]  # xdist is untyped to mypy
    """Each file is a piece of work of its own; so is each test of `SINGLY`."""

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return nodeid if path == SINGLY else path


def order(nodeid: str) -> int:
    """Give the place of a test among the pieces of work."""
    first = [place for place, path in enumerate(LONG_FIRST) if nodeid.startswith(path)]
    return first[0] if first else len(LONG_FIRST) + nodeid.startswith(SINGLY)


def make_scheduler(config: pytest.Config, log: "Producer") -> Spread:
    """Give the scheduler of a run with `-n`; pieces keep the order of `order`."""
    config.option.loadscopereorder = False
    return Spread(config, log)
