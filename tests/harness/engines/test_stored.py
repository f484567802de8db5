import json
import math

import pytest

from harness.engines.stored import Stored
from harness.errors import DataError
from harness.protocols import Continuation, Message, Request, Sampling, user
from harness.records import ModelRef

ROWS = [
    {"prompt": "Why is the sky blue?", "response": "It scatters light.", "model": "m"},
    {"question_id": 81, "choices": [{"turns": ["First.", "Second."]}], "model_id": "m"},
]


@pytest.fixture
def ref(tmp_path):
    path = tmp_path / "outputs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return ModelRef(name="M0", location=str(path))


@pytest.fixture
def model(ref):
    with Stored(Stored.Config()).open(ref) as loaded:
        yield loaded


def test_answers_are_looked_up_whatever_the_sampling(model):
    sampling = Sampling(max_tokens=1, temperature=0)
    [found] = model.generate([Request("row", user("why is the sky  blue?"), sampling)])
    assert (found.text, found.finish_reason) == ("It scatters light.", "stop")
    [plain] = model.generate([Request("row", "Why is the sky blue?", sampling)])
    assert plain.text == found.text


def test_a_conversation_is_looked_up_turn_by_turn(model):
    first = user("Compose a post.")
    second = (*first, Message("assistant", "First."), Message("user", "Rewrite it."))
    asked = [Request("81/1", first, Sampling()), Request("81/2", second, Sampling())]
    assert [one.text for one in model.generate(asked)] == ["First.", "Second."]


@pytest.mark.parametrize("prompt", [user("Why?"), (1, 2, 3), ()])
def test_a_prompt_without_an_answer_fails_alone(model, prompt):
    asked = [Request("no", prompt, Sampling()), Request("81/1", user("x"), Sampling())]
    failed, found = model.generate(asked)
    assert (failed.text, failed.finish_reason) == ("", "failed")
    assert failed.failure.reason == "not_stored"
    assert "outputs.jsonl has no answer to this prompt" in failed.failure.detail
    assert found.text == "First."


def test_one_answer_is_one_sample(model):
    asked = [Request("row", user("Why is the sky blue?"), Sampling(n=3))]
    found = {one.index: one for one in model.generate(asked)}
    assert found[0].text == "It scatters light."
    assert {found[k].failure.reason for k in (1, 2)} == {"not_stored"}


def test_nothing_stored_is_likely(model):
    [found] = model.loglikelihood([Continuation("c", "Why is the sky blue?", " It")])
    assert math.isnan(found.logprob)
    assert found.failure.reason == "no_likelihood"


def test_the_fingerprint_names_who_answered(model, ref):
    assert model.ref.known_as.startswith("M0 (m@")
    assert model.ref.location == ref.location
    assert model.count_tokens(user("Why?")) == len("user: Why?")


def test_a_file_that_is_not_there_is_one_line(tmp_path):
    missing = ModelRef(location=str(tmp_path / "nowhere.json"))
    with pytest.raises(DataError, match="does not exist"), Stored(Stored.Config()).open(missing):
        pass
