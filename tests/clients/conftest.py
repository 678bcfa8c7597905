"""These tests run in environments of their own, with the newest and the oldest client libraries (`make test`, Makefile: `client_tests`)."""

import os
from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("anthropic") else ["test_*.py"]

os.environ["ANONYMIZED_TELEMETRY"] = "false"  # chromadb would call home
