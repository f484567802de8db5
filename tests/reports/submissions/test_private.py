"""What is a place on a machine, and what only looks like one."""

import json
from string import ascii_lowercase

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.submissions.private import places, scrub


@pytest.mark.parametrize(
    ("text", "scrubbed"),
    [
        ("judge (/home/ann/models/llama)", "judge (llama)"),
        ("/home/ann", "home"),
        ("at /Users/ann/", "at home"),
        ("~/models/llama", "llama"),
        ("~ann/models/llama", "llama"),
        ("file:///srv/data/x.json", "x.json"),
        (r"C:\Users\ann\models", "models"),
        ("a@/srv/models/llama", "a@llama"),
        ("data /srv/x/a.jsonl, answers T=0.7", "data a.jsonl, answers T=0.7"),
    ],
)
def test_places_become_their_last_part(text, scrubbed):
    assert scrub(text) == scrubbed
    assert places(text)
    assert places(scrub(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "https://huggingface.co/datasets/openai/gsm8k",
        "org/model",
        "win/tie/loss",
        "n/a",
        "lm_eval/tasks/arc/arc_easy.yaml",
        "alpaca_eval_clf@784227e6dc28",
        "T=0.7 top_p=0.9",
        "</answer>",
        "3 / 4 / 5",
        "./models/llama",
    ],
)
def test_other_texts_stay(text):
    assert scrub(text) == text
    assert places(text) == []


names = st.text(ascii_lowercase, min_size=1, max_size=8)
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=20)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=8,
)


@given(values, names, names)
def test_no_home_is_left_and_the_shape_stays(value, user, model):
    hidden = {"kept": value, "where": [f"of /home/{user}xyz/models/{model} it is"]}
    found = scrub(hidden)
    assert found["where"] == [f"of {model} it is"]
    assert f"/home/{user}xyz" not in json.dumps(found)
    assert scrub(found) == found
    assert places(found) == []
