import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.remote.replies import (
    ANSWERS,
    FAILURES,
    FATAL,
    PASSING,
    Heard,
    Status,
    Usage,
    read,
)


def completion(content="m", finish="stop", **message):
    return {
        "model": "judge-1",
        "system_fingerprint": "fp",
        "service_tier": "default",
        "choices": [{"message": {"content": content, **message}, "finish_reason": finish}],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 3,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


def test_an_answer():
    reply = read(Heard(http=200, body=completion()))
    assert reply.status == "ok"
    assert (reply.answer.text, reply.answer.finish_reason) == ("m", "stop")
    assert (reply.served, reply.system_fingerprint, reply.service_tier) == (
        "judge-1",
        "fp",
        "default",
    )
    assert reply.usage == Usage(10, 3, 4, 2)


def error(http, message="no", code=None):
    return Heard(http=http, body={"error": {"message": message, "code": code, "type": "x"}})


@pytest.mark.parametrize(
    ("heard", "status"),
    [
        (Heard(http=200, body=completion(finish="length")), "truncated"),
        (Heard(http=200, body=completion("", finish="length")), "truncated"),
        (Heard(http=200, body=completion("")), "empty"),
        (Heard(http=200, body=completion(None)), "empty"),
        (Heard(http=200, body=completion(None, refusal="I will not.")), "refused"),
        (Heard(http=200, body=completion("half", finish="content_filter")), "refused"),
        (Heard(http=200, body={"choices": []}), "garbage"),
        (Heard(http=200, body={"object": "error"}), "garbage"),
        (Heard(http=200, body=[1, 2]), "garbage"),
        (Heard(http=200, text="<html>"), "garbage"),
        (Heard(lost="time_out"), "time_out"),
        (Heard(lost="connection"), "connection"),
        (error(429), "rate_limited"),
        (error(429, code="insufficient_quota"), "no_money"),
        (error(402), "no_money"),
        (error(408), "time_out"),
        (error(409), "server_error"),
        (error(500), "server_error"),
        (Heard(http=502, text="<html>bad gateway</html>"), "server_error"),
        (error(529), "server_error"),
        (error(401), "no_key"),
        (error(403), "no_key"),
        (error(404), "no_model"),
        (error(413), "prompt_too_long"),
        (error(400, code="context_length_exceeded"), "prompt_too_long"),
        (error(400, "This model's maximum context length is 4096 tokens."), "prompt_too_long"),
        (error(400, "The input (5000 tokens) is longer than the model's context length"),
         "prompt_too_long"),
        (error(400, code="content_filter"), "refused"),
        (error(400, "rejected as a result of our safety system"), "refused"),
        (error(400, "Unsupported parameter: 'seed'"), "bad_request"),
        (error(422, "value is not a valid integer"), "bad_request"),
        (Heard(http=400, body={"object": "error", "message": "maximum context length"}),
         "prompt_too_long"),
        (Heard(http=400, body={"error": "context window exceeded"}), "prompt_too_long"),
    ],
)  # fmt: skip
def test_what_happens_next_is_told_by_the_status(heard, status):
    reply = read(heard)
    assert reply.status == status
    assert (reply.answer is not None) == (status in {"ok", "truncated", "empty"})


def test_every_status_has_one_consequence():
    groups = [ANSWERS, FAILURES, PASSING, FATAL, {"bad_request", "cancelled"}]
    assert sum(map(len, groups)) == len(set().union(*groups)) == len(Status.__args__)


def token(text, logprob, *top):
    return {
        "token": text,
        "logprob": logprob,
        "top_logprobs": [{"token": one, "logprob": value} for one, value in top],
    }


def test_token_probabilities_best_first_without_the_impossible():
    body = completion()
    body["choices"][0]["logprobs"] = {
        "content": [token("m", -0.3, ("M", -1.5), ("m", -0.3), ("x", -9999.0)), token(".", -0.1)]
    }
    first, second = read(Heard(http=200, body=body)).answer.tokens
    assert (first.text, first.logprob) == ("m", -0.3)
    assert first.alternatives == (("m", -0.3), ("M", -1.5))
    assert second.alternatives == ()


@pytest.mark.parametrize("content", [None, [], [{"token": "m"}], "m", [None]])
def test_token_probabilities_that_cannot_be_read_are_none(content):
    body = completion()
    body["choices"][0]["logprobs"] = {"content": content}
    assert read(Heard(http=200, body=body)).answer.tokens is None


json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "error", "code", "usage", "prompt_tokens",
                 "logprobs", "finish_reason", "model", "token", "logprob", "top_logprobs"]
            ),
            inside,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.sampled_from([200, 400, 404, 429, 500]), json)
def test_nothing_a_server_says_is_too_much(http, body):
    reply = read(Heard(http=http, body=body))
    assert reply.status in Status.__args__
    for given_ in (reply.usage.input_tokens, reply.usage.output_tokens):
        assert given_ is None or math.isfinite(given_)
