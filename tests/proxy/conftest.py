"""These tests run in an environment of their own, with LiteLLM's proxy and all that it wants (`make test`, Makefile: `client_tests`)."""

from importlib.util import find_spec

collect_ignore_glob = [] if find_spec("litellm_proxy_extras") else ["test_*.py"]
