r"""Find the tokens of a continuation in what a server reads back of a text.

    The sky is| blue.     ->   tokens  The| sky| is| blue|.|\n     of which 5 are of the text
                               values   - -3.1 -0.2  -1.5 -0.4 -2.0
                               the continuation's: " blue" (-1.5), "." (-0.4)

Only the server has the tokenizer, so that the place where the prompt ends is found by the tokens'
own text. White space counts as the continuation's where the prompt ends with it, and a token across
the seam too, as in `harness.engines.tokens.encode_continuations`. It is left out of the comparison,
because some servers drop it from single tokens; what is put before the text (a BOS token) is passed
over. Where the tokens do not add up to the text, there is no likelihood.
"""

import math
from collections.abc import Sequence

from harness.protocols import Continuation
from harness.records import Failure
from harness.remote.answers import Token


def continuation_tokens(
    tokens: Sequence[Token] | None, prompt_tokens: int | None, scored: Continuation
) -> tuple[Token, ...] | Failure:
    """Find a continuation's tokens.

    Args:
        tokens: What was read back, and perhaps what was generated after it.
        prompt_tokens: How many of these are of the text that was sent, as the server counts.
        scored: The prompt and its continuation.

    Returns:
        The tokens, each with its log-probability and the likeliest token's; or why there are none.
    """
    if tokens is None or prompt_tokens is None or len(tokens) < prompt_tokens:
        return _none("the server does not tell how likely the tokens of a given text are")
    read = tokens[:prompt_tokens]
    start = _start(read, scored)
    if start is None:
        return _none("the server's tokens do not add up to the text that it was sent")
    found = tuple(read[start:])
    if not found:
        return _none("the continuation's white space is in a token of the prompt's")
    if any(math.isnan(token.logprob) for token in found):
        return _none("the server does not tell how likely the first token of a text is")
    if not all(token.alternatives for token in found):
        return _none("the server does not tell which token is the likeliest")
    return found


def _start(tokens: Sequence[Token], scored: Continuation) -> int | None:
    """Count the tokens before a continuation."""
    if not isinstance(scored.continuation, str):
        sent = len(scored.prompt) + len(scored.continuation)
        return len(scored.prompt) if len(tokens) == sent else None
    texts = [_dense(token.text) for token in tokens]
    text = _dense(f"{scored.prompt}{scored.continuation}")
    begin = "".join(texts).find(text)
    if begin < 0:
        return None
    seam = begin + len(_dense(str(scored.prompt)))
    end = 0
    for place, token in enumerate(texts):
        start, end = end, end + len(token)
        if start >= seam or end > seam:
            return place
    return len(tokens)


def _dense(text: str) -> str:
    return "".join(text.split())


def _none(why: str) -> Failure:
    return Failure(reason="no_likelihood", detail=why)
