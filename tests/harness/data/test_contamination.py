"""Which evaluation questions training has seen, and the overlaps of public sets as measured."""

import doctest
import random
import string
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.data import contamination
from harness.data.contamination import SHARE, WORDS, Overlap, overlap
from harness.data.files import read_table
from tests.shared_data import shared

LONG = "Write a short story about a lighthouse keeper who finds a letter in a bottle."


def test_the_example_is_true():
    result = doctest.testmod(contamination)
    assert result.attempted and not result.failed


def test_exact_is_up_to_case_and_white_space():
    questions = {"a": LONG, "b": "Name a bird.", "c": "Name a bird"}
    found = overlap(questions, [LONG.upper().replace(" ", "\n "), "name  a bird."])
    assert found == Overlap(questions=3, prompts=2, exact=("a", "b"), near=())


@pytest.mark.parametrize(
    ("prompt", "near"),
    [
        (f"Please: {LONG} Use simple words!", True),
        (LONG.replace(",", "").replace(".", "").title() + " now", True),
        (LONG.replace("bottle", "box"), True),  # 7 of 8 sequences
        (LONG.replace("lighthouse", "shop"), False),  # 1 of 8
        ("Write a short story about a lighthouse keeper. Who finds a letter?", False),  # 5 of 8
        ("Write a short story about a lighthouse keeper. Who finds a letter in", True),  # 6 of 8
        ("A bottle in a letter finds who keeper lighthouse a about story short a write", False),
        ("Write a short story about a dog.", False),
    ],
)
def test_near_is_most_of_the_wording(prompt, near):
    found = overlap({"a": LONG}, [prompt])
    assert (found.exact, found.near) == ((), ("a",) if near else ())


def test_the_share_that_makes_it_near():
    words = [f"w{n}" for n in range(WORDS + 9)]  # ten sequences
    question = " ".join(words)
    cut = " ".join([*words[: WORDS + 6], "end"])  # seven of them
    assert round(SHARE * 10) == 7
    assert overlap({"a": question}, [cut]).near == ("a",)
    assert overlap({"a": question}, [" ".join([*words[: WORDS + 5], "end"])]).near == ()


def test_wording_may_come_from_several_prompts():
    words = LONG.split()
    halves = [" ".join(words[:11]) + " and", "and " + " ".join(words[3:])]
    assert overlap({"a": LONG}, halves).near == ("a",)


def test_a_short_question_only_matches_exactly():
    question = "Why is the sky blue at noon?"  # seven words
    assert overlap({"a": question}, [f"{question} Explain."]).near == ()
    assert overlap({"a": f"{question} Explain."}, [f"So {question} Explain."]).near == ("a",)


def test_nothing_was_trained_on():
    assert overlap({"a": LONG}, []) == Overlap(questions=1, prompts=0)
    assert overlap({}, [LONG]) == Overlap(questions=0, prompts=1)
    assert overlap({"a": ""}, ["", LONG]).exact == ("a",)


TEXTS = st.text(string.ascii_letters + " .,\n", max_size=60) | st.sampled_from([LONG, LONG.upper()])


@given(st.dictionaries(st.text(min_size=1), TEXTS), st.lists(TEXTS))
def test_properties(questions, training):
    found = overlap(questions, iter(training))
    assert set(found.exact).isdisjoint(found.near)
    assert list(found.exact) == [id for id in questions if id in found.exact]
    assert set(found.exact) | set(found.near) <= questions.keys()
    assert set(found.exact) >= {id for id, text in questions.items() if text in training}
    assert overlap(questions, training[::-1] * 2) == found
    assert set(overlap(questions, questions.values()).exact) == questions.keys()


def test_ten_thousand_prompts_take_no_time():
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices(string.ascii_lowercase, k=5)) for _ in range(5000)]
    training = [" ".join(rng.choices(vocabulary, k=40)) for _ in range(10_000)]
    questions = {str(n): text for n, text in enumerate(training[::13])}
    start = time.process_time()
    assert len(overlap(questions, training).exact) == len(questions) == 770
    assert time.process_time() - start < 5  # a fifth of a second; quadratic would be minutes


