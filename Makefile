# SPDX-License-Identifier: MIT
# `make help` lists the targets. Everything is installed into .venv and node_modules.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules --no-print-directory
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
STAMPS := $(VENV)/stamps
NODE_STAMP := node_modules/.installed
CONTRACTS := $(shell find contracts -name '*.vy' -o -name '*.vyi' 2>/dev/null)
REQUIRED_KB := 3000000 # kilobytes free: environments 0.9 GB, caches and artefacts on top
UV_VERSION := 0.13.9
# One more than cores: many tests wait for a node.
WORKERS ?= 3

PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
NPM_FLAGS := --no-audit --no-fund --no-update-notifier --loglevel=error

# Node.js of the environment serves when the machine has none.
export PATH := $(CURDIR)/$(BIN):$(PATH)
# Brownie, npm and pip write into the home directory and fail without one.
ifneq ($(shell test -n "$$HOME" -a -w "$$HOME" && echo yes),yes)
export HOME := $(CURDIR)/$(VENV)/home
endif

UV := $(VENV)/lock/bin/uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-strip-extras --no-emit-index-url --no-emit-find-links --no-annotate --no-header

# --node 'value' for NODE=value, if it was given.
given = $(if $($1),--$(shell echo $1 | tr A-Z a-z) '$($1)')

.PHONY: help install demo test lint format bench numbers coverage mutation docs lock clean distclean

help: ## List the targets.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

install: $(STAMPS)/compiled ## Install everything and compile the contracts.
	@:

demo: install ## Run the demo: NODE=anvil|ganache HOURS= SEED= DATA=file.csv FROM= TO= LIVE=1
	@$(BIN)/python -m scripts.demo $(foreach option,NODE HOURS SEED DATA FROM TO,$(call given,$(option))) $(if $(LIVE),--live)

test: install lint ## Run all that CI runs: lint, types, all tests.
	@$(BIN)/python -m pytest -n $(WORKERS) --dist worksteal $(ARGS)

lint: $(STAMPS)/python ## Check style and types, change nothing.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/mamushi --line-length 100 --check contracts \
		|| { echo "contracts are not formatted: run \`make format\`"; exit 1; }

format: $(STAMPS)/python ## Format Python and Vyper.
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .
	@$(BIN)/mamushi --line-length 100 contracts

bench: install ## Measure; prints figures, asserts nothing on time.
	@$(BIN)/python -m pytest -q -s -o python_files='bench_*.py' -o norecursedirs= tests/bench $(ARGS)

numbers: install ## Measure anew for the page of numbers: ARGS=tests/bench/bench_dashboard.py
	@$(BIN)/python -m scripts.docs_numbers $(ARGS)

coverage: install ## Which statements and branches of the contracts the tests run: ARGS='tests/unit'
	@$(BIN)/python -m tests.coverage $(ARGS)

mutation: install ## Break the vault's contracts in small ways, after coverage: ARGS='--count 200'
	@nice -n 15 $(BIN)/python -m tests.mutation $(ARGS)

docs: $(STAMPS)/python ## Build the documentation into build/docs, with its plots and references.
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict # quiet would hide warnings from strict

lock: $(VENV)/lock/bin/uv ## Resolve the lock files anew (UPGRADE=1 takes new versions).
	@$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --extra dev -o requirements.lock
	@$(UV) $(if $(UPGRADE),--upgrade) pyproject.toml --constraint requirements.lock -o requirements-keeper.lock
	@$(UV) $(if $(UPGRADE),--upgrade) --group node -o requirements-node.lock
	@npm install --package-lock-only --omit-lockfile-registry-resolved $(NPM_FLAGS)

clean: ## Remove artefacts and caches, keep what was installed.
	@rm -rf build .mypy_cache .pytest_cache .ruff_cache .hypothesis $(STAMPS)/compiled
	@find . -name __pycache__ -not -path './$(VENV)/*' -not -path './node_modules/*' -prune -exec rm -rf {} +

distclean: clean ## Remove what was installed, too.
	@rm -rf $(VENV) node_modules *.egg-info

# --- how it is installed ---------------------------------------------------

# The first Python in 3.11..3.13 that runs; a shim for a missing version does not count.
FIND_PYTHON = for candidate in $(PYTHON) python3 python3.13 python3.12 python3.11; do \
	"$$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null \
	&& { echo "$$candidate"; break; }; done

$(BIN)/python:
	@command -v git >/dev/null || { echo "git is not installed"; exit 1; }
	@free=$$(df -Pk . | awk 'NR == 2 { print $$4 }'); [ "$$free" -ge $(REQUIRED_KB) ] \
		|| { echo "not enough disk space: 3 GB are needed here, $$((free / 1000000)) GB are free"; exit 1; }
	@python="$$($(FIND_PYTHON))" || true; \
	[ -n "$$python" ] || { echo "Python 3.11, 3.12 or 3.13 is not installed (or name it: make PYTHON=/path/to/python3.11)"; exit 1; }; \
	"$$python" -m venv $(VENV) >/dev/null 2>&1 \
		|| { rm -rf $(VENV); echo "Python cannot make virtual environments: install its package python3-venv"; exit 1; }

# The few source packages are built by tools from the lock as well, not by whatever is newest.
$(STAMPS)/python: requirements.lock pyproject.toml | $(BIN)/python
	@echo "Installing Python packages (once, about a minute)"
	@mkdir -p $(STAMPS) "$$HOME"
	@awk '/^[a-z]/ { wanted = /^(packaging|setuptools|wheel)==/ } wanted' requirements.lock > $(STAMPS)/build.lock
	@$(PIP) --require-hashes -r $(STAMPS)/build.lock \
		&& $(PIP) --require-hashes --no-build-isolation --use-pep517 -r requirements.lock \
		|| { echo "Python packages could not be installed: is the package index reachable?"; exit 1; }
	@$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(NODE_STAMP): package.json package-lock.json requirements-node.lock | $(STAMPS)/python
	@if ! { command -v node && command -v npm; } >/dev/null; then \
		echo "Installing Node.js into $(VENV)"; \
		$(PIP) --require-hashes -r requirements-node.lock \
			|| { echo "Node.js could not be installed: is the package index reachable?"; exit 1; }; \
	fi
	@echo "Installing Anvil and Ganache"
	@npm ci --ignore-scripts $(NPM_FLAGS) >/dev/null \
		|| { echo "Anvil and Ganache could not be installed: is the npm registry reachable?"; exit 1; }
	@touch $@

$(STAMPS)/compiled: $(CONTRACTS) brownie_hooks.py brownie-config.yaml $(STAMPS)/python $(NODE_STAMP)
	@$(BIN)/brownie compile
	@touch $@

$(VENV)/lock/bin/uv: | $(BIN)/python
	@$(BIN)/python -m venv $(VENV)/lock
	@$(VENV)/lock/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
