"""Every evaluation can say what it asks, under the ids of its items."""

import pytest

from harness.config import Choice, RunConfig
from harness.plugins import EVALUATIONS, build
from harness.run import run
from harness.store import Store

CHOICES = {
    "examiner": {"limit": 3},
    "alpaca_eval": {"limit": 3},
    "mt_bench": {"max_tokens": 48},
    "nlp_benchmarks": {"limit": 2, "shots": {"gsm8k": 1}, "max_gen_toks": 8},
    "head_to_head": {"limit": 3},
    "judge_agreement": {"limit": 3},
}


@pytest.mark.parametrize("name", CHOICES)
def test_the_questions_go_by_the_ids_of_the_items(name, tmp_path):
    config = RunConfig.model_validate(
        {
            "model": {"location": "script"},
            "engine": {"name": "scripted", "default": ["Yes.", "No."]},
            "iterations": 1,
            "trainer": "renaming",
            "evaluations": [{"name": name, **CHOICES[name]}],
            "judge": {"engine": "examiner", "model": {"location": "examiner"}},
            "reports": [],
        }
    )
    record = run(config, Store(tmp_path / "run"))
    plugin = build(EVALUATIONS, Choice.model_validate({"name": name, **CHOICES[name]})).plugin
    texts = plugin.question_texts()
    assert all(texts.values())
    items = [item.id for item in record.stages[-1].evaluations[0].items]
    assert set(items) == set(texts)
    assert record.stages[-1].overlap[name].questions == len(texts)