def rows(name):
    return read_table(str(shared(name))).rows


def questions(name, *columns):
    """Join the columns of every row, as one question with its input is."""
    return {
        str(place): "\n\n".join(row[column] for column in columns if row[column])
        for place, row in enumerate(rows(name))
    }


def self_instruct(name):
    return {
        row["id"]: "\n\n".join(filter(None, (row["instruction"], row["instances"][0]["input"])))
        for row in rows(name)
    }


def first_turns():
    return {str(row["question_id"]): row["turns"][0] for row in rows("mt_bench/question.jsonl")}


def mmlu(split):
    return {
        str(place): "\n".join((row["question"], *row["choices"]))
        for place, row in enumerate(rows(f"nlp/mmlu_{split}.jsonl"))
    }


def roots(name):
    if "parent_id" in rows(name)[0]:
        return {r["message_id"]: r["text"] for r in rows(name) if r["parent_id"] is None}
    return {row["message_tree_id"]: row["prompt"]["text"] for row in rows(name)}


ALPACA_EVAL = "alpaca_eval/model_outputs/gpt4_1106_preview.json"
PREFERENCES = "preferences/oasst"


@pytest.mark.parametrize(
    ("read", "known"),
    [
        (lambda: self_instruct("seeds/self_instruct_user_oriented_252.jsonl"), 252),
        (lambda: questions("seeds/koala_test_set.jsonl", "prompt"), 144),
        (lambda: questions("head_to_head/vicuna_blog/question.jsonl", "text"), 80),
        (lambda: roots(f"{PREFERENCES}1_en_validation.jsonl"), 188),
        (lambda: questions("preferences/pandalm/testset-v1.json", "instruction", "input"), 168),
        (lambda: questions(f"{PREFERENCES}_eft_ranked.jsonl", "question"), 69),
        (lambda: questions(f"{PREFERENCES}2_eft_quality.jsonl", "prompt_text"), 16),
        (lambda: roots(f"{PREFERENCES}_en_100_tree.jsonl"), 6),
        (lambda: roots(f"{PREFERENCES}2_filtered_trees.jsonl.gz"), 2),
        (first_turns, 2),
        (lambda: questions("preferences/llmbar/LLMBar_Natural.json", "input"), 1),
        (lambda: questions("seeds/dolly_5k.jsonl.gz", "instruction", "input"), 1),
        (lambda: questions("seeds/rasbt_instruction-data.json", "instruction", "input"), 1),
    ],
)
def test_alpaca_evals_prompts_in_public_sets(read, known):
    found = overlap(questions(ALPACA_EVAL, "instruction"), read().values())
    assert found.questions == 805
    assert len(found.exact) == known


@pytest.mark.parametrize(
    ("read", "training", "known"),
    [
        (first_turns, lambda: questions("head_to_head/vicuna_blog/question.jsonl", "text"), 2),
        (first_turns, lambda: questions("preferences/llmbar/LLMBar_Natural.json", "input"), 1),
        (
            lambda: questions("preferences/llmbar/LLMBar_Natural.json", "input"),
            lambda: questions(f"{PREFERENCES}_eft_ranked.jsonl", "question"),
            2,
        ),
        (
            lambda: questions("nlp/arc_easy_test.jsonl", "question"),
            lambda: questions("nlp/arc_easy_train.jsonl", "question"),
            7,
        ),
        (lambda: mmlu("test"), lambda: mmlu("dev"), 5),
    ],
)
def test_smaller_overlaps_of_public_sets(read, training, known):
    assert len(overlap(read(), training().values()).exact) == known


def test_rewordings_are_near():
    """Koala's set has prompts that differ from AlpacaEval's in a word or a comma."""
    koala = questions("seeds/koala_test_set.jsonl", "prompt")
    found = overlap(questions(ALPACA_EVAL, "instruction"), koala.values())
    assert len(found.near) == 11
