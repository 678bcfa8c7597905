# `make` lists the targets. Everything happens in .venv; nothing outside the checkout is touched except download caches.
SHELL := /bin/sh
.DEFAULT_GOAL := help
# Compiled modules are kept in .venv and the checkout: without them each of the many processes compiles 2 MB of prices again.
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help setup browser clients peers demo test bench faults lock clean

# 3.11 first: the version the requirements are locked with.
CANDIDATES := python3.11 python3.12 python3.13 python3.14 python3 python
PYTHON ?= $(shell for p in $(CANDIDATES); do "$$p" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$p" && break; done)
UV_VERSION := 0.13.9
BIN := .venv/bin
STAMP := .venv/.setup-done
RECORDED := .venv/.kafka-start-recorded
LOCKED := --require-hashes -r requirements/dev.txt
LOCKS := requirements/dev.txt processors/llmtower_processors/local/kafka.lock.toml

# Processes of `make test`: the tests mostly wait for what they have started, so more than cores (2 in CI).
JOBS ?= 3

# Arguments for the commands behind bench, faults and demo: `make faults FAULTS="--runs 20 --seed 7"`.
BENCH ?=
FAULTS ?= --runs 200
DEMO ?=

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## /  make \1\t/p' $(MAKEFILE_LIST) | expand -t 16

setup: $(STAMP) $(RECORDED) ## make .venv with everything in it and fetch Kafka (quick when nothing changed)

$(STAMP): pyproject.toml $(LOCKS)
	@test -n "$(PYTHON)" || { echo "Python 3.11 or newer with venv and pip is needed (Debian: apt install python3-venv); or name one: make PYTHON=/path/to/python"; exit 1; }
	@test -x $(BIN)/python || { echo "making .venv with $(PYTHON)"; "$(PYTHON)" -m venv .venv; }
	@echo "installing the locked packages into .venv (the first time about 340 MB to download, then 44 MB of Kafka)"; $(uv_like_pip); \
	{ $(BIN)/python -m pip install -q "uv==$(UV_VERSION)" && $(BIN)/uv pip install --python $(BIN)/python $(LOCKED); } || \
	{ echo "uv could not do it; going on with pip (slower)"; $(BIN)/python -m pip install --progress-bar on $(LOCKED); }
	@$(BIN)/python -m pip install -q --no-deps --no-build-isolation -e .
	@$(BIN)/python -c 'from llmtower_processors.local.kafka import kafka_runtime; kafka_runtime()'
	@touch $@

# Halves Kafka's start; left out of a first `make demo`, which should show something soon.
$(RECORDED): $(STAMP)
	@$(BIN)/python -c 'from llmtower_processors.local.kafka import kafka_runtime, record_start; record_start(kafka_runtime())'
	@touch $@

# uv does not read pip's configuration: hand over index, certificates and local wheels, whatever file or variable they are set in.
define uv_like_pip
setting() { $(BIN)/python -m pip config list 2>/dev/null | sed -n "s/^[^=]*\.$$1='\(.*\)'\$$/\1/p" | tail -n 1 | sed 's/\\n/ /g'; }; \
hand() { value=$$(setting "$$2"); eval "set_already=\$${$$1:-}"; if [ -n "$$value" ] && [ -z "$$set_already" ]; then export "$$1=$$value"; fi; }; \
hand UV_DEFAULT_INDEX index-url; hand UV_INDEX extra-index-url; hand UV_INSECURE_HOST trusted-host; hand UV_FIND_LINKS find-links; \
hand SSL_CERT_FILE cert; hand HTTPS_PROXY proxy; export UV_SYSTEM_CERTS=true UV_INDEX_STRATEGY=unsafe-best-match
endef

demo: $(STAMP) ## run the demonstration: real Kafka, engine, worker, live figures (DEMO_SECONDS=60 ends it)
	@echo "loading the demo"
	@$(BIN)/llmtower demo $(DEMO)

# The live page is tested in a real browser; without one those tests are skipped and say so.
browser:
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || command -v google-chrome >/dev/null || \
	{ [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && echo "installing Chromium (apt-get, about 120 MB)" && \
	  apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends chromium fonts-dejavu-core >/dev/null; } || \
	echo "no Chromium here, and not root: the tests of the live page will be skipped (Debian: apt-get install chromium)"

# What the benchmark of drift is held against.
peers: $(STAMP) ## install what benchmarks compare with into .venv-peers (about 700 MB)
	@test -x .venv-peers/bin/python || $(BIN)/python -m venv --without-pip .venv-peers
	@$(uv_like_pip); $(BIN)/uv pip sync -q --python .venv-peers/bin/python --require-hashes requirements/peers.txt

# The wrappers are tested with the newest clients and with the oldest that pyproject allows, each set in an environment of its own; so is
# the push to Grafana, whose client brings an urllib3 that is not everybody's; so are the models (PyTorch, Detoxify, sentence-transformers);
# so is LiteLLM's proxy, which wants a hundred packages of its own, most of them pinned to one version.
CLIENTS := newest oldest grafana frameworks frameworks-oldest proxy ml
TESTS_newest := tests/clients
TESTS_oldest := tests/clients
TESTS_grafana := tests/grafana
TESTS_frameworks := tests/frameworks
TESTS_frameworks-oldest := tests/frameworks
TESTS_proxy := tests/proxy
TESTS_ml := tests/ml

clients: $(CLIENTS:%=.venv-%/.setup-done)

.venv-%/.setup-done: requirements/clients-%.txt | $(STAMP)
	@echo "installing the $* client libraries into .venv-$* (the first time about $(if $(filter ml,$*),3 GB,250 MB) to download)"
	@test -x .venv-$*/bin/python || $(BIN)/python -m venv --without-pip .venv-$*
	@$(uv_like_pip); $(BIN)/uv pip sync -q --python .venv-$*/bin/python --require-hashes $< || \
	{ echo "uv could not do it; going on with pip (slower)"; $(BIN)/python -m pip --python .venv-$*/bin/python install -q --require-hashes -r $<; }
	@touch $@

# Run as `$(call client_tests,newest)`: no fixtures of the suite's own environment. What the clients themselves deprecate or
# leave open is no failure of ours.
client_tests = PYTHONPATH=dashboards:processors:producers:schemas .venv-$(1)/bin/python -m coverage run -p -m pytest -p llmtower.testing \
	-W ignore::DeprecationWarning -W ignore::ResourceWarning \
	--confcutdir=$(TESTS_$(1)) -o cache_dir=.venv-$(1)/.pytest_cache -o junit_suite_name=$(1) --junitxml=build/clients-$(1).xml $(TESTS_$(1))

test: setup browser clients ## lint, types and all tests
	@mkdir -p build; rm -f build/*.xml; status=0; \
	for step in "ruff check ." "ruff format --check ." mypy; do echo "$$step"; $(BIN)/$$step || status=1; done; \
	lint=$$status; echo "pytest in $(JOBS) processes"; $(BIN)/coverage erase; \
	$(BIN)/coverage run -m pytest -n $(JOBS) --junitxml=build/tests.xml || status=1; \
	$(foreach set,$(CLIENTS),echo "pytest: the $(set) client libraries"; $(call client_tests,$(set)) || status=1;) \
	$(BIN)/coverage combine -q; \
	$(BIN)/coverage report > build/coverage.txt; echo "coverage: $$(tail -n 1 build/coverage.txt) (build/coverage.txt)"; \
	if [ $$lint != 0 ]; then echo "FAILED: lint or types, see above the tests"; fi; \
	$(BIN)/python -c "$$counts" build/tests.xml $(CLIENTS:%=build/clients-%.xml) || status=1; exit $$status

# The closing line: counts as pytest reports them, errors counted as failures; what was skipped is said before it.
define counts
import collections, sys
from xml.etree import ElementTree
suites = [suite for path in sys.argv[1:] for suite in ElementTree.parse(path).getroot().iter("testsuite")]
reasons = collections.Counter(skip.get("message") for suite in suites for skip in suite.iter("skipped"))
for reason, count in reasons.most_common():
    print(f"SKIPPED {count} test(s): {reason}")
total, skipped = (sum(int(suite.get(name)) for suite in suites) for name in ("tests", "skipped"))
failed = sum(int(suite.get(name)) for suite in suites for name in ("failures", "errors"))
print(f"{total - failed - skipped} passed, {failed} failed, {skipped} skipped")
endef
export counts

bench: setup ## measure what the README claims
	@$(BIN)/llmtower bench $(BENCH)

faults: setup ## 200 seeded runs of kills, freezes and cuts (hours; goes on where it was interrupted)
	@$(BIN)/python -m tests.faults $(FAULTS)

# What the image of docker-compose.yml holds; that of its dashboards holds the extra `grafana`.
IMAGE := server gateway web notify
INTEGRATIONS := anthropic bedrock chroma gemini ollama openai

lock: setup ## resolve the dependencies and Kafka's jars anew
	@$(uv_like_pip); echo "resolving the Python packages"; \
	$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --extra dev --generate-hashes --no-emit-index-url --no-annotate --no-header \
		pyproject.toml -o requirements/dev.txt
	@$(uv_like_pip); $(foreach set,highest:newest lowest-direct:oldest,$(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 \
		$(INTEGRATIONS:%=--extra %) --resolution $(firstword $(subst :, ,$(set))) --generate-hashes --no-emit-index-url --no-annotate --no-header \
		pyproject.toml requirements/clients.in -o requirements/clients-$(lastword $(subst :, ,$(set))).txt;)
	@$(BIN)/python -m tests.clients.table
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --extra grafana --generate-hashes --no-emit-index-url \
		--no-annotate --no-header pyproject.toml requirements/grafana.in -o requirements/clients-grafana.txt
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --extra grafana --generate-hashes --no-emit-index-url \
		--no-annotate --no-header -c requirements/clients-grafana.txt pyproject.toml -o requirements/grafana.txt
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 $(IMAGE:%=--extra %) --generate-hashes --no-emit-index-url \
		--no-annotate --no-header pyproject.toml -o requirements/server.txt
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		pyproject.toml requirements/wrappers.in -o requirements/clients-wrappers.txt
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		requirements/peers.in -o requirements/peers.txt
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --extra server --extra gateway --generate-hashes \
		--no-emit-index-url --no-annotate --no-header pyproject.toml requirements/frameworks.in -o requirements/clients-frameworks.txt
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --extra langchain --extra litellm --resolution lowest-direct \
		--generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml requirements/frameworks-oldest.in \
		-o requirements/clients-frameworks-oldest.txt
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header \
		pyproject.toml requirements/proxy.in -o requirements/clients-proxy.txt
	@$(uv_like_pip); $(BIN)/uv pip compile -q --upgrade --universal --python-version 3.11 --extra toxicity --extra embeddings \
		--excludes requirements/ml-excludes.txt --generate-hashes --no-emit-index-url --no-annotate --no-header pyproject.toml requirements/ml.in \
		-o requirements/clients-ml.txt
	@echo "resolving Kafka's jars"
	@$(BIN)/python -c 'from pathlib import Path; from llmtower_processors.local.jars import LOCK_NAME, write_lock; write_lock(Path("processors/llmtower_processors/local", LOCK_NAME))'

ENVIRONMENTS := .venv $(CLIENTS:%=.venv-%) .venv-peers .venv-wrappers
REMOVED := $(ENVIRONMENTS) .mypy_cache .ruff_cache .pytest_cache .hypothesis .faults build dist .coverage .coverage.*

clean: ## remove what make has made, and say what
	@for path in $(REMOVED); do if [ -e "$$path" ]; then echo "removing $$path"; rm -rf "$$path"; fi; done
	@find . -name __pycache__ -type d -prune -exec rm -rf {} + && echo "removing __pycache__ folders"
	@if [ -e .llmtower ]; then echo "kept: .llmtower, the data of llmtower up and demo (remove it by hand)"; fi
	@echo "kept: the download cache (Kafka's jars) in $${LLMTOWER_CACHE_DIR:-$${XDG_CACHE_HOME:-$$HOME/.cache}/llmtower}"
