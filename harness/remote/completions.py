"""What calls came to, as whoever asked gets it: completions and likelihoods, or their failures.

Reply("ok", Answer("m", ...))      Completion(id="017", index=0, text="m")
Reply("rate_limited")              Completion(id="017", index=0, text="", failure=Failure(...))
"""

from collections.abc import Iterator

from harness.protocols import Completion, Continuation, LogLikelihood, Request, Step
from harness.records import Failure
from harness.remote.answers import Answer, Token
from harness.remote.calls import Call, begun, chat, text
from harness.remote.replies import IMPOSSIBLE, Reply


def completions(call: Call, reply: Reply) -> list[Completion]:
    """What a call came to, for everybody who asked."""
    if reply.answer is not None:
        return [_completion(request, index, reply.answer) for request, index in call.rows]
    failure = Failure(reason=reply.status, detail=reply.detail)
    return [_failed(request.id, index, failure) for request, index in call.rows]


def _completion(request: Request, index: int, answer: Answer) -> Completion:
    if begun(request.prompt):
        answer = _gone_on(answer, request.sampling.max_tokens)
    tokens, sampling = answer.tokens, request.sampling
    logprobs = steps = None
    if tokens is not None and sampling.logprobs:
        logprobs = tuple(token.logprob for token in tokens)
    if tokens is not None and sampling.top_logprobs:
        # Some servers add the sampled token where it is not one of them.
        most = sampling.top_logprobs
        steps = tuple(Step(token.text, token.alternatives[:most]) for token in tokens)
    return Completion(
        id=request.id,
        index=index,
        text=answer.text,
        finish_reason=answer.finish_reason,
        logprobs=logprobs,
        steps=steps,
    )


def _gone_on(answer: Answer, most: int) -> Answer:
    """Leave out the space that may come first after an assistant's turn; see `families`."""
    if answer.tokens is None:
        return answer
    said = answer.tokens[1:] if not answer.tokens[0].text.strip() else answer.tokens
    kept = said[:most]
    text = "".join(token.text for token in kept)
    reason = answer.finish_reason if len(kept) == len(said) else "length"
    return answer.model_copy(update={"text": text, "tokens": kept, "finish_reason": reason})


def refused(request: Request, reason: str, detail: str) -> Iterator[Completion]:
    """Fail every sample of a request that no server is asked for."""
    for index in range(request.sampling.n):
        yield _failed(request.id, index, Failure(reason=reason, detail=detail))


def _failed(id: str, index: int, failure: Failure) -> Completion:
    return Completion(id=id, index=index, text="", finish_reason="failed", failure=failure)


def likelihoods(call: Call, reply: Reply) -> list[LogLikelihood]:
    """What a call that scores a continuation came to, for everybody who asked."""
    if reply.answer is None or reply.answer.tokens is None:
        failure = Failure(reason=reply.status, detail=reply.detail)
        return [unscored(request, failure) for request in call.scored]
    tokens = reply.answer.tokens
    return [
        LogLikelihood(
            id=request.id,
            logprob=sum(map(_logprob, tokens)),
            tokens=len(tokens),
            greedy=all(token.logprob >= token.alternatives[0][1] for token in tokens),
        )
        for request in call.scored
    ]


def _logprob(token: Token) -> float:
    return token.logprob if token.logprob > IMPOSSIBLE else float("-inf")


def unscorable(request: Continuation) -> Failure | None:
    """Say why no server could score a continuation."""
    if not request.continuation:
        return Failure(reason="empty_continuation")
    why = None
    if chat(request.prompt):
        why = "the server alone has the chat template, and scores no answer to a conversation"
    elif isinstance(text(request.prompt), str) != isinstance(request.continuation, str):
        why = "the server alone has the tokenizer: text goes with text, token ids with token ids"
    return Failure(reason="no_likelihood", detail=why) if why else None


def unscored(request: Continuation, failure: Failure) -> LogLikelihood:
    """Say of a continuation why it has no likelihood."""
    return LogLikelihood(request.id, float("nan"), 0, greedy=False, failure=failure)
