import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness.data import outputs
from harness.errors import DataError
from tests.shared_data import shared


@pytest.fixture
def stored(tmp_path):
    """Write rows, and read them as somebody's answers."""

    def write(*rows, name="answers.jsonl"):
        path = tmp_path / name
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return outputs.read(str(path))

    return write


def test_an_answer_is_found_by_the_text_of_its_prompt(stored):
    found = stored({"instruction": "Say  one.", "output": "One.", "generator": "gpt"})
    assert found.find("any", ("say one. ",)) == "One."
    assert found.find("any", ("Say two.",)) is None
    assert (found.name, len(found)) == ("gpt", 1)


def test_the_input_belongs_to_the_prompt(stored):
    found = stored({"instruction": "Add.", "input": "1 and 1", "output": "2"})
    assert found.find("any", ("Add.\n\n1 and 1",)) == "2"
    assert found.find("any", ("Add.",)) is None
    assert found.name == "answers"


def test_without_a_text_an_answer_is_found_by_the_id_of_its_prompt(stored):
    found = stored({"question_id": 7, "text": "Seven."}, {"id": "p8", "response": ""})
    assert found.find("7", ("What?",)) == "Seven."
    assert found.find("p8", ("What?",)) == ""
    assert found.find("9", ("What?",)) is None


def test_conversations_are_found_turn_by_turn(stored):
    found = stored(
        {"question_id": 81, "model_id": "m", "choices": [{"turns": ["First.", "Second."]}]},
        {"question_id": 82, "model_id": "m", "choices": [{"turns": ["First.", "$ERROR$"]}]},
        {"question_id": 83, "model_id": "m", "choices": [{"turns": ["Only one."]}]},
    )
    assert found.find("81/1", ("What?",)) == "First."
    assert found.find("81", ("What?",)) == "First."
    assert found.find("81/2", ("What?", "And?")) == "Second."
    assert found.find("82/2", ("What?", "And?")) is None, "FastChat noted an error"
    assert found.find("83/2", ("What?", "And?")) is None


def test_what_holds_no_answers_is_one_line(stored, tmp_path):
    for rows in ([], [{"prompt": "Why?"}], [{"response": "Because."}]):
        with pytest.raises(DataError, match="holds no answers; wanted a model_outputs"):
            stored(*rows)
    with pytest.raises(DataError, match=r"line 2: a second answer to the same prompt"):
        stored({"id": 1, "response": "a"}, {"id": 1, "response": "b"})
    with pytest.raises(DataError, match="does not exist"):
        outputs.read(str(tmp_path / "nowhere.jsonl"))


def test_the_fingerprint_is_that_of_who_answered_what(stored):
    row = {"prompt": "Why?", "response": "Because.", "model": "a"}
    first = stored(row).fingerprint
    assert stored(row, name="elsewhere.jsonl").fingerprint == first
    assert stored(row | {"response": "So."}).fingerprint != first
    assert stored(row | {"model": "b"}).fingerprint != first


COLUMNS = ("instruction", "prompt", "input", "output", "text", "question_id", "id", "model_id")
CHOICES = st.lists(st.fixed_dictionaries({"turns": st.lists(st.none() | st.text(max_size=3))}))
ROWS = st.dictionaries(
    st.sampled_from((*COLUMNS, "choices")),
    st.none() | st.text(max_size=4) | st.integers() | CHOICES,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(ROWS, max_size=4))
def test_whatever_a_file_holds_it_is_read_or_refused_in_one_line(stored, rows):
    try:
        found = stored(*rows)
    except DataError as error:
        assert "\n" not in str(error)
        return
    assert len(found) > 0
    for row in rows:
        for text in (row.get("instruction"), row.get("prompt")):
            if isinstance(text, str):
                answer = found.find("none", (text,))
                assert answer is None or isinstance(answer, str)


@pytest.mark.parametrize(
    ("file", "name", "count"),
    [
        ("alpaca_eval/model_outputs/claude-2.json", "claude-2", 805),
        ("head_to_head/vicuna_blog/answer_bard.jsonl", "bard:20230327", 80),
        ("mt_bench/model_answer/claude-v1.jsonl", "claude-v1", 80),
    ],
)
def test_published_files(file, name, count):
    found = outputs.read(str(shared(file)))
    assert (found.name, len(found)) == (name, count)
