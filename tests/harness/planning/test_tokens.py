"""Tokens are counted as the engine counts them, without torch."""

import pytest

from harness.engines.transformers import Transformers
from harness.errors import DataError
from harness.planning.tokens import counter
from harness.protocols import Message, user
from harness.records import ModelRef

MICROWORLD = ModelRef(location="microworld")
PROMPTS = [
    user("What does the dog say?"),
    (Message("user", "Hi"), Message("assistant", "The dog barks."), Message("user", "Why?")),
    "Question: What does the dog do?\nAnswer:",
    (1, 2, 3),
]


def test_counts_are_the_engines():
    ours = counter(MICROWORLD)
    assert ours.exact
    with Transformers(Transformers.Config(device="cpu")).open(MICROWORLD) as model:
        assert [ours.count(one) for one in PROMPTS] == [model.count_tokens(p) for p in PROMPTS]


@pytest.mark.parametrize("location", ["org/model", "./no/such/folder"])
def test_without_a_tokenizer_bytes_are_counted(location):
    found = counter(ModelRef(location=location))
    assert not found.exact
    assert found.count("eight by") == 2
    assert found.count(user("eight by")) == 6


def test_a_chat_template_of_ones_own_is_rendered(tmp_path):
    file = tmp_path / "chat.jinja"
    file.write_text("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    bare = counter(MICROWORLD, file)
    assert bare.count(user("What does the dog say?")) == bare.text("What does the dog say?")
    with pytest.raises(DataError, match="cannot be read"):
        counter(MICROWORLD, tmp_path / "nothing.jinja")


def test_what_a_template_refuses_is_counted_as_text():
    """A judge's prompt with a system message, say, in a world that has none."""
    count = counter(MICROWORLD).count
    asked = count((Message("system", "You are a judge."), Message("user", "Which is better?")))
    assert asked >= count("You are a judge. Which is better?")
