# The two commands of the README are `make run` and `make test`; `make help` lists the rest.

PYTHON  ?= python3
BIN     := .venv/bin
STAMP   := .venv/.installed
PEERS   := .venv/.installed-peers
FUZZER  := .venv/.installed-fuzzer
OLDEST  := build/oldest
ADDRESS ?= 127.0.0.1:9464
DOCS    := $(wildcard README.md docs/*.md)
SOURCES := extractor samples bench tests
UNIT    := env -i $(BIN)/extractor systemd --program /opt/extractor/bin/extractor /var/log/agents

.DEFAULT_GOAL := help
.PHONY: help run test quick format lint type docs docs-check check coverage soak soak-replay test-oldest bench bench-speed bench-peers bench-live clean

help:  ## list the targets
	@sed -n 's/^\([a-z-]*\):.*##/\1\t/p' $(MAKEFILE_LIST) | expand -t 14

run: $(STAMP)  ## serve the metrics of samples/logs; LIVE=1 keeps the sample agent writing
	@echo "Open http://$(ADDRESS)/ in a browser; Ctrl-C stops."
ifdef LIVE
	@rm -rf build/live && mkdir -p build/live
	@$(BIN)/python -m samples.agent --logs build/live --forever >build/agent.txt 2>&1 & agent=$$!; \
	trap 'kill $$agent 2>/dev/null' EXIT INT TERM; \
	$(BIN)/extractor run samples/logs build/live --web.listen-address $(ADDRESS)
else
	@$(BIN)/extractor run samples/logs --web.listen-address $(ADDRESS)
endif

test: check  ## make the environment and run every check and every test
	@$(BIN)/pytest --numprocesses auto --dist worksteal

quick: $(STAMP)  ## the linter, the types and the quick half of the tests: a verdict within a minute
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/mypy --no-error-summary
	@$(BIN)/pytest --quiet --numprocesses auto --dist worksteal -m "not slow"

check: lint type docs-check  ## every check that is not a test

format: $(STAMP)  ## rewrite the sources as the formatter has them
	@$(BIN)/ruff check --quiet --fix-only $(SOURCES)
	@$(BIN)/ruff format --quiet $(SOURCES)

lint: $(STAMP)  ## the linter, and whether the sources are formatted
	@$(BIN)/ruff check --quiet $(SOURCES)
	@$(BIN)/ruff format --quiet --check $(SOURCES)

type: $(STAMP)  ## the types
	@$(BIN)/mypy --no-error-summary

docs: $(STAMP)  ## write the generated parts of the documentation, and the samples' rules, dashboard and units
	@$(BIN)/extractor rules --objectives samples/objectives.toml >samples/prometheus/rules.yml
	@$(BIN)/python -m samples.grafana.dashboard --objectives samples/objectives.toml >samples/grafana/agents.json
	@$(UNIT) >samples/systemd/extractor.service
	@$(UNIT) --socket >samples/systemd/extractor.socket
	@$(BIN)/cog -r $(DOCS)

docs-check: $(STAMP)
	@$(BIN)/cog --check $(DOCS) >/dev/null || { echo "generated documentation is out of date: make docs"; exit 1; }

coverage: $(STAMP)  ## the tests again, with branch coverage and its floor
	@$(BIN)/pytest --quiet --cov

soak: $(FUZZER)  ## a service under everything at once, kill -9, models, logrotate and fuzzing, for MINUTES=60; writes docs/soak.md
	@$(BIN)/python -m tests.soak $(or $(MINUTES),60)

soak-replay: $(STAMP)  ## the same bytes for every --jobs and every cut, on BYTES=1000000000 of log
	@REPLAY_BYTES=$(or $(BYTES),1000000000) $(BIN)/pytest tests/test_replay.py

test-oldest: $(STAMP)  ## the tests of what dependencies do for us, with the oldest versions that are allowed
	@rm -rf $(OLDEST) && mkdir -p build && $(PYTHON) -m venv $(OLDEST)
	@$(BIN)/python -m tests.ranges >$(OLDEST)/oldest.txt
	@$(OLDEST)/bin/python -m pip install -qq --disable-pip-version-check --constraint $(OLDEST)/oldest.txt --editable '.[dev]'
	@PATH="$(CURDIR)/$(OLDEST)/bin:$$PATH" $(OLDEST)/bin/python -m pytest --quiet tests/test_dependencies.py \
		tests/test_cases.py tests/test_fastpath.py tests/test_schemas.py tests/test_hdr.py tests/test_packed.py \
		tests/test_private_api.py tests/test_waker.py tests/test_server.py tests/test_cli.py tests/test_prices.py tests/test_state_dir.py

bench: $(STAMP)  ## lines per second, and CPU time against orjson.loads
	@$(BIN)/python -m bench.speed

bench-speed: $(STAMP)  ## the same, into docs/performance.md
	@$(BIN)/python -m bench.speed --rounds 5 --write

bench-peers: $(PEERS)  ## the same job on what users would pick instead; writes docs/performance.md
	@$(BIN)/python -m bench.peers --write

bench-live: $(STAMP)  ## freshness and scrapes while a log is written; writes docs/performance.md
	@$(BIN)/python -m bench.live --write

clean:  ## remove what can be made again
	@rm -rf .venv build dist .coverage .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@find $(SOURCES) -name __pycache__ -prune -exec rm -rf {} +

$(STAMP): pyproject.toml
	@echo "Making .venv (once, and when pyproject.toml changes) ..."
	@$(PYTHON) -m venv .venv || { echo "no venv module? On Debian or Ubuntu: apt install python3-venv"; exit 1; }
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[dev]'
	@touch $@

# There is no atheris for every Python and processor; without it, the fuzz targets are searched at random.
$(FUZZER): $(STAMP)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[fuzz]' || echo "no atheris to be had here"
	@touch $@

$(PEERS): $(STAMP)
	@$(BIN)/python -m pip install -qq --disable-pip-version-check --editable '.[bench]'
	@touch $@
