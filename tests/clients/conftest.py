"""These tests run in environments of their own, with the newest and the oldest client libraries (`make test`, Makefile: `client_tests`)."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("anthropic") else ["test_*.py"]
