import json
from pathlib import Path

import pytest

from evals.mt_bench import questions
from evals.mt_bench.questions import CATEGORIES, OFFICIAL, TEMPERATURES
from harness.errors import DataError
from tests.shared_data import shared


def test_the_references_beside_the_questions_are_for_three_categories(bench):
    read = questions.load(bench)
    assert [(row.id, row.category, row.turns[1]) for row in read.rows] == [
        ("81", "writing", "Rewrite 81."),
        ("111", "math", "Double 111."),
        ("141", "stem", "Simplify 141."),
    ]
    assert read.references == {"111": ("Official 111", "Doubled 111")}


def test_references_may_lie_elsewhere(bench, jsonl, answers):
    other = jsonl("other.jsonl", answers("some judge", ["Other", "Others"]))
    read = questions.load(bench, Path(other))
    assert read.references == {"111": ("Other 111", "Others 111")}
    assert read.fingerprint != questions.load(bench).fingerprint


def test_a_missing_reference_is_an_error(bench, jsonl, answers):
    with pytest.raises(DataError, match=r"1 questions of math.*none \(111 .*`references`"):
        questions.load(bench, Path(jsonl("r.jsonl", answers("j", ["a", "b"], ids=[101]))))
    blank = {"question_id": 111, "choices": [{"turns": ["a", " "]}]}
    with pytest.raises(DataError, match="111"):
        questions.load(bench, Path(jsonl("blank.jsonl", [blank])))
    (Path(bench).parent / "reference_answer" / "gpt-4.jsonl").unlink()
    with pytest.raises(DataError, match=r"no file reference_answer/gpt-4\.jsonl or"):
        questions.load(bench)


def test_corrected_references_stand_in_where_there_are_any(bench, jsonl, answers):
    read = questions.load(bench)
    better = jsonl("better.jsonl", answers("gpt-4-1106", ["Better", "Best"], ids=[81, 111]))
    assert questions.corrected(read, Path(better)) == {"111": ("Better 111", "Best 111")}
    others = jsonl("others.jsonl", answers("gpt-4-1106", ["Better", "Best"], ids=[81]))
    with pytest.raises(DataError, match="no answer to any of the 1 questions"):
        questions.corrected(read, Path(others))


def test_a_baseline_is_a_file_of_one_models_answers(jsonl, answers):
    rows = answers("gpt-3.5-turbo", ["First", "Second"], ids=[81, 111])
    rows[1]["choices"][0]["turns"][1] = "$ERROR$"
    read = questions.baseline(Path(jsonl("model.jsonl", rows)))
    assert read.model == "gpt-3.5-turbo"
    assert read.answers == {"81/1": "First 81", "81/2": "Second 81", "111/1": "First 111"}
    two = answers("a", ["x", "y"]) + answers("b", ["x", "y"], ids=[81])
    with pytest.raises(DataError, match="answers of 2 models"):
        questions.baseline(Path(jsonl("two.jsonl", two)))


QUESTION = {"question_id": 1, "category": "writing", "turns": ["a", "b"]}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{**QUESTION, "turns": ["a"]}], "line 1, has not two turns"),
        ([{**QUESTION, "turns": "ab"}], "line 1, has not two turns"),
        ([{**QUESTION, "turns": ["a", " "]}], "line 1, asks nothing"),
        ([{**QUESTION, "category": None}], "line 1, has no category"),
        ([{**QUESTION, "question_id": True}], "line 1, has no question_id"),
        ([QUESTION, QUESTION], "line 2, repeats question 1"),
        ([QUESTION, {**QUESTION, "question_id": "1"}], "line 2, repeats question 1"),
        ([], "has no questions"),
    ],
)
def test_what_is_no_question_is_an_error(jsonl, rows, message):
    with pytest.raises(DataError, match=message):
        questions.load(jsonl("question.jsonl", rows))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"question_id": 111, "text": "a"}, "line 1, is no answer"),
        ({"question_id": 111, "choices": []}, "line 1, is no answer"),
        ({"choices": [{"turns": ["a", "b"]}]}, "line 1, has no question_id"),
    ],
)
def test_what_is_no_answer_is_an_error(bench, jsonl, row, message):
    with pytest.raises(DataError, match=message):
        questions.load(bench, Path(jsonl("r.jsonl", [row])))


def test_an_answer_given_twice_is_an_error(bench, jsonl, answers):
    twice = jsonl("r.jsonl", answers("j", ["a", "b"]) + answers("j", ["c", "d"]))
    with pytest.raises(DataError, match="line 2, answers question 111 again"):
        questions.load(bench, Path(twice))


def test_the_micro_world_has_its_own():
    read = questions.load("microworld")
    assert {row.category for row in read.rows} == set(CATEGORIES)
    assert set(read.references) == {row.id for row in read.rows if row.needs_reference}
    assert "micro-world" in read.note


def test_the_official_questions_are_in_the_data_folder_or_not(data_folder):
    with pytest.raises(DataError, match="harness data pull mt_bench"):
        questions.load("mt_bench")
    (data_folder / "mt_bench" / "reference_answer").mkdir(parents=True)
    for name, place in {
        "question.jsonl": "question.jsonl",
        "reference_answer_gpt-4.jsonl": "reference_answer/gpt-4.jsonl",
    }.items():
        (data_folder / "mt_bench" / place).write_bytes(shared(f"mt_bench/{name}").read_bytes())
    assert questions.load("mt_bench").note == ""


def test_the_official_files_are_known(bench):
    file = shared("mt_bench/question.jsonl")
    read = questions.load(str(file))
    assert {row.id: row.category for row in read.rows} == OFFICIAL
    assert len(read.rows) == 80
    assert list(read.references) == [str(id) for id in range(101, 131)]
    assert read.note == ""
    assert "not MT-Bench's own" in questions.load(bench).note


def test_the_official_temperatures():
    assert [TEMPERATURES[category] for category in CATEGORIES] == [
        0.7, 0.7, 0, 0, 0, 0, 0.1, 0.1
    ]  # fmt: skip


def test_ids_are_text_however_they_are_written(jsonl):
    rows = [{**QUESTION, "question_id": id} for id in (1, 2.0, " 3 ", "arena-4")]
    read = questions.load(jsonl("q.jsonl", json.loads(json.dumps(rows))))
    assert [row.id for row in read.rows] == ["1", "2", "3", "arena-4"]
