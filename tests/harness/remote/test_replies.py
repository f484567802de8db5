import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.protocols import Continuation
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


def continued(text=" blue", finish="stop", logprobs=None):
    return {
        "model": "judge-1",
        "choices": [{"text": text, "finish_reason": finish, "logprobs": logprobs}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }


def side_by_side(*tokens):
    texts, values, tops = zip(*tokens, strict=True)
    return {"tokens": texts, "token_logprobs": values, "top_logprobs": tops}


def test_a_text_that_was_continued():
    logprobs = side_by_side((" bl", -0.5, {" bl": -0.5, " re": -2.0}), ("ue", -1.5, {"x": -0.5}))
    reply = read(Heard(http=200, body=continued(logprobs=logprobs)))
    assert (reply.status, reply.answer.text, reply.usage.input_tokens) == ("ok", " blue", 3)
    assert reply.answer.tokens == (
        (" bl", -0.5, ((" bl", -0.5), (" re", -2.0))),
        ("ue", -1.5, (("x", -0.5),)),
    )
    assert read(Heard(http=200, body=continued(finish="length"))).status == "truncated"
    assert read(Heard(http=200, body=continued(""))).status == "ok"  # it was at its end
    bare = {"tokens": ["a"], "token_logprobs": [-1.0], "top_logprobs": None}
    [token] = read(Heard(http=200, body=continued(logprobs=bare))).answer.tokens
    assert token == ("a", -1.0, ())


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        side_by_side(("a", None, None)),
        side_by_side(("a", "b", {})),
        side_by_side((1, -1.0, {})),
        {"tokens": ["a", "b"], "token_logprobs": [-1.0], "top_logprobs": [{}]},
        {"tokens": [], "token_logprobs": [], "top_logprobs": []},
    ],
)
def test_probabilities_of_text_that_cannot_be_read_are_none(logprobs):
    assert read(Heard(http=200, body=continued(logprobs=logprobs))).answer.tokens is None


SCORED = Continuation("c", "The sky", " is")
READ_BACK = side_by_side(
    ("The", None, None),
    (" sky", -3.0, {" sky": -3.0, " dog": -1.0}),
    (" is", -0.2, {" is": -0.2}),
    (" blue", -0.1, {" blue": -0.1}),
)


def test_of_a_text_that_was_read_back_the_continuation_is_kept():
    reply = read(Heard(http=200, body=continued("The sky is blue", "length", READ_BACK)), SCORED)
    assert reply.status == "ok"
    assert reply.answer.tokens == ((" is", -0.2, ((" is", -0.2),)),)
    assert (reply.answer.text, reply.answer.served) == (" is", "judge-1")


@pytest.mark.parametrize(
    ("heard", "status"),
    [
        (Heard(http=200, body=continued(" blue", "length")), "no_likelihood"),
        (Heard(http=200, body=continued(logprobs=side_by_side((" b", -1, None)))), "no_likelihood"),
        (Heard(http=404, body={"detail": "Not Found"}), "no_likelihood"),
        (Heard(http=404, body={"error": {"message": "not supported in the v1/completions"}}),
         "no_likelihood"),
        (Heard(http=400, body={"error": {"message": "'echo' is not supported"}}), "no_likelihood"),
        (Heard(http=404, body={"error": {"message": "The model `m` does not exist."}}), "no_model"),
        (Heard(http=400, body={"error": {"message": "maximum context length is 8"}}),
         "prompt_too_long"),
        (Heard(http=429, body={"error": {"message": "slow"}}), "rate_limited"),
        (Heard(http=200, body={"choices": []}), "garbage"),
    ],
)  # fmt: skip
def test_a_likelihood_that_is_not_told(heard, status):
    reply = read(heard, SCORED)
    assert (reply.status, reply.answer) == (status, None)
    assert reply.detail


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
        (error(400, "The decoder prompt (length 384) plus the number of requested output tokens "
                    "(at least 1) is longer than the maximum model length of 384."),
         "prompt_too_long"),
        (error(400, "max_tokens must be at least 1, got 0. (parameter=max_tokens, value=0)"),
         "prompt_too_long"),
        (error(400, code="content_filter"), "refused"),
        (error(400, "rejected as a result of our safety system"), "refused"),
        (error(400, "Unsupported parameter: 'seed'"), "bad_request"),
        (error(400, "Unsupported parameter: 'top_logprobs'"), "no_logprobs"),
        (error(422, "This engine has no log probabilities"), "no_logprobs"),
        (error(500, "logprobs"), "server_error"),
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


@pytest.mark.parametrize(
    "content",
    [None, [], [{"token": "m"}], "m", [None], [token(5, -0.1)], [token("m", 10**400)]],
)
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
                 "logprobs", "finish_reason", "model", "token", "logprob", "top_logprobs",
                 "text", "tokens", "token_logprobs"]
            ),
            inside,
            max_size=4,
        )
    ),
    max_leaves=12,
)  # fmt: skip


@given(st.sampled_from([200, 400, 404, 429, 500]), json, st.sampled_from([None, SCORED]))
def test_nothing_a_server_says_is_too_much(http, body, scored):
    reply = read(Heard(http=http, body=body), scored)
    assert reply.status in Status.__args__
    for given_ in (reply.usage.input_tokens, reply.usage.output_tokens):
        assert given_ is None or math.isfinite(given_)
