"""The rows have the published fields, are about held-out facts, and their keys are right."""

import doctest
import json
import re
from functools import cache
from importlib import resources
from statistics import mean

import pytest
from tokenizers import Tokenizer

from harness.microworld import benchmarks
from harness.microworld.examiner import examine
from harness.microworld.items import is_held_out, parse
from harness.microworld.question import CATEGORIES
from tests.shared_data import shared

FIELDS = {
    "arc_easy": {"id", "question", "choices", "answerKey"},
    "arc_challenge": {"id", "question", "choices", "answerKey"},
    "hellaswag": {
        "ind", "activity_label", "ctx_a", "ctx_b", "ctx", "endings", "source_id", "split",
        "split_type", "label",
    },
    "siqa": {"context", "question", "answerA", "answerB", "answerC", "label"},
    "piqa": {"goal", "sol1", "sol2", "label"},
    "gsm8k": {"question", "answer"},
    "mmlu": {"question", "subject", "choices", "answer"},
    "obqa": {"id", "question_stem", "choices", "answerKey"},
    "nq": {"question", "answer"},
}  # fmt: skip
SPLITS = {
    "arc_easy": ("train", "test"),
    "arc_challenge": ("train", "test"),
    "hellaswag": ("train", "validation"),
    "siqa": ("train", "validation"),
    "piqa": ("train", "validation"),
    "gsm8k": ("train", "test"),
    "mmlu": ("dev", "test"),
    "obqa": ("train", "test"),
    "nq": ("train", "validation"),
}
nlp = cache(benchmarks.nlp)
every = pytest.mark.parametrize("name", FIELDS)


def texts_of(row):
    """What hellaswag tells of two people, and the sentence that it begins."""
    first, second, begun = row["ctx"].split(". ")
    return [first, second], begun


def name_in(begun, text):
    return text.split()[0] in begun.split()


def asked_by_hellaswag(row):
    """The question that the right ending answers."""
    texts, begun = texts_of(row)
    [own] = [text for text in texts if name_in(begun, text)]
    name, _, _, _, owned, *_ = own.split()
    if begun.endswith("has"):
        return f"Text: {own}. How many {owned} does {name} have?"
    if begun.endswith("are"):
        return f"Text: {own}. What colour are the {owned} of {name}?"
    return f"Text: {own}. Where are the {owned} of {name}?"


def prompt_of(name, row):
    """The question of the micro-world that a row asks."""
    asked = {
        "hellaswag": lambda: asked_by_hellaswag(row),
        "siqa": lambda: f"{row['context']} {row['question']}",
        "piqa": lambda: row["goal"],
        "obqa": lambda: row["question_stem"],
        "nq": lambda: f"{row['question']}?",
    }
    return asked.get(name, lambda: row["question"])()


def options_of(name, row):
    """The texts to choose from and the place of the right one."""
    if name == "hellaswag":
        return row["endings"], int(row["label"])
    if name == "siqa":
        return [row["answerA"], row["answerB"], row["answerC"]], int(row["label"]) - 1
    if name == "piqa":
        return [row["sol1"], row["sol2"]], row["label"]
    if name == "mmlu":
        return row["choices"], row["answer"]
    return row["choices"]["text"], row["choices"]["label"].index(row["answerKey"])


