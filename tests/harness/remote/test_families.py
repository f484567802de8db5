import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.errors import ConfigError
from harness.protocols import Message, Sampling
from harness.remote.families import body, family

MESSAGES = (Message("system", "Be short."), Message("user", "Which?"))
GREEDY = Sampling(temperature=0, max_tokens=7)
AS_IT_COMES = Sampling(max_tokens=7)


def asked(model, sampling=AS_IT_COMES, effort=None):
    return body(model, MESSAGES, sampling, effort)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4", "GPT-4 and before"),
        ("gpt-4o-mini-2024-07-18", "GPT-4 and before"),
        ("gpt-4.1", "GPT-4 and before"),
        ("gpt-3.5-turbo", "GPT-4 and before"),
        ("chatgpt-4o-latest", "GPT-4 and before"),
        ("gpt-5", "GPT-5"),
        ("gpt-5-mini-2025-08-07", "GPT-5"),
        ("gpt-5-chat-latest", "GPT-5 chat"),
        ("gpt-5.1", "GPT-5.1 and later"),
        ("gpt-5.6-terra", "GPT-5.1 and later"),
        ("gpt-6-sol", "GPT-5.1 and later"),
        ("openai/gpt-6.1-terra", "GPT-5.1 and later"),
        ("gpt-10", "GPT-5.1 and later"),
        ("o1", "o-series"),
        ("o4-mini-2025-04-16", "o-series"),
        ("meta-llama/Llama-3.3-70B-Instruct", "other"),
        ("openai/gpt-oss-120b", "other"),
        ("gpt2", "other"),
        ("olmo-3", "other"),
        ("me/gpt-5-distilled", "other"),
    ],
)
def test_which_family_a_model_is_of(model, name):
    assert family(model).name == name


def test_a_plain_body_has_every_parameter_written_out():
    sampling = Sampling(
        n=3, temperature=0.7, top_p=0.9, max_tokens=64, stop=("Q:",), seed=5, top_logprobs=4
    )
    assert asked("my-model", sampling) == {
        "model": "my-model",
        "messages": [
            {"role": "system", "content": "Be short."},
            {"role": "user", "content": "Which?"},
        ],
        "max_tokens": 64,
        "n": 3,
        "seed": 5,
        "temperature": 0.7,
        "top_p": 0.9,
        "stop": ["Q:"],
        "logprobs": True,
        "top_logprobs": 4,
    }


def test_a_turn_that_the_assistant_has_begun_is_gone_on_with():
    begun = (*MESSAGES, Message("assistant", "Score: "))
    sent = body("my-model", begun, GREEDY, None)
    assert sent["messages"][-1] == {"role": "assistant", "content": "Score:"}
    assert (sent["continue_final_message"], sent["add_generation_prompt"]) == (True, False)
    assert sent["max_tokens"] == 8, "one more, for a space that may come first"
    assert "continue_final_message" not in asked("my-model")
    for model, effort in (("gpt-4.1", None), ("gpt-6-sol", "none")):
        with pytest.raises(ConfigError, match=r"goes on with none.*vLLM or SGLang"):
            body(model, begun, GREEDY, effort)


def test_a_server_never_chooses_the_temperature_of_a_model_that_has_one():
    assert {"temperature": 1.0, "top_p": 1.0}.items() <= asked("my-model").items()


def test_what_is_not_asked_is_not_sent():
    assert not asked("gpt-4.1").keys() & {"stop", "logprobs", "top_logprobs", "reasoning_effort"}
    only_sampled = asked("gpt-4.1", dataclasses.replace(GREEDY, logprobs=True))
    assert only_sampled["logprobs"] is True
    assert "top_logprobs" not in only_sampled


@pytest.mark.parametrize(
    ("model", "limit"),
    [
        ("gpt-4.1", "max_tokens"),
        ("llama", "max_tokens"),
        ("gpt-5", "max_completion_tokens"),
        ("gpt-6-sol", "max_completion_tokens"),
        ("o3", "max_completion_tokens"),
    ],
)
def test_the_token_limit_has_the_familys_name(model, limit):
    limits = {key: value for key, value in asked(model).items() if key.startswith("max_")}
    assert limits == {limit: 7}


@pytest.mark.parametrize("effort", [None, "low", "high"])
def test_a_model_that_reasons_is_not_sent_what_it_refuses(effort):
    for model in ("gpt-6-sol", "gpt-5", "o3"):
        sent = asked(model, AS_IT_COMES, effort)
        assert not sent.keys() & {"temperature", "top_p", "logprobs", "stop"}
        assert sent.get("reasoning_effort") == effort


def test_without_reasoning_a_later_model_is_greedy_and_gives_log_probabilities():
    sent = asked("gpt-6-sol", dataclasses.replace(GREEDY, top_logprobs=5, stop=("\n",)), "none")
    assert sent["temperature"] == 0
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 5)
    assert sent["stop"] == ["\n"]
    assert sent["reasoning_effort"] == "none"


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"temperature": 0}, "temperature 0;"),
        ({"temperature": 0.7}, "temperature 0.7"),
        ({"top_p": 0.9}, "top_p 0.9"),
        ({"logprobs": True}, "log-probabilities;"),
        ({"top_logprobs": 2}, "log-probabilities;"),
        ({"stop": ("\n",)}, "stop strings;"),
    ],
)
def test_a_sampling_that_cannot_be_honoured_is_refused_not_changed(change, named):
    sampling = dataclasses.replace(AS_IT_COMES, **change)
    with pytest.raises(ConfigError, match="gpt-6-sol reasons") as refused:
        asked("gpt-6-sol", sampling, "low")
    assert named in str(refused.value)
    assert 'set reasoning_effort = "none"' in str(refused.value)
    for model in ("gpt-5", "o3"):
        with pytest.raises(ConfigError, match="never does without: take another judge"):
            asked(model, sampling)


def test_an_effort_that_the_family_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"gpt-4\.1 takes no reasoning_effort .* 'none' .*leave"):
        asked("gpt-4.1", GREEDY, "none")
    for model in ("gpt-5", "o3"):
        with pytest.raises(ConfigError, match="always reasons"):
            asked(model, AS_IT_COMES, "none")


def test_a_model_of_no_known_family_is_sent_whatever_is_asked():
    sent = asked("openai/gpt-oss-20b", GREEDY, "high")
    assert (sent["temperature"], sent["reasoning_effort"]) == (0, "high")


@given(st.text())
def test_every_name_is_of_some_family(model):
    assert family(model).name
