"""Files as a user has them, and a whole made-up AlpacaEval."""

import csv
import json
from random import Random

import pytest

from evals.alpaca_eval import instructions
from tests.evals.alpaca_eval.judgements import TOTAL, hardness


@pytest.fixture
def official(monkeypatch):
    """Make `Instruction 0` to `Instruction 804` AlpacaEval's own."""
    known = {instructions.digest(f"Instruction {k}"): k for k in range(TOTAL)}
    monkeypatch.setattr(instructions, "_positions", lambda: known)


@pytest.fixture(autouse=True)
def no_data_folder(monkeypatch, tmp_path):
    """Keep what a developer has pulled out of the tests."""
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path / "no data"))


@pytest.fixture
def annotations(tmp_path):
    def write(rows, name="annotations.json"):
        path = tmp_path / "results" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(rows))
        return path

    return write


def write_csv(path, header, rows):
    path.parent.mkdir(exist_ok=True, parents=True)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])
    return path


@pytest.fixture
def difficulty_csv(tmp_path):
    def write(folder=tmp_path, name="instruction_difficulty.csv"):
        rows = [(k, hardness(k)) for k in range(TOTAL)]
        return write_csv(folder / name, ("index", "instruction_difficulty"), rows)

    return write


GAMED_COLUMNS = (
    "model", "preference", "index", "std_delta_len", "instruction_difficulty",
    "not_gamed_baseline",
)  # fmt: skip


@pytest.fixture
def gamed_csv(tmp_path):
    def write(folder=tmp_path, name="df_gamed.csv"):
        rng = Random("gamed")
        rows = [
            (model, rng.random(), k, rng.gauss(mean, 1), hardness(k), False)
            for model, mean in (("verbose", -1), ("concise", 1))
            for k in range(TOTAL)
        ]
        return write_csv(folder / name, GAMED_COLUMNS, rows)

    return write
