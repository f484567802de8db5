"""A judge that never says anything readable is stopped early, in every evaluation."""

import json

import pytest

from harness.config import RunConfig
from harness.engines.scripted import LoadedScript
from harness.errors import JudgeUnavailable
from harness.run import run
from harness.store import Store

EVALUATIONS = {
    "examiner": {"limit": 9},
    "alpaca_eval": {"limit": 9},
    "mt_bench": {},
    "head_to_head": {},
    "judge_agreement": {"limit": 4, "judges": ["external"], "rubric": "five_points"},
}


@pytest.fixture
def asked(monkeypatch):
    """Note whom is asked what."""
    requests = []
    generate = LoadedScript.generate

    def noted(model, rows):
        for row in rows:  # one by one, as a server is asked
            requests.append((model.ref.name, row.id))
            yield from generate(model, [row])

    monkeypatch.setattr(LoadedScript, "generate", noted)
    return requests


@pytest.fixture
def request_of(tmp_path):
    """Ask for one evaluation of a model that says one thing, by a judge that says another."""
    rows = [{"id": f"p{k}", "prompt": f"Say {k}."} for k in range(6)]
    said = [{"id": f"p{k}", "response": str(k)} for k in range(6)]
    for name, content in (("prompts", rows), ("said", said)):
        text = "".join(json.dumps(row) + "\n" for row in content)
        (tmp_path / f"{name}.jsonl").write_text(text)
    files = {"data": str(tmp_path / "prompts.jsonl"), "against": str(tmp_path / "said.jsonl")}

    def make(name, says, **guards):
        options = EVALUATIONS[name] | (files if name == "head_to_head" else {})
        return RunConfig.model_validate(
            {
                "model": {"location": "script"},
                "iterations": 0,
                "engine": {"name": "scripted", "default": ["The dog barks.", "Berlin.", "Hm."]},
                "evaluations": [{"name": name, **options}],
                "judge": {
                    "engine": {"name": "scripted", "default": says, "tells_likeliest": False},
                    "model": {"name": "judge", "location": "script"},
                    "guards": guards,
                },
                "reports": [],
            }
        )

    return make


@pytest.mark.parametrize("name", EVALUATIONS)
def test_a_judge_that_is_never_readable_stops_the_run(tmp_path, request_of, asked, name):
    store = Store(tmp_path / "run")
    with pytest.raises(JudgeUnavailable, match=f"{name} of M0: of 5 verdicts of judge"):
        run(request_of(name, "Hm.", unreadable=5), store)
    assert "not one could be read" in store.record().stopped
    before = [id for who, id in asked if who == "judge"]
    assert 2 <= len(before) <= 5, "of which judge_agreement wants several verdicts each"

    record = run(request_of(name, "Hm.", unreadable=10_000), store)
    assert record.stopped is None
    [result] = record.stages[0].evaluations
    judged = [id for who, id in asked if who == "judge"]
    again = len(judged) - len(set(judged))
    assert again == (1 if name == "judge_agreement" else 0), "only a row that was begun"
    assert sum(result.failures.values()) == len(result.items)


def test_of_a_readable_judge_nothing_is_given_up(tmp_path, request_of):
    record = run(request_of("examiner", "Score: 3", unreadable=1), Store(tmp_path / "run"))
    assert record.stages[0].evaluations[0].metric("score").value == 3.0


def test_a_model_that_cannot_judge_is_a_result(tmp_path, request_of):
    config = request_of("judge_agreement", "Score: 3", unreadable=1).model_dump(mode="json")
    config["evaluations"] = [
        {"name": "judge_agreement", "limit": 4, "judges": ["self", "external"]}
    ]
    record = run(RunConfig.model_validate(config), Store(tmp_path / "run"))
    found = record.stages[0].evaluations[0]
    assert found.metric("pairwise_accuracy").value is None
    assert found.metric("failure_rate").value == 1.0
    assert found.metric("external/failure_rate").value == 0.0
