# Two commands: `make serve` and `make test`. Everything else is a part of them.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
# Folder with receipts.jsonl and images, to train the default model anew.
SROIE ?=

.DEFAULT_GOAL := help
.PHONY: help install assemble serve demo test check lint model clean

help: ## Show what there is to make.
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

$(VENV)/.installed: requirements/cpu.lock pyproject.toml
	@echo "==> installing the lock into $(VENV)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --no-deps -r requirements/cpu.lock
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

install: $(VENV)/.installed ## Make .venv from the lock.

assemble: install ## Merge the shipped adapter into the base model, into build/model.
	@echo "==> assembling the default model into build/model"
	@HF_HUB_OFFLINE=1 $(BIN)/python -m trainer.default_model assemble

serve: assemble ## Start Postgres, the engine and the API on 127.0.0.1:8000.
	@exec $(BIN)/docloop serve

demo: assemble ## Correct what the model cannot read, and watch it learn.
	@$(BIN)/python bench/demo.py

test: assemble ## Run every test.
	@$(BIN)/python -m pytest

lint: install ## Formatting, lint, types, import contracts.
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

check: lint test ## What CI runs.

model: install ## Train tower, connector and adapter in build/see: make model SROIE=FOLDER.
	@test -n "$(SROIE)" || { echo "name the receipts: make model SROIE=FOLDER"; exit 2; }
	@$(BIN)/python -m trainer.default_model see --sroie $(SROIE)

clean: ## Remove what was built; keeps the data of the service in var/.
	rm -rf build .mypy_cache .ruff_cache .pytest_cache
