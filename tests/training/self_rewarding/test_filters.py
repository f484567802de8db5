"""Which prompts are kept: Self-Instruct's filters, measured against the rouge_score library."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from rouge_score.rouge_scorer import RougeScorer

from training.self_rewarding.filters import Filters, Pool, cut, objection

SCORER = RougeScorer(["rougeL"])
TEXT = st.text(alphabet="ab c", max_size=24)


@pytest.mark.parametrize(
    ("text", "prompt"),
    [
        (" Name a bird.", "Name a bird."),
        ("Task 9: Name a bird.\nTask 10: Name a fish.", "Name a bird."),
        ("Name a bird.\n---\nA robin.", "Name a bird."),
        ("Name a bird.\n\n**Answer:** A robin.", "Name a bird."),
        ("Name a bird.\nResponse: A robin.", "Name a bird."),
        ("1. Name a bird.\n2. Name a fish.", "Name a bird."),
        ('"Name a bird."', "Name a bird."),
        ('"Yes" and "no"', '"Yes" and "no"'),
        ("Name a bird:\n- big\n- blue", "Name a bird:\n- big\n- blue"),
        ("Give the answer: yes or no?", "Give the answer: yes or no?"),
        ("\n---\nA robin.", ""),
    ],
)
def test_cut(text: str, prompt: str) -> None:
    assert cut(text) == prompt


@pytest.mark.parametrize(
    ("prompt", "reason"),
    [
        ("", "empty"),
        ("Only three words", "too_short"),
        ("Now these are four", None),
        ("word " * 150, None),
        ("word " * 151, "too_long"),
        ("Make a pretty Picture of it", "keyword"),
        ("Where would you go to sleep", "keyword"),
        ("Tell me about photography and mapping", None),
        ("Write a program that sorts", "beginning"),
        ("(Say) this and that", "punctuation"),
        ("Était-ce un bon jour", "not_ascii"),
        ("Was it été or hiver", None),
    ],
)
def test_objections(prompt: str, reason: str | None) -> None:
    assert objection(prompt, Filters()) == reason


@example(pool=["a b b"], prompt="b b a", limit=0.6)
@example(pool=["a a b c c a a b b b"], prompt="a b c a b", limit=2 / 3)
@given(
    pool=st.lists(TEXT, max_size=6),
    prompt=TEXT,
    limit=st.sampled_from([0.1, 0.5, 2 / 3, 0.7, 0.9, 1.0]),
)
def test_similar_is_what_the_rouge_score_library_says(
    pool: list[str], prompt: str, limit: float
) -> None:
    said = Pool(pool).objection(prompt, limit)
    if said == "duplicate":
        assert prompt.split() in [other.split() for other in pool]
        return
    # The library rounds where precision and recall are divided, so leave out exact equality.
    scores = [SCORER.score(other, prompt)["rougeL"].fmeasure for other in pool]
    if any(abs(score - limit) < 1e-9 for score in scores):
        return
    assert (said == "similar") == any(score > limit for score in scores)


@given(prompts=st.lists(TEXT, max_size=12))
def test_of_equal_prompts_only_the_first_is_new(prompts: list[str]) -> None:
    pool, kept = Pool(), []
    for prompt in prompts:
        if pool.objection(prompt, 1.0) is None:
            pool.add(prompt)
            kept.append(" ".join(prompt.split()))
    assert len(kept) == len(set(kept)) == len({" ".join(prompt.split()) for prompt in prompts})
