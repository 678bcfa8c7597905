"""Whether a module is there, without loading it."""

import importlib.util
import sys


def is_installed(module: str) -> bool:
    """Also of a module that was loaded already and has replaced itself, as Faust does: `find_spec` raises there."""
    return sys.modules.get(module) is not None or importlib.util.find_spec(module) is not None
