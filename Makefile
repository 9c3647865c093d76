# Two commands for a newcomer: make demo, make test. Each sets up what it needs in .venv.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check -qq
# one thread per process: the processes are the parallelism
export OMP_NUM_THREADS ?= 1

.PHONY: help demo serve test slow check format docs clean

help: ## Show the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 10

# What an installation depends on; a change installs again.
STAMP := constraints.txt pyproject.toml

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "tuner needs Python 3.11 or newer; name one with: make PYTHON=python3.12 …" >&2; exit 1; }
	@echo "Setting up $(VENV), once; this takes a few minutes." >&2
	@$(PYTHON) -m venv $(VENV)

# torch first and by itself, so that the pinned build is the one that everything else finds
$(VENV)/.run: $(STAMP) | $(BIN)/python
	@echo "  1. torch …" >&2
	@$(PIP) install -c constraints.txt torch
	@echo "  2. tuner with its server and worker …" >&2
	@$(PIP) install -c constraints.txt -e '.[server,worker]'
	@touch $@

$(VENV)/.dev: $(STAMP) | $(VENV)/.run
	@echo "  3. what the tests and checks need …" >&2
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(VENV)/.run ## Run a real study on the embedded database; report in demo/
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/demo.sh

serve: $(VENV)/.run ## The same study against a running server with two workers
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh examples/serve.sh

test: $(VENV)/.dev ## Run the tests (those marked slow have a target of their own)
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow" $(ARGS)

slow: $(VENV)/.dev ## Run the slow tests: the API fuzzed from its description
	@$(BIN)/python -m pytest -n 2 --dist worksteal -m slow $(ARGS)

check: $(VENV)/.dev ## Linters, types, import contracts, schema check
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh .ci/alembic-check

format: $(VENV)/.dev ## Format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

docs: $(VENV)/.dev ## Write the generated pages of docs/
	@$(BIN)/python -m tuner.cli.reference > docs/cli.md

clean: ## Remove what the targets above made
	rm -rf $(VENV) demo .pytest_cache .mypy_cache .ruff_cache
