# Two commands for a newcomer, each complete on a fresh machine with Python 3.11:
#   make run     sets up and runs the main job: M0, SFT, M1, M2, M3, measured, with a report
#   make test    sets up and passes the checks and the tests
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: setup run check test bench

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

run: setup
	$(BIN)/harness run --iterations 3 $(ARGS)

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check
	OMP_NUM_THREADS=1 $(BIN)/pytest -q $(ARGS)

bench: setup
	$(BIN)/python -m tests.benchmarks
