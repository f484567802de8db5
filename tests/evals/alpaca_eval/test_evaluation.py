import itertools
import json
import subprocess
import sys

import pytest

from evals.alpaca_eval import export, length_control, references
from evals.alpaca_eval.evaluation import AlpacaEval
from evals.alpaca_eval.judging import Pair
from harness.data import catalogue
from harness.engines.scripted import Scripted
from harness.errors import ConfigError, DataError
from harness.microworld.engine import ExaminerEngine
from harness.records import EvalResult, Failure, ModelRef
from tests.evals.alpaca_eval.judgements import Killed, OddsJudge, hardness

M0, M1 = (ModelRef(name=name, location=name) for name in ("M0", "M1"))
ROWS = [
    {
        "instruction": f"Instruction {k}",
        "output": f"reference {k}",
        "generator": "gpt4_1106_preview",
        "dataset": "koala" if k % 2 else "oasst",
    }
    for k in range(12)
]


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(length_control, "RESAMPLES", 5)


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "outputs" / "model_outputs.json"
    path.parent.mkdir()
    path.write_text(json.dumps(ROWS))
    return str(path)


@pytest.fixture
def evaluation(data):
    return AlpacaEval(AlpacaEval.Config(data=data))


def answer(prompt, index):
    k = int(prompt.split()[-1])
    return "x" * (1 + 7 * k % 50) if k else "reference 0"


@pytest.fixture
def marked(evaluation, fake, log):
    """Have a model answer, and a judge mark."""

    numbers = itertools.count()

    def mark(judge, reply=answer, model=M1, evaluation=evaluation, earlier=()):
        rows = log(f"{model.name} {next(numbers)}")
        evaluation.answer(fake(reply, name=model.name), rows)
        return evaluation.mark(model, rows, judge, earlier)

    return mark


def shown_first(request):
    """Say whose output a judge was shown first."""
    first, _ = request.prompt[-1].content.split('"output": """')[1:]
    return "reference" if first.startswith("reference") else "model"


def favour_the_model(text):
    first = text.split('"output": """')[1]
    return 0.1 if first.startswith("reference") else 0.9


def test_the_preference_is_the_probability_given_to_the_model(marked):
    judge = OddsJudge(favour_the_model)
    result = marked(judge)
    assert len(judge.asked) == 11
    assert {shown_first(request) for request in judge.asked} == {"reference", "model"}
    values = [item.outcome.value for item in result.items]
    assert values == pytest.approx([50] + [90] * 11)
    assert result.metric("win_rate").value == pytest.approx((50 + 11 * 90) / 12)
    assert result.metric("win_rate").n == 12


def test_the_order_is_that_of_the_published_swap(marked):
    judge = OddsJudge(favour_the_model)
    result = marked(judge)
    asked = {request.id: request for request in judge.asked}
    for item in result.items[1:]:
        swapped = Pair("", item.details["prompt"], "", "").swapped
        [verdict] = item.details["verdicts"]
        assert verdict["order"] == ("own answer first" if swapped else "own answer second")
        assert shown_first(asked[f"verdict/{item.id}"]) == ("model" if swapped else "reference")


def test_identical_outputs_tie_without_being_asked_about(marked):
    result = marked(OddsJudge(favour_the_model), lambda prompt, index: f"reference {prompt[12:]}")
    assert result.metric("win_rate").value == 50
    assert result.metric("length_controlled_win_rate").value == 50
    assert result.metric("standard_error").value == 0


def test_a_judge_without_log_probs_is_labelled_discrete(marked):
    result = marked(OddsJudge(favour_the_model, logprobs=False))
    values = [item.outcome.value for item in result.items]
    assert values == [50] + [100] * 11
    assert "discrete" in result.metric("win_rate").note
    assert "discrete" not in marked(OddsJudge(favour_the_model)).metric("win_rate").note


@pytest.mark.parametrize("tells", [True, False])
def test_a_scripted_judge(marked, tells):
    config = Scripted.Config(
        replies={"Instruction 7": "Neither."}, default="m", tells_likeliest=tells
    )
    with Scripted(config).open(ModelRef(name="judge", location="script")) as judge:
        result = marked(judge)
    assert ("discrete" in result.metric("win_rate").note) is not tells
    assert result.failures == {"no_verdict": 1}
    own_first = [
        item
        for item in result.items
        if any(said["order"] == "own answer first" for said in item.details["verdicts"])
    ]
    assert {item.details["preference"] for item in own_first} == {2, None}


