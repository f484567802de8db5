from dataclasses import replace

import pytest

from harness.errors import ConfigError
from harness.protocols import Message, Request, Sampling, user
from harness.remote.calls import Target, chat, estimate_tokens

TARGET = Target(host="h", model="judge", pinned=None, reasoning_effort=None)
ROW = Request("row", user("Which is better?"), Sampling(temperature=0, max_tokens=8))


def keys(target=TARGET, **changes):
    return [call.key for call in target.calls([replace(ROW, **changes)])]


@pytest.mark.parametrize(
    "change",
    [
        {"prompt": user("Which is best?")},
        {"prompt": (Message("system", "Judge."), Message("user", "Which is better?"))},
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


def test_what_a_conversation_is():
    assert chat(ROW) == [Message("user", "Which is better?")]
    for prompt in ("text", (1, 2), ()):
        assert chat(replace(ROW, prompt=prompt)) is None
