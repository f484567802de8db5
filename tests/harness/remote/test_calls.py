from dataclasses import replace

import pytest

from harness.errors import ConfigError
from harness.protocols import Continuation, Message, Request, Sampling, user
from harness.remote.calls import Target, chat, estimate_tokens, text, whole

TARGET = Target(host="h", model="judge", pinned=None, reasoning_effort=None)
ROW = Request("row", user("Which is better?"), Sampling(temperature=0, max_tokens=8))


def keys(target=TARGET, **changes):
    return [call.key for call in target.calls([replace(ROW, **changes)])]


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": user("Which is best?")},
        {"prompt": (Message("system", "Judge."), Message("user", "Which is better?"))},
        {"prompt": "Which is better?"},
        {"prompt": (1, 2, 3)},
        {"sampling": replace(ROW.sampling, temperature=0.5)},
        {"sampling": replace(ROW.sampling, top_p=0.5)},
        {"sampling": replace(ROW.sampling, max_tokens=9)},
        {"sampling": replace(ROW.sampling, stop=("\n",))},
        {"sampling": replace(ROW.sampling, top_logprobs=5)},
        {"sampling": replace(ROW.sampling, seed=1)},
    ],
)
def test_a_key_depends_on_all_that_is_asked(change):
    assert keys(**change) != keys()
    assert keys(**change) == keys(**change)


@pytest.mark.parametrize(
    "change",
    [{"host": "i"}, {"model": "judge-2"}, {"pinned": "judge-1"}, {"reasoning_effort": "low"}],
)
def test_a_key_depends_on_who_is_asked(change):
    model = {"model": "open-model"}
    assert keys(replace(TARGET, **model | change)) != keys(replace(TARGET, **model))


def test_samples_have_keys_and_seeds_of_their_own():
    drawn = Request("row", ROW.prompt, Sampling(n=3, temperature=1))
    calls = TARGET.calls([drawn])
    assert len({call.key for call in calls}) == len({call.body["seed"] for call in calls}) == 3
    assert all(0 <= call.body["seed"] < 2**31 and call.body["n"] == 1 for call in calls)
    [first] = TARGET.calls([replace(drawn, sampling=replace(drawn.sampling, n=1))])
    assert first.key == calls[0].key


def test_a_row_that_asks_the_same_greedily_is_the_same_call():
    [call] = TARGET.calls([ROW, replace(ROW, id="other")])
    assert [(request.id, index) for request, index in call.rows] == [("row", 0), ("other", 0)]
    drawn = [replace(ROW, id=id, sampling=Sampling(temperature=1)) for id in ("row", "other")]
    assert len(TARGET.calls(drawn)) == 2


def test_bounds_and_estimates_of_tokens():
    [call] = TARGET.calls([replace(ROW, prompt=user("é" * 10))])
    assert call.most_input_tokens == 20 + 16
    assert call.most_output_tokens == 8
    [reasoning] = replace(TARGET, model="gpt-6-sol", reasoning_effort="none").calls([ROW])
    assert reasoning.most_output_tokens == 8
    assert estimate_tokens("") == 0
    assert estimate_tokens("abcde") == 2


def test_a_sampling_that_the_family_cannot_honour_is_refused():
    with pytest.raises(ConfigError, match="temperature"):
        replace(TARGET, model="gpt-6-sol").calls([ROW])


def test_what_a_conversation_is_and_what_is_text():
    assert chat(ROW.prompt) == [Message("user", "Which is better?")]
    assert [chat(prompt) for prompt in ("text", (1, 2), ())] == [None] * 3
    assert [text(prompt) for prompt in ("text", (1, 2), ())] == ["text", [1, 2], []]


def test_text_and_token_ids_are_completed_as_they_are():
    sampling = Sampling(n=2, temperature=0.7, top_p=0.9, max_tokens=8, stop=("\n",), top_logprobs=4)
    calls = TARGET.calls([Request("text", "Once", sampling), Request("ids", (4, 5), sampling)])
    assert [call.body["prompt"] for call in calls] == ["Once", "Once", [4, 5], [4, 5]]
    assert len({call.body["seed"] for call in calls}) == len({call.key for call in calls}) == 4
    expected = {"max_tokens": 8, "n": 1, "temperature": 0.7, "top_p": 0.9, "stop": ["\n"]}
    assert all(call.body | expected | {"logprobs": 4} == call.body for call in calls)
    assert [call.most_input_tokens for call in calls] == [4 + 16, 4 + 16, 2 + 16, 2 + 16]
    [one] = TARGET.calls([Request("text", "Once", Sampling(logprobs=True))])
    assert one.body["logprobs"] == 1
    [none] = TARGET.calls([Request("text", "Once", Sampling())])
    assert none.body.keys().isdisjoint({"logprobs", "stop", "echo"})


def test_continuations_are_sent_with_their_prompts_each_once():
    rows = [
        Continuation("a", "The sky is", " blue"),
        Continuation("b", "The sky is", " blue"),
        Continuation("c", "The sky", " is blue"),
        Continuation("d", (1, 2), (3,)),
    ]
    first, parted, ids = TARGET.scoring(rows)
    assert [[one.id for one in call.scored] for call in (first, parted, ids)] == [
        ["a", "b"],
        ["c"],
        ["d"],
    ]
    assert first.body == parted.body
    assert first.key != parted.key
    assert (first.body["prompt"], ids.body["prompt"]) == ("The sky is blue", [1, 2, 3])
    assert [whole(row) for row in rows[2:]] == ["The sky is blue", [1, 2, 3]]
    assert (first.body["echo"], first.body["logprobs"], first.most_output_tokens) == (True, 1, 1)
