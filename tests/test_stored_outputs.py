"""Models that are only known by their answers, measured like any other: files against files."""

import json

import pytest

from harness.config import RunConfig
from harness.run import run
from harness.store import Store
from tests.shared_data import shared

BLOG = "head_to_head/vicuna_blog"


def measured(tmp_path, model, reply, evaluation, **changes):
    """Run one evaluation of a file of answers; a script judges."""
    request = {
        "model": model,
        "iterations": 0,
        "engine": "stored",
        "judge": {
            "engine": {"name": "scripted", "tells_likeliest": False, **reply},
            "model": {"name": "judge", "location": "script"},
        },
        "evaluations": [evaluation],
        "reports": [],
    }
    return run(RunConfig.model_validate(request | changes), Store(tmp_path / "run"))


def test_two_files_meet_head_to_head_in_both_orders(tmp_path):
    bard, vicuna = (str(shared(f"{BLOG}/answer_{name}.jsonl")) for name in ("bard", "vicuna-13b"))
    record = measured(
        tmp_path,
        {"name": "bard", "location": bard},
        {"default": "Better: A"},
        {"name": "head_to_head", "data": str(shared(f"{BLOG}/question.jsonl")), "against": vicuna},
    )
    [stage] = record.stages
    [result] = stage.evaluations
    [against] = {item.against for item in result.items}
    assert against == "vicuna-13b:20230322-clean-lang"
    tie, consistency = (result.metric(n, against) for n in ("tie", "position_consistency"))
    assert (tie.value, tie.n, tie.failed) == (1.0, 80, 0), "whoever is first is better: all ties"
    assert (consistency.value, consistency.n) == (0.0, 80)
    assert stage.model.fingerprint.startswith("bard:20230327@")
    assert "chat template unknown, as the answers and their sampling are" in result.description


def test_a_series_of_files_is_compared_in_order(tmp_path):
    names = ("alpaca-7b", "humpback-llama2-70b", "claude-2")
    files = [str(shared(f"alpaca_eval/model_outputs/{name}.json")) for name in names]
    first, *later = ({"name": n, "location": f} for n, f in zip(names, files, strict=True))
    record = measured(
        tmp_path,
        first,
        {"default": "m"},
        {
            "name": "alpaca_eval",
            "data": str(shared("alpaca_eval/model_outputs/gpt4_1106_preview.json")),
            "limit": 40,
        },
        iterations=2,
        trainer={"name": "checkpoints", "models": later},
    )
    results = [result for stage in record.stages for result in stage.evaluations]
    assert [result.model for result in results] == list(names)
    assert len({result.protocol for result in results}) == 1
    for result, file in zip(results, files, strict=True):
        with open(file, encoding="utf-8") as outputs:
            said = {row["instruction"]: row["output"] for row in json.load(outputs)}
        assert len(result.items) == 40
        assert all(said[item.details["prompt"]] == item.answer for item in result.items)
        assert (result.metric("win_rate").n, result.metric("win_rate").failed) == (40, 0)


@pytest.mark.parametrize("mode", ["single", "pair"])
def test_two_files_of_conversations_are_rated_and_compared(tmp_path, mode):
    claude, vicuna = (
        str(shared(f"mt_bench/model_answer/{name}.jsonl"))
        for name in ("claude-v1", "vicuna-7b-v1.3")
    )
    evaluation = {
        "name": "mt_bench",
        "data": str(shared("mt_bench/question.jsonl")),
        "references": str(shared("mt_bench/reference_answer_gpt-4.jsonl")),
        "mode": mode,
    }
    reply = "Rating: [[7]]" if mode == "single" else "[[A]]"
    record = measured(
        tmp_path,
        {"name": "claude-v1", "location": claude},
        {"default": reply},
        evaluation | ({"baseline": vicuna} if mode == "pair" else {}),
    )
    [result] = record.stages[0].evaluations
    assert len(result.items) == len(result.answers) == 160
    if mode == "single":
        assert (result.metric("score").value, result.metric("score").n) == (7.0, 160)
    else:
        assert {item.against for item in result.items} == {"vicuna-7b-v1.3"}
        assert not result.failures


def test_a_question_without_a_stored_answer_is_a_counted_failure(tmp_path):
    rows = [{"id": f"p{k}", "response": f"I say {k}."} for k in range(3)]
    prompts = [{"id": f"p{k}", "prompt": f"Say {k}."} for k in range(5)]
    for name, content in (("answers", rows), ("prompts", prompts)):
        lines = "".join(json.dumps(row) + "\n" for row in content)
        (tmp_path / f"{name}.jsonl").write_text(lines)
    record = measured(
        tmp_path,
        {"location": str(tmp_path / "answers.jsonl")},
        {"default": "Score: 4"},
        {
            "name": "examiner",
            "data": str(tmp_path / "prompts.jsonl"),
            "rubric": "five_points",
        },
    )
    [result] = record.stages[0].evaluations
    score = result.metric("score")
    assert (score.value, score.n, score.failed) == (4.0, 3, 2)
    assert result.failures == {"not_stored": 2}
