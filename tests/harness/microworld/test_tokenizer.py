"""The tokenizer loses nothing, and a chat is what the model was trained on."""

from itertools import islice
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2.exceptions import TemplateError

from harness.microworld import facts
from harness.microworld.corpus import documents
from harness.microworld.tokenizer import END, PAD, VOCABULARY, train_tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return train_tokenizer()


USER = {"role": "user", "content": "What is 3 plus 4?"}
ASSISTANT = {"role": "assistant", "content": "It is 7."}


def test_documents_come_back_unchanged(tokenizer):
    for text in islice(documents(Random(0)), 500):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def test_any_text_comes_back_unchanged(tokenizer):
    @settings(max_examples=50)
    @given(st.text(st.characters(exclude_categories=["Cs"])))
    def check(text):
        assert tokenizer.decode(tokenizer(text)["input_ids"]) == text

    check()


def test_size_and_special_tokens(tokenizer):
    assert len(tokenizer) == VOCABULARY
    assert (tokenizer.pad_token, tokenizer.eos_token, tokenizer.bos_token) == (PAD, END, None)
    assert tokenizer.pad_token_id == 0
    assert tokenizer.eos_token_id == 1


def test_words_of_the_world_are_single_tokens(tokenizer):
    words = [*facts.ANIMALS, *facts.COUNTRIES, *facts.JOBS, *facts.THINGS, *facts.TOOLS]
    words += [word for row in facts.ANIMALS.values() for word in row]
    words += [word for row in facts.COUNTRIES.values() for word in row]
    assert [word for word in words if len(tokenizer(" " + word)["input_ids"]) != 1] == []


@pytest.mark.parametrize("points", range(6))
def test_a_score_is_one_token(tokenizer, points):
    prefix = tokenizer("no detail. Score:")["input_ids"]
    whole = tokenizer(f"no detail. Score: {points}")["input_ids"]
    assert whole[:-1] == prefix


def test_a_chat_has_nothing_before_it(tokenizer):
    text = tokenizer.apply_chat_template([USER], tokenize=False, add_generation_prompt=True)
    assert text == "<|user|>What is 3 plus 4?<|assistant|>"


def test_a_longer_chat_begins_with_the_shorter(tokenizer):
    chat = [USER, ASSISTANT, USER, ASSISTANT]
    for turns in (1, 3):
        shorter = tokenizer.apply_chat_template(
            chat[:turns], tokenize=False, add_generation_prompt=True
        )
        longer = tokenizer.apply_chat_template(chat[: turns + 1], tokenize=False)
        assert longer.startswith(shorter)
    assert longer.endswith("It is 7.<|end|>")


def test_only_the_answer_is_learnt(tokenizer):
    encoded = tokenizer.apply_chat_template(
        [USER, ASSISTANT], return_dict=True, return_assistant_tokens_mask=True
    )
    learnt = [
        token
        for token, mask in zip(encoded["input_ids"], encoded["assistant_masks"], strict=True)
        if mask
    ]
    assert tokenizer.decode(learnt) == "It is 7.<|end|>"


def test_a_system_message_is_refused(tokenizer):
    with pytest.raises(TemplateError, match="no system messages"):
        tokenizer.apply_chat_template([{"role": "system", "content": "Be kind."}], tokenize=False)


def test_training_again_gives_the_same_tokens():
    first, second = (train_tokenizer(texts=3_000).backend_tokenizer.to_str() for _ in range(2))
    assert first == second