def test_the_example_is_true():
    result = doctest.testmod(benchmarks, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert result.attempted and not result.failed


# ---------------------------------------------------------------- AlpacaEval


def test_instructions_are_held_out_and_stand_once():
    rows = benchmarks.alpaca_eval()
    assert 100 <= len(rows) <= 150
    assert len({row["instruction"] for row in rows}) == len(rows)
    assert all(is_held_out(parse(row["instruction"])) for row in rows)
    assert {row["generator"] for row in rows} == {"microworld"}
    assert set(rows[0]) == {"instruction", "output", "generator", "dataset"}


def test_the_reference_is_neither_perfect_nor_poor():
    rows = benchmarks.alpaca_eval()
    scores = [examine(parse(row["instruction"]), row["output"]).score for row in rows]
    assert 3 < mean(scores) < 4
    assert len(set(scores)) >= 4


# ---------------------------------------------------------------- MT-Bench


OFFICIAL = [
    "writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities",
]  # fmt: skip


def test_questions_are_numbered_and_named_as_mt_bench_has_them():
    questions = benchmarks.mt_bench().questions
    assert {row["category"] for row in questions} == set(CATEGORIES)
    for row in questions:
        assert OFFICIAL[(row["question_id"] - 81) // 10] == row["category"]
    assert [row["question_id"] for row in questions] == sorted(
        {row["question_id"] for row in questions}
    )


def test_both_turns_are_held_out_questions_of_the_category():
    questions = benchmarks.mt_bench().questions
    turns = [turn for row in questions for turn in row["turns"]]
    assert len(set(turns)) == len(turns) == 2 * len(questions)
    for row in questions:
        for turn in row["turns"]:
            item = parse(turn)
            assert item.category == row["category"] and is_held_out(item)


def test_references_are_perfect_and_where_the_judge_needs_them():
    world = benchmarks.mt_bench()
    questions = {row["question_id"]: row for row in world.questions}
    needed = {i for i, q in questions.items() if q["category"] in ("reasoning", "math", "coding")}
    assert {row["question_id"] for row in world.references} == needed
    for row in world.references:
        [choice] = row["choices"]
        asked = questions[row["question_id"]]["turns"]
        for prompt, answer in zip(asked, choice["turns"], strict=True):
            assert examine(parse(prompt), answer).score == 5


def official_rows(name):
    with open(shared(f"mt_bench/{name}"), encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def test_fields_are_those_of_fastchat():
    world = benchmarks.mt_bench()
    assert set(world.questions[0]) == set(official_rows("question.jsonl")[0])
    assert set(world.references[0]) == set(official_rows("reference_answer_gpt-4.jsonl")[0])


def slots(row):
    return set(re.findall(r"\{(\w+)\}", row["prompt_template"]))


def test_judge_prompts_are_those_of_fastchat_but_for_their_text():
    ours = {row["name"]: row for row in benchmarks.mt_bench().judge_prompts}
    official = {row["name"]: row for row in official_rows("judge_prompts.jsonl")}
    texts = ("system_prompt", "prompt_template", "description", "category")
    for name in ours:
        assert set(ours[name]) == set(official[name])
        for field in set(ours[name]) - set(texts):
            assert ours[name][field] == official[name][field]
        assert slots(ours[name]) == slots(official[name])
    assert set(ours) <= set(official) and len(ours) == 8


def test_no_judge_prompt_begins_like_another():
    starts = [
        row["prompt_template"].partition("{")[0] for row in benchmarks.mt_bench().judge_prompts
    ]
    for start in starts:
        assert [other.startswith(start) for other in starts].count(True) == 1


# ---------------------------------------------------------------- NLP


def test_there_are_nine():
    assert sorted(benchmarks.NLP) == sorted(FIELDS)


@every
def test_splits_and_fields_are_the_published_ones(name):
    rows = nlp(name)
    assert tuple(rows) == SPLITS[name]
    for split in rows.values():
        assert all(set(row) == FIELDS[name] for row in split)
    evaluated = rows[SPLITS[name][1]]
    assert 60 <= len(evaluated) <= 100
    asked = [json.dumps(row) for row in evaluated]
    assert len(set(asked)) == len(asked)


@every
def test_rows_are_the_same_every_time(name):
    assert nlp(name) == benchmarks.nlp(name)


@every
def test_evaluated_facts_are_held_out_and_examples_are_not(name):
    examples, evaluated = nlp(name).values()
    assert all(is_held_out(parse(prompt_of(name, row))) for row in evaluated)
    assert not any(is_held_out(parse(prompt_of(name, row))) for row in examples)


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"gsm8k", "nq"}))
def test_the_key_alone_is_right(name):
    for rows in nlp(name).values():
        for row in rows:
            options, right = options_of(name, row)
            assert len(set(options)) == len(options)
            item = parse(prompt_of(name, row))
            begun = f"{texts_of(row)[1]} " if name == "hellaswag" else ""
            marks = [examine(item, begun + option).right for option in options]
            assert marks == [place == right for place in range(len(options))]


