# Every command the project keeps. `make help` lists them.
SHELL := /bin/bash
VENV  := .venv
BIN   := $(VENV)/bin
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3; do command -v $$p >/dev/null 2>&1 && $$p -c "import sys; sys.exit(sys.version_info < (3, 11))" 2>/dev/null && echo $$p && break; done)
STAMP := $(VENV)/.installed
NODE_LEAST := 20.19
PACKAGES := web/node_modules/.package-lock.json
DASHBOARD := src/outlay/web/dist/index.html
WEB_SOURCES := $(shell find web \( -path web/node_modules -o -path web/tests \) -prune -o ! -path web -print 2>/dev/null)
SMALL ?= 20

.DEFAULT_GOAL := help
.PHONY: help setup web .node run test test-fast check fix bench wheel clean

help: ## list the commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(STAMP): pyproject.toml
	@test -n "$(PYTHON)" || { echo "outlay needs Python 3.11 or newer on the PATH"; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || { echo "install the venv module first (Debian: apt-get install python3-venv)"; exit 1; }
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(STAMP) $(DASHBOARD) ## make .venv with everything in it, and build the dashboard

.node:
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number), [c, d] = process.argv[1].split(".").map(Number); process.exit(a > c || (a === c && b >= d) ? 0 : 1)' $(NODE_LEAST) 2>/dev/null && command -v npm >/dev/null \
	|| { echo "the dashboard is built with Node.js $(NODE_LEAST) or newer and npm; found: node $$(node --version 2>/dev/null || echo none), npm $$(npm --version 2>/dev/null || echo none)"; exit 1; }

$(PACKAGES): web/package-lock.json | .node
	cd web && npm ci --no-audit --no-fund
	@touch $@

# A page is the last that a build writes, so it stands for all of them.
$(DASHBOARD): $(PACKAGES) $(WEB_SOURCES) | .node
	cd web && npm run --silent build
	@touch $@

web: $(DASHBOARD) ## build the dashboard, if something of it changed

run: setup ## server and live demo traffic through real provider SDKs (Ctrl-C ends it)
	$(BIN)/outlay demo

test: setup ## all tests: the dashboard's, the fast ones, then those that start servers
	cd web && npm test
	$(BIN)/python -m pytest -q -n auto -m "not heavy"
	$(BIN)/python -m pytest -q -m heavy

test-fast: setup ## the tests that start nothing
	$(BIN)/python -m pytest -q -n auto -m "not heavy"

check: setup ## format, lint, types, import contracts, and what is generated
	$(BIN)/ruff format --check src tests bench tools examples
	$(BIN)/ruff check src tests bench tools examples
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python tools/openapi.py --check
	cd web && npm run --silent types -- --check || { echo "web/src/api/schema.ts is out of date: cd web && npm run types"; exit 1; }
	cd web && npm run --silent check

fix: setup ## format, and mend what the linter can mend
	$(BIN)/ruff format src tests bench tools examples
	$(BIN)/ruff check --fix src tests bench tools examples

bench: setup ## the figures of docs/figures.md (SMALL=20 loads 20 M events; SMALL=100 the full size)
	$(BIN)/python bench/run.py --millions $(SMALL)

wheel: setup ## build the wheel and try it in an empty environment
	rm -rf dist
	$(BIN)/python -m build --wheel --outdir dist .
	$(PYTHON) -m venv --clear dist/.try && dist/.try/bin/pip install --quiet dist/*.whl && dist/.try/bin/python -c "import outlay; print('outlay', outlay.__version__, 'imports alone')"
	dist/.try/bin/pip install --quiet "$$(ls dist/*.whl)[server]" && dist/.try/bin/python tools/try_wheel.py dist/.try/bin/outlay
	rm -rf dist/.try && ls -l dist

clean: ## remove what the commands made
	rm -rf $(VENV) web/node_modules src/outlay/web/dist dist build .mypy_cache .ruff_cache .pytest_cache .hypothesis .outlay-demo .bench
