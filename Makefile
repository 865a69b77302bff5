# Every target is one line that calls `jan` or a tool.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
JAN := $(BIN)/jan
HOME_DIR := $(if $(JAN_HOME),$(JAN_HOME),$(HOME)/.jan)

.DEFAULT_GOAL := help
.PHONY: help run test test-keycloak quickstart up-full down down-clean schemathesis lint fmt bench

help: ## List the targets
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 20

$(BIN)/jan: pyproject.toml constraints.txt
	@echo "Installing into $(VENV), which takes about a minute …"
	@$(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install -q --upgrade pip && $(BIN)/python -m pip install -q -e . -c constraints.txt && touch $@

$(VENV)/.dev: $(BIN)/jan
	@$(BIN)/python -m pip install -q --group dev -c constraints.txt && touch $@

run: $(BIN)/jan ## Install, configure if needed, and start the stack
	@echo "In another terminal: source $(BIN)/activate, then jan status, jan token, jan down."
	@{ test -f "$(HOME_DIR)/jan.yaml" || $(JAN) quickstart --yes; } && $(JAN) up

test: $(VENV)/.dev ## Run the test suite
	$(BIN)/pytest -n 3 --dist loadfile

test-keycloak: $(VENV)/.dev ## Run the identity tests against a real Keycloak, fetched once with Maven
	$(BIN)/python -m tests.keycloak

quickstart: $(BIN)/jan ## Ask a few questions and write the configuration
	$(JAN) quickstart

up-full: $(BIN)/jan ## Start every service
	$(JAN) up --profile full

down: $(BIN)/jan ## Stop the stack
	$(JAN) down

down-clean: $(BIN)/jan ## Stop the stack and remove its data
	$(JAN) down --clean

schemathesis: $(VENV)/.dev ## Try the whole API for longer than the test suite does
	JAN_SCHEMATHESIS_EXAMPLES=20 $(BIN)/pytest tests/services/llm_api/test_openapi_document.py

lint: $(VENV)/.dev ## Check style, types and the direction of dependencies
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

fmt: $(VENV)/.dev ## Format the code
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

bench: $(VENV)/.dev ## Measure the platform against a bare proxy
	$(BIN)/python -m benchmarks
