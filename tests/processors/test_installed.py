"""What is there is found, also when it was loaded before and has taken its own place."""

import faust  # noqa: F401 - Faust replaces itself by a module without a specification
import pytest

from llmtower_processors.installed import is_installed


@pytest.mark.parametrize(("module", "there"), [("faust", True), ("colorsys", True), ("no_such_module", False)])
def test_is_installed(module: str, there: bool) -> None:
    assert is_installed(module) is there
