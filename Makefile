# Every command the project keeps. `make help` lists them.
SHELL := /bin/bash
VENV  := .venv
BIN   := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $$p && break; done)
STAMP := $(VENV)/.installed
SMALL ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup run test test-fast check fix bench wheel clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "outlay needs Python 3.11 or newer on the PATH"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "install the venv module first (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(STAMP) ## make .venv with everything in it

run: setup ## server and live demo traffic through real provider SDKs (Ctrl-C ends it)
	$(BIN)/outlay demo

test: setup ## all tests: fast ones first, then those that start servers and kill processes
	$(BIN)/python -m pytest -q -n auto -m "not heavy"
	$(BIN)/python -m pytest -q -m heavy

test-fast: setup ## the tests that start nothing
	$(BIN)/python -m pytest -q -n auto -m "not heavy"

check: setup ## format, lint, types, import contracts
	$(BIN)/ruff format --check src tests bench tools examples
	$(BIN)/ruff check src tests bench tools examples
	$(BIN)/mypy
	$(BIN)/lint-imports

fix: setup ## format, and mend what the linter can mend
	$(BIN)/ruff format src tests bench tools examples
	$(BIN)/ruff check --fix src tests bench tools examples

bench: setup ## the figures of docs/figures.md (SMALL=20 loads 20 M events; SMALL=100 the full size)
	$(BIN)/python bench/run.py --millions $(SMALL)

wheel: setup ## build the wheel and try it in an empty environment
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv --clear dist/.try && dist/.try/bin/pip install --quiet dist/*.whl && dist/.try/bin/python -c "import outlay; print('outlay', outlay.__version__, 'imports alone')"
	rm -rf dist/.try && ls -l dist

clean: ## remove what the commands made
	rm -rf $(VENV) dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .outlay-demo .bench