def test_items_hold_what_a_reader_wants_to_see(marked):
    result = marked(OddsJudge(favour_the_model))
    assert result.judge.startswith("judge (gpt-4-1106-preview), alpaca_eval_clf@")
    same, *others = result.items
    assert same.details["verdicts"] == []
    for item in others:
        [verdict] = item.details["verdicts"]
        shown_first = verdict["order"] == "own answer first"
        assert verdict["text"] == ("m" if shown_first else "M")
        assert verdict["value"] == pytest.approx(0.9) == item.outcome.value / 100
        assert verdict["probabilities"] == pytest.approx(
            {"m": 0.9, "M": 0.1} if shown_first else {"m": 0.1, "M": 0.9}
        )
        assert item.details["prompt"].startswith("Instruction ")
        assert item.details["tokens"] is not None
        assert item.details["difficulty"] is None


def test_the_difficulty_of_the_instruction_is_told_where_it_is_known(
    marked, data, official, difficulty_csv
):
    named = AlpacaEval(AlpacaEval.Config(data=data, difficulty=str(difficulty_csv())))
    result = marked(OddsJudge(favour_the_model), evaluation=named)
    assert [item.details["difficulty"] for item in result.items] == pytest.approx(
        [hardness(k) for k in range(12)]
    )


def test_verdicts_and_answers_that_fail_are_counted(marked):
    def says(text):
        if "Instruction 3" in text:
            return "Both are fine."
        return Failure(reason="refused") if "Instruction 4" in text else favour_the_model(text)

    def reply(prompt, index):
        failure = Failure(reason="prompt_too_long")
        return failure if prompt == "Instruction 5" else answer(prompt, index)

    result = marked(OddsJudge(says), reply)
    assert result.failures == {"no_verdict": 1, "refused": 1, "prompt_too_long": 1}
    for name in ("win_rate", "standard_error", "discrete_win_rate"):
        assert (result.metric(name).n, result.metric(name).failed) == (9, 3)
    length = result.metric("average_length")
    assert (length.n, length.failed) == (11, 1)


def test_only_what_is_missing_is_asked_again(evaluation, fake, log, killed):
    whole, torn = log("whole"), log("torn")
    evaluation.answer(fake(answer), whole)
    expected = evaluation.mark(M1, whole, OddsJudge(), [])

    with pytest.raises(killed):
        evaluation.answer(fake(answer, killed_after=5), torn)
    resumed = fake(answer)
    evaluation.answer(resumed, torn)
    assert len(resumed.asked) == 12 - 5
    with pytest.raises(Killed):
        evaluation.mark(M1, torn, OddsJudge(killed_after=4), [])
    judge = OddsJudge()
    assert evaluation.mark(M1, torn, judge, []) == expected
    assert len(judge.asked) == 11 - 4
    again = OddsJudge()
    assert evaluation.mark(M1, torn, again, []) == expected
    assert not again.asked
    assert dict(torn) == dict(whole)


def test_only_the_official_judge_and_instructions_have_a_place(official, marked, data):
    official_result = marked(OddsJudge())
    assert official_result.metric("leaderboard_rank/win_rate").n == 224
    assert "judge substituted" not in official_result.metric("win_rate").note
    substituted = marked(OddsJudge(name="gpt-6-luna"))
    assert substituted.metric("leaderboard_rank/win_rate") is None
    note = substituted.metric("win_rate").note
    assert "judge substituted (weighted_alpaca_eval_gpt4_turbo@gpt-6-luna): not comp" in note
    longer = AlpacaEval(AlpacaEval.Config(data=data, judge_max_tokens=64))
    assert "judge substituted" in marked(OddsJudge(), evaluation=longer).metric("win_rate").note


def test_the_length_controlled_files_of_the_request(official, data, marked, gamed_csv, tmp_path):
    config = AlpacaEval.Config(data=data, gamed=str(gamed_csv(tmp_path / "far", "mine.csv")))
    result = marked(OddsJudge(), evaluation=AlpacaEval(config))
    assert "surrogate files mine.csv" in result.metric("length_controlled_win_rate").note
    assert "length control with mine.csv" in result.description


def test_earlier_models_of_the_protocol_are_predicted_against(marked):
    before = marked(OddsJudge(), model=M0)
    after = marked(OddsJudge(favour_the_model), model=M1, earlier=[before])
    found = after.metric("length_controlled_win_rate_predicted", "M0")
    # With a reference that is as long, M1 beats it more often than M0 does, so it beats M0.
    assert found.value > 50
    other = marked(OddsJudge(name="gpt-6-luna"), model=M1, earlier=[before])
    assert other.metric("length_controlled_win_rate_predicted", "M0") is None


