"""Verdicts by rule agree with the labels they are made from, and are read as what they say."""

import importlib.util
import json
from pathlib import Path

import pytest

from harness.data import datasets
from harness.reading import read_points
from harness.records import Score

SCRIPT = Path(__file__).with_name("write_verdicts.py")


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("write_verdicts", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(response, label):
    return {"prompt": "Why?", "response": response, "quality_score": label}


def test_labels_become_six_equally_large_classes(script):
    rows = [row(f"answer {i}", i / 12) for i in range(12)]
    points = [read_points(made["verdict"]) for made in script.with_verdicts(rows)]
    assert points == [Score(value=i // 2) for i in range(12)]


def test_equal_labels_get_equal_points_and_no_label_no_verdict(script):
    rows = [row("a", 0.1), row("b", 0.5), row("c", 0.5), row("d", None)]
    made = script.with_verdicts(rows)
    assert [one["response"] for one in made] == ["a", "b", "c"]
    assert made[1]["verdict"] == made[2]["verdict"] != made[0]["verdict"]


def test_the_loader_hands_the_verdicts_on(script, tmp_path):
    rows = [row("worse", 0.2), row("better", 0.9)]
    file = tmp_path / "verdicts.jsonl"
    file.write_text("".join(json.dumps(one) + "\n" for one in script.with_verdicts(rows)))
    [group] = datasets.ranked_groups(str(file)).rows
    assert [(r.text, r.rank, r.verdict) for r in group.responses] == [
        ("better", 0, script.verdict(3)),
        ("worse", 1, script.verdict(0)),
    ]
