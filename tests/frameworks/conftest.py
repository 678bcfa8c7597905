"""These tests run in an environment of their own, with the frameworks and third-party instrumentations (`make test`, Makefile)."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

from tests.standins.openai import openai_server

collect_ignore_glob = [] if find_spec("langchain_core") else ["test_*.py"]
if not find_spec("llama_index"):  # with the oldest versions: requirements/frameworks-oldest.in
    collect_ignore_glob += ["test_llama_index.py", "test_instrumentations.py"]

os.environ |= {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "OPENAI_API_KEY": "k", "LITELLM_LOG": "ERROR", "DO_NOT_TRACK": "1"}


@pytest.fixture(scope="session")
def openai_url() -> Iterator[str]:
    """Base URL of a stand-in for OpenAI."""
    with openai_server() as (_, url):
        yield url