def test_the_protocol_names_judge_and_references_but_not_the_model(marked, data, tmp_path):
    one = marked(OddsJudge(), model=M0)
    assert one.protocol == marked(OddsJudge(), model=M1).protocol
    assert one.protocol != marked(OddsJudge(name="gpt-6-luna")).protocol
    limited = AlpacaEval(AlpacaEval.Config(data=data, limit=6))
    fewer = marked(OddsJudge(), evaluation=limited)
    assert fewer.protocol != one.protocol
    assert fewer.metric("win_rate").n == 6


def test_what_is_exported_scores_the_same(marked, tmp_path):
    result = marked(OddsJudge(), lambda p, i: Failure(reason="x") if p[-1] == "7" else answer(p, i))
    rows = export.annotations(result)
    path = tmp_path / "annotations.json"
    path.write_text(json.dumps(rows))
    [again] = AlpacaEval.score([path])
    for name in ("win_rate", "standard_error", "length_controlled_win_rate", "average_length"):
        assert again.metric(name).value == result.metric(name).value
    assert rows[1]["generator_1"] == "gpt4_1106_preview"
    assert rows[1]["preference_raw_completion"]["logprobs"]["content"]
    outputs = export.model_outputs(result, generator="my-model")
    assert len(outputs) == len(rows) == 11
    assert outputs[1] == {
        "dataset": "koala",
        "instruction": "Instruction 1",
        "output": "xxxxxxxx",
        "generator": "my-model",
    }
    assert EvalResult.model_validate_json(result.model_dump_json()) == result


def test_the_micro_world_by_the_exact_examiner(fake, log):
    evaluation = AlpacaEval(AlpacaEval.Config(limit=20))
    rows = log("microworld")
    reference = {row.prompt: row.id for row in evaluation.references.prompts}

    def reply(prompt, index):
        return evaluation.references.outputs[reference[prompt]] + " It is so."

    evaluation.answer(fake(reply), rows)
    judge = ModelRef(name="judge", location="examiner")
    with ExaminerEngine(ExaminerEngine.Config()).open(judge) as examiner:
        result = evaluation.mark(M1, rows, examiner, [])
    assert (result.metric("win_rate").n, result.metric("win_rate").failed) == (20, 0)
    assert "not official LC" in result.metric("length_controlled_win_rate").note


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([*ROWS, ROWS[3]], "has the instruction 'Instruction 3' twice"),
        ([*ROWS, {**ROWS[3], "instruction": "New", "generator": "mine"}], "outputs of gpt4_1106_p"),
        ([{"instruction": "Why?"}], "entry 1, lacks instruction or output"),
        ([], "is empty"),
    ],
)
def test_reference_outputs_that_cannot_be_used(tmp_path, rows, says):
    path = tmp_path / "rows.json"
    path.write_text(json.dumps(rows))
    with pytest.raises(DataError, match=says):
        references.read(str(path))


def test_the_official_references_are_those_in_the_data_folder(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="`harness data pull alpaca_eval`"):
        references.read("alpaca_eval")
    monkeypatch.setenv("HARNESS_DATA", str(tmp_path))
    path = tmp_path / "alpaca_eval" / "gpt4_baseline.json"
    path.parent.mkdir()
    path.write_text(json.dumps(ROWS))
    with pytest.raises(DataError, match="is not what it should be"):
        references.read("alpaca_eval")
    entry = catalogue.load()["alpaca_eval/gpt4_baseline.json"].model_copy(update={"sha256": None})
    known = catalogue.Catalogue({"alpaca_eval/gpt4_baseline.json": entry})
    monkeypatch.setattr(catalogue, "load", lambda: known)
    assert len(references.read("alpaca_eval").prompts) == 12


def test_without_a_judge_nothing_is_marked(evaluation, fake, log):
    rows = log()
    evaluation.answer(fake(answer), rows)
    with pytest.raises(ConfigError, match="needs a judge"):
        evaluation.mark(M1, rows, None, [])


def test_building_it_imports_nothing_heavy():
    code = """
import sys
from evals.alpaca_eval.evaluation import AlpacaEval
AlpacaEval(AlpacaEval.Config())
print(sorted({"alpaca_eval", "pandas", "sklearn", "scipy", "torch", "datasets"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "[]", done.stderr
