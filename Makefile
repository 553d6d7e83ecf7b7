# make app    set up everything the application needs (own .venv) and start it
# make test   set up everything the tests need, lint, run all tests
# make lint | bench | slow | clean

SHELL := /bin/bash
.DEFAULT_GOAL := app
.PHONY: app test lint bench slow clean

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip install --disable-pip-version-check --quiet

app: $(VENV)/.runtime
	$(PY) -m kdlib compare

test: lint
	$(PY) -m pytest

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

slow: $(VENV)/.dev
	$(PY) -m pytest --slow

bench: $(VENV)/.dev
	@for file in tests/benchmarks/[a-z]*.py; do \
	    name=$$(basename $$file .py); echo "== $$name"; $(PY) -m tests.benchmarks.$$name || exit 1; \
	done

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than the files it was installed from, so a second call installs nothing.
$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.runtime: requirements.txt | $(PY)
	@echo "installing what requirements.txt lists; the first time this takes some minutes"
	$(PIP) -r requirements.txt
	@touch $@

$(PY):
	@for python in python3.11 python3 python; do \
	    if $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	        echo "making $(VENV) with $$($$python --version)"; \
	        $$python -m venv --clear $(VENV) && exit 0; \
	        rm -rf $(VENV); \
	        echo "'$$python -m venv' failed; on Debian and Ubuntu: apt install python3-venv" >&2; \
	        exit 1; \
	    fi; \
	done; \
	echo "Python 3.11 or newer is needed, found: $$(python3 --version 2>&1 || echo none)" >&2; \
	exit 1
