# Two commands: `make run` tries it, `make test` proves it. Needs Python 3.11 or newer, git and make; nothing else.
PYTHON ?= python3
BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --upgrade \
	--generate-hashes --no-emit-index-url --no-annotate --no-header
PROJECT := pyproject.toml --group build
PROGRAMS := tests/interop

.PHONY: help run test interop report lint pictures lock clean

help: ## say what there is to make
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/make \1 - \2/p' Makefile

run: .venv/run.stamp var/config.toml ## start the daemon on the shipped sample; Ctrl-C stops it
	@echo "page    http://127.0.0.1:8000/"
	@echo "feed    http://127.0.0.1:8000/calendar.ics"
	@echo "outbox  var/outbox/"
	@exec $(BIN)/notifier --config var/config.toml run

test: .venv/dev.stamp ## run every test that this machine can run
	@$(BIN)/python -m pytest

interop: $(PROGRAMS)/.venv/stamp $(PROGRAMS)/node_modules/.package-lock.json ## install calendar programs to test with

report: .venv/dev.stamp interop ## try the feed in all of them and write docs/calendar-programs.md
	@PYTHONPATH=tests $(BIN)/python -m interop.report

lint: .venv/dev.stamp ## look at form, habits and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy

pictures: .venv/dev.stamp ## take a picture of every page and mail, with Chromium, into var/pictures
	@$(BIN)/python tests/browser/pictures.py var/pictures

lock: .venv/run.stamp ## pin the newest dependencies that pyproject.toml allows
	@$(PIP) uv
	@$(LOCK) $(PROJECT) --output-file requirements/run.txt
	@$(LOCK) $(PROJECT) --output-file requirements/dev.txt --group dev --all-extras --constraint requirements/run.txt
	@$(LOCK) $(PROGRAMS)/requirements.in --output-file $(PROGRAMS)/requirements.txt
	@npm update --prefix $(PROGRAMS) --package-lock-only --omit-lockfile-registry-resolved --no-audit --no-fund --silent

clean: ## remove what was made here, except var/ with its subscribers
	@rm -rf .venv dist .hypothesis .mypy_cache .pytest_cache .ruff_cache
	@rm -rf $(PROGRAMS)/.venv $(PROGRAMS)/.built $(PROGRAMS)/node_modules
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

var/config.toml: | .venv/run.stamp
	@$(BIN)/notifier init --sample var
	@$(BIN)/notifier --config $@ send-test ada@example.org announcement --lang zh
	@$(BIN)/notifier --config $@ send-test bob@example.org reminder --lang en
	@$(BIN)/notifier --config $@ send-test carol@example.org change --lang en

# A stamp is newer than what it stands for, so nothing is installed twice.
.venv/run.stamp: $(BIN)/python requirements/run.txt pyproject.toml
	@echo "installing the locked dependencies into .venv ..."
	@$(PIP) --require-hashes --requirement requirements/run.txt
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/dev.stamp: .venv/run.stamp requirements/dev.txt
	@echo "installing what the tests need into .venv ..."
	@$(PIP) --require-hashes --requirement requirements/dev.txt
	@touch $@

# The programs that the feed is tried in have pins of their own, some of them against ours.
$(PROGRAMS)/.venv/stamp: $(PROGRAMS)/requirements.txt
	@$(PYTHON) -m venv --clear $(@D)
	@$(@D)/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes --requirement $<
	@touch $@

$(PROGRAMS)/node_modules/.package-lock.json: $(PROGRAMS)/package-lock.json
	@command -v npm >/dev/null || { echo "npm is missing: apt-get install npm" >&2; exit 1; }
	@npm ci --prefix $(PROGRAMS) --ignore-scripts --no-audit --no-fund --silent
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		{ echo "Python's venv module is missing: apt-get install python3-venv" >&2; exit 1; }
	@$(PYTHON) -m venv --clear .venv
