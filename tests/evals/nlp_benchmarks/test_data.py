import json

import pytest

from evals.nlp_benchmarks.benchmarks import BENCHMARKS, NAMES
from evals.nlp_benchmarks.data import read
from evals.nlp_benchmarks.tasks import load
from harness.errors import DataError
from tests.shared_data import shared

ARC = {
    "question": "What barks?",
    "choices": {"text": ["dog", "cat"], "label": ["A", "B"]},
    "answerKey": "A",
}
PIQA = {"goal": "Bark", "sol1": "as a dog", "sol2": "as a cat", "label": 0}
MMLU = {"question": "What barks?", "choices": ["a", "b", "c", "d"], "answer": 3}


@pytest.fixture
def folder(jsonl, tmp_path):
    def make(**files):
        for name, rows in files.items():
            jsonl(f"{name}.jsonl", rows)
        return str(tmp_path)

    return make


@pytest.mark.parametrize("name", NAMES)
def test_the_micro_world_has_every_benchmark(name) -> None:
    splits = read("microworld", name, 3)
    assert splits.evaluated
    assert len(splits.examples) > 3
    assert splits.pool == BENCHMARKS[name].pool[0]


@pytest.mark.parametrize(
    ("name", "asked", "examples"),
    [
        ("arc_easy", 2376, 2251),
        ("arc_challenge", 1172, 1119),
        ("hellaswag", 10042, None),
        ("siqa", 1954, None),
        ("piqa", 1838, None),
        ("gsm8k", 1319, 7473),
        ("mmlu", 14042, 285),
        ("obqa", 500, 4957),
        ("nq", 3610, 1800),
    ],
)
def test_published_row_counts(name, asked, examples) -> None:
    source = str(shared("nlp"))
    assert len(read(source, name, 0).evaluated) == asked
    if examples is None:
        with pytest.raises(DataError, match=r"_train.jsonl .* to show 1 examples"):
            read(source, name, 1)
    else:
        assert len(read(source, name, 5).examples) == examples
    tasks = load(BENCHMARKS[name], source, 0 if examples is None else 5)["tasks"]
    assert sum(len(task.eval_docs) for task in tasks.values()) == asked
    assert len(tasks) == (57 if name == "mmlu" else 1)


def test_the_first_hellaswag_item() -> None:
    task = load(BENCHMARKS["hellaswag"], str(shared("nlp")), 0)["tasks"]["hellaswag"]
    first = task.eval_docs[0]
    assert (first["activity_label"], first["gold"]) == ("Roof shingle removal", 3)
    assert first["query"].startswith("Roof shingle removal: A man is sitting on a roof.")


def test_examples_of_efficientqa_stand_in_and_are_named(folder, result) -> None:
    row, other = ({"question": f"who {does}", "answer": ["dog"]} for does in ("barks", "bites"))
    source = folder(nq_open_validation=[row], nq_open_efficientqa_dev=[other] * 3)
    found = result(data=source, benchmarks=["nq"], shots={"nq": 2})
    assert "nq shows examples of efficientqa_dev, not of train" in found.description
    folder(nq_open_train=[other] * 3)
    read.cache_clear()
    found = result(data=source, benchmarks=["nq"], shots={"nq": 2})
    assert "efficientqa_dev" not in found.description


def test_only_the_subjects_that_are_there(folder, result) -> None:
    rows = [{**MMLU, "subject": subject} for subject in ("virology", "anatomy", "virology")]
    found = result(data=folder(mmlu_test=rows), benchmarks=["mmlu"], shots={"mmlu": 0})
    assert [item.id for item in found.items] == [
        "mmlu/virology/0",
        "mmlu/virology/1",
        "mmlu/anatomy/0",
    ]


@pytest.mark.parametrize(
    ("benchmark", "files", "message"),
    [
        ("arc_easy", {}, r"needs arc_easy_test.jsonl with the columns question, .*; .* has none"),
        (
            "arc_easy",
            {"arc_easy_train": [ARC]},
            r"needs arc_easy_test.jsonl .* has arc_easy_train.jsonl",
        ),
        ("arc_easy", {"arc_easy_test": []}, r"has no rows"),
        (
            "arc_easy",
            {"arc_easy_test": [ARC, {"question": "What?", "answerKey": "A"}]},
            r"line 2, has no choices.text, choices.label; arc_easy reads question, .* the row has",
        ),
        (
            "arc_easy",
            {"arc_easy_test": [ARC | {"answerKey": "E"}]},
            r"line 1, has no right answer among its choices",
        ),
        ("piqa", {"piqa_validation": [PIQA | {"label": -1}]}, "has no right answer"),
        ("piqa", {"piqa_validation": [PIQA | {"label": None}]}, "has no label; piqa reads"),
        ("mmlu", {"mmlu_test": [MMLU | {"subject": "anatomy", "answer": "D"}]}, "no right answer"),
        ("mmlu", {"mmlu_test": [MMLU]}, "has no subject"),
    ],
)
def test_what_is_missing_is_named(benchmark, files, message, folder, evaluation) -> None:
    with pytest.raises(DataError, match=message):
        evaluation(data=folder(**files), benchmarks=[benchmark], shots={benchmark: 0})


def test_a_missing_folder_is_named(evaluation) -> None:
    with pytest.raises(DataError, match="there is no folder 'nowhere'"):
        evaluation(data="nowhere")


def test_too_few_examples_are_told(folder, evaluation) -> None:
    source = folder(
        arc_easy_test=[ARC],
        arc_easy_train=[ARC] * 3,
        mmlu_test=[{**MMLU, "subject": "anatomy"}],
        mmlu_dev=[{**MMLU, "subject": "anatomy"}] * 2 + [{**MMLU, "subject": "virology"}] * 5,
    )
    evaluation(data=source, benchmarks=["arc_easy"], shots={"arc_easy": 2})
    with pytest.raises(DataError, match=r"arc_easy_train.jsonl has 2 rows .* to show 3 examples"):
        evaluation(data=source, benchmarks=["arc_easy"], shots={"arc_easy": 3})
    evaluation(data=source, benchmarks=["mmlu"], shots={"mmlu": 2})
    with pytest.raises(DataError, match=r"has 2 rows of the subject anatomy .* to show 3"):
        evaluation(data=source, benchmarks=["mmlu"], shots={"mmlu": 3})


def test_a_subject_that_lm_eval_does_not_define_is_told(folder, result) -> None:
    source = folder(mmlu_test=[{**MMLU, "subject": "dog_lore"}])
    with pytest.raises(DataError, match=r"subject 'dog_lore', which lm-eval does not define"):
        result(data=source, benchmarks=["mmlu"], shots={"mmlu": 0})


def test_files_of_any_kind(tmp_path, evaluation) -> None:
    (tmp_path / "arc_easy_test.json").write_text(json.dumps([ARC]))
    built = evaluation(data=str(tmp_path), benchmarks=["arc_easy"])
    assert read(built.config.data, "arc_easy", 0).evaluated == [ARC]


def test_the_hub_is_asked_only_where_it_is_named(result, monkeypatch) -> None:
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(DataError, match=r"piqa cannot be loaded from the hub .*; connect, or name"):
        result(data="hub", benchmarks=["piqa"])