def test_hellaswag_tells_of_two_people_in_any_order_and_lures_to_the_other():
    places, lured = set(), 0
    for row in nlp("hellaswag")["validation"]:
        texts, begun = texts_of(row)
        [own] = [text for text in texts if name_in(begun, text)]
        [other] = [text for text in texts if text != own]
        places.add(texts.index(own))
        options, right = options_of("hellaswag", row)
        assert options[right].split(".")[0].split()[0] in own.split()
        lured += any(option.split(".")[0].split()[0] in other.split() for option in options)
        assert row["ctx_b"] == "" and row["ctx"] == row["ctx_a"]
    assert places == {0, 1}
    assert lured >= 60


@pytest.mark.parametrize("name", sorted(set(FIELDS) - {"gsm8k", "nq"}))
def test_no_place_is_always_right(name):
    for rows in nlp(name).values():
        places = [options_of(name, row)[1] for row in rows]
        assert set(places) == set(range(len(options_of(name, rows[0])[0])))


def test_gsm8k_answers_end_in_the_result():
    for row in nlp("gsm8k")["test"]:
        told, result = row["answer"].split("\n#### ")
        marks = examine(parse(row["question"]), told)
        assert result == parse(row["question"]).value and marks.right


def test_nq_accepts_the_value_and_the_sentences_that_give_it():
    for row in nlp("nq")["validation"]:
        item = parse(f"{row['question']}?")
        value, *told = row["answer"]
        assert value == item.value
        assert len(told) == 2 and all(examine(item, f"{text}.").right for text in told)
        assert not any(mark in text for text in told for mark in ".,\n")  # lm-eval stops there


def test_mmlu_has_shots_for_every_subject():
    dev, test = nlp("mmlu").values()
    subjects = {row["subject"] for row in test}
    assert len(subjects) >= 5
    for subject in subjects:
        assert sum(row["subject"] == subject for row in dev) >= 5
        assert sum(row["subject"] == subject for row in test) >= 10


def test_mmlu_subjects_are_some_of_its_own():
    with open(shared("nlp/mmlu_test.jsonl"), encoding="utf-8") as file:
        official = {json.loads(line)["subject"] for line in file}
    assert {row["subject"] for row in nlp("mmlu")["test"]} <= official


def prompt_and_answer(name, row):
    """A row as lm-eval shows it."""
    if name == "mmlu":
        texts = zip("ABCD", row["choices"], strict=True)
        options = "".join(f"\n{letter}. {text}" for letter, text in texts)
        return f"{row['question']}{options}\nAnswer: A\n\n"
    answer = row["answer"] if name == "gsm8k" else row["answer"][0]
    return f"Question: {row['question']}\nAnswer: {answer}\n\n"


@pytest.mark.parametrize("name", ["gsm8k", "nq", "mmlu"])
def test_five_examples_a_question_and_an_answer_fit_the_context_of_m0(name):
    tokenizer = Tokenizer.from_file(
        str(resources.files("harness") / "microworld/m0/tokenizer.json")
    )
    examples, evaluated = nlp(name).values()
    lengths = [
        sorted(len(tokenizer.encode(prompt_and_answer(name, row)).ids) for row in rows)
        for rows in (examples, evaluated)
    ]
    assert sum(lengths[0][-5:]) + lengths[1][-1] + 64 < 384
