"""A Hugging Face model in memory: what `transformers.Transformers` opens.

Rows are batched by length (`batching`), decoded with each prompt read once for its n samples
(`decoding`) and sampled with random numbers that are a row's own (`sampling`).
"""

import gc
from collections.abc import Iterable, Iterator

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from harness.checkpoints import chat_template_hash, identified, pad_id
from harness.engines.batching import Row, put_back, queue_up, take
from harness.engines.decoding import decode
from harness.engines.finishing import Finisher, failed, too_long, unscorable, unscored
from harness.engines.loading import end_ids, load_model, load_tokenizer
from harness.engines.scoring import CPU_TOKENS, queues, score, take_pairs
from harness.engines.tokens import encode, encode_continuations, has_stopped
from harness.engines.transformers import Transformers
from harness.errors import ConfigError
from harness.protocols import Completion, Continuation, LogLikelihood, Prompt, Request
from harness.records import Failure, ModelRef


def load(model: ModelRef, config: Transformers.Config) -> "LoadedTransformers":
    """Load a model and its tokenizer; see `Transformers.open`."""
    tokenizer = load_tokenizer(model, config.chat_template, config.trust_remote_code)
    weights = load_model(model, _device(config.device), config.dtype, config.trust_remote_code)
    return LoadedTransformers(
        weights,
        tokenizer,
        ends=end_ids(model, weights.generation_config, tokenizer),
        ref=identified(model),
        batch_rows=config.batch_rows,
        batch_tokens=config.batch_tokens,
    )


class LoadedTransformers:
    """A Hugging Face model in memory."""

    def __init__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        ends: frozenset[int],
        ref: ModelRef,
        batch_rows: int,
        batch_tokens: int,
    ) -> None:
        self.ref = ref
        self.chat_template = chat_template_hash(tokenizer)
        self.context = int(model.config.max_position_embeddings)
        self._loaded: PreTrainedModel | None = model
        self._device = model.device
        self._tokenizer = tokenizer
        self._vocabulary = int(model.config.vocab_size)
        self._pad = pad_id(tokenizer, self._vocabulary)
        self._ends = ends
        self._finisher = Finisher(tokenizer)
        self._batch_rows = batch_rows
        self._batch_tokens = batch_tokens

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete every request, yielding completions as they finish, in any order."""
        asked = list(requests)
        prompts = encode(self._tokenizer, [request.prompt for request in asked])
        rows = []
        for request, prompt_ids in zip(asked, prompts, strict=True):
            room = min(request.sampling.max_tokens, self.context - len(prompt_ids))
            made = [Row(request, i, prompt_ids, room) for i in range(request.sampling.n)]
            if room > 0:
                rows += made
            else:
                failure = too_long(len(prompt_ids), self.ref.name, self.context)
                yield from (failed(row, failure) for row in made)
        queue = queue_up(rows)
        while queue:
            batch = take(queue, self._batch_rows, self._batch_tokens)
            try:
                for row in decode(self._model(), batch, self._pad, self._has_ended):
                    yield self._finisher.completion(row)
            except torch.OutOfMemoryError as error:
                if len(batch) == 1:
                    yield failed(batch[0], _out_of_memory(error))
                    continue
                put_back(queue, batch)
                self._halve(len(batch))

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score every continuation, yielding in any order."""
        pairs = []
        for pair in encode_continuations(self._tokenizer, requests):
            if failure := unscorable(pair, self.ref.name, self.context):
                yield unscored(pair, failure)
            else:
                pairs.append(pair)
        on_cpu = self._device.type == "cpu"
        tokens = min(self._batch_tokens, CPU_TOKENS) if on_cpu else self._batch_tokens
        for queue in queues(pairs):
            while queue:
                batch = take_pairs(queue, self._batch_rows, tokens, self._vocabulary)
                try:
                    yield from score(self._model(), batch, self._pad)
                except torch.OutOfMemoryError as error:
                    if len(batch) == 1:
                        yield unscored(batch[0], _out_of_memory(error))
                        continue
                    queue.extendleft(reversed(batch))
                    self._halve(len(batch))

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens as `generate` would see them."""
        return len(encode(self._tokenizer, [prompt])[0])

    def close(self) -> None:
        """Give the model's memory back."""
        self._loaded = None
        gc.collect()  # hooks and wrappers refer back to the model they are in
        if torch.cuda.is_available():
            torch.cuda.empty_cache()

    def _model(self) -> PreTrainedModel:
        if self._loaded is None:
            raise RuntimeError(f"{self.ref.name} is closed; use it inside `with engine.open(...)`")
        return self._loaded

    def _has_ended(self, row: Row) -> bool:
        if row.token_ids[-1] in self._ends:
            return True
        stop = row.request.sampling.stop
        return bool(stop) and has_stopped(self._tokenizer, row.token_ids, stop)

    def _halve(self, rows: int) -> None:
        """Remember for good that so many rows do not fit in memory."""
        self._batch_rows = rows // 2


def _device(name: str) -> torch.device:
    try:
        device = torch.device(
            name if name != "auto" else "cuda" if torch.cuda.is_available() else "cpu"
        )
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise ConfigError(
            f"the engine's option `device` is {name!r}, which this machine does not have; "
            "give `cpu`, `cuda` or `auto`"
        ) from error
    return device


def _out_of_memory(error: torch.OutOfMemoryError) -> Failure:
    return Failure(reason="out_of_memory", detail=str(error).partition("\n")[0])
