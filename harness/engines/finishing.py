"""What rows have come to: completions, and failures that say why there is none.

    Row(request, 0, prompt_ids=(2, 41), token_ids=[77, 1], finish_reason="stop")
    -> Completion(id="row-1", index=0, text="Hi", token_ids=(77, 1), finish_reason="stop")

All that is common to engines that sample token ids here, with a Hugging Face tokenizer.
"""

from transformers import PreTrainedTokenizerBase

from harness.engines.batching import Row
from harness.engines.tokens import Pair, cut, decode_text, pieces
from harness.errors import DataError
from harness.protocols import Completion, LogLikelihood, Step
from harness.records import Failure


class Finisher:
    """Turns rows into completions: decoded, and cut before the stop string."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase) -> None:
        self._tokenizer = tokenizer
        self._texts: dict[int, str] = {}

    def completion(self, row: Row) -> Completion:
        """Say what was sampled."""
        sampling = row.request.sampling
        text = decode_text(self._tokenizer, row.token_ids)
        if sampling.stop:
            text = cut(text, sampling.stop)
        return Completion(
            id=row.request.id,
            index=row.index,
            text=text,
            prompt_ids=row.prompt_ids,
            token_ids=tuple(row.token_ids),
            finish_reason="stop" if row.finish_reason == "stop" else "length",
            logprobs=tuple(row.logprobs) if sampling.logprobs else None,
            steps=self._steps(row) if sampling.top_logprobs else None,
        )

    def _steps(self, row: Row) -> tuple[Step, ...]:
        said = pieces(self._tokenizer, row.token_ids, self._alone)
        return tuple(
            Step(piece, tuple((self._alone(id), logprob) for id, logprob in likeliest))
            for piece, likeliest in zip(said, row.likeliest, strict=True)
        )

    def _alone(self, id: int) -> str:
        """Decode a token alone; the same ones come again and again."""
        text = self._texts.get(id)
        if text is None:
            text = self._texts[id] = decode_text(self._tokenizer, [id])
        return text


def failed(row: Row, failure: Failure) -> Completion:
    """Say that a row cannot be completed."""
    return Completion(
        id=row.request.id,
        index=row.index,
        text="",
        prompt_ids=row.prompt_ids,
        finish_reason="failed",
        failure=failure,
    )


def unscored(pair: Pair, failure: Failure) -> LogLikelihood:
    """Say that a continuation cannot be scored."""
    return LogLikelihood(
        id=pair.id,
        logprob=float("nan"),
        tokens=len(pair.continuation),
        greedy=False,
        failure=failure,
    )


def unscorable(pair: Pair, name: str, context: int) -> Failure | None:
    """Say why a continuation cannot be scored, if that is so."""
    if not pair.continuation:
        return Failure(reason="empty_continuation", detail="there is nothing to score")
    if pair.length - 1 > context:  # the last token is only predicted
        return too_long(pair.length, name, context)
    return None


def too_long(length: int, name: str, context: int) -> Failure:
    """Say that so many tokens do not fit."""
    detail = f"{length} tokens, and the context of {name} is {context}"
    return Failure(reason="prompt_too_long", detail=detail)


def diverged(location: str) -> DataError:
    """Say that a model's outputs are not numbers."""
    return DataError(
        f"the model at {location} gives outputs that are not finite numbers: its "
        "training has diverged; train it with a smaller learning rate"
    )
