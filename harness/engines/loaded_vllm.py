"""A model in vLLM processes: what `vllm.VLLM` opens.

Prompts are tokenized and completions decoded here, as for the `transformers` engine; between the
two stands a process that sees token ids alone (`vllm_process`).
"""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from math import isnan
from threading import Event, Lock
from typing import Any

from transformers import AutoConfig, GenerationConfig, PreTrainedTokenizerBase

from harness.checkpoints import chat_template_hash, identified, locate
from harness.engines.batching import Row
from harness.engines.finishing import Finisher, diverged, failed, too_long, unscorable, unscored
from harness.engines.loading import end_ids, load_tokenizer, unloadable
from harness.engines.spreading import ReplicaLost, Spread
from harness.engines.tokens import Pair, encode, encode_continuations
from harness.engines.vllm import VLLM
from harness.engines.vllm_environment import devices
from harness.engines.vllm_orders import begin, completion, likelihood
from harness.engines.vllm_process import Process, running
from harness.errors import ConfigError
from harness.machine import choose_threads, threads_said
from harness.pretrained import UNREADABLE
from harness.protocols import (
    Completion,
    Continuation,
    LoadedModel,
    LogLikelihood,
    Prompt,
    Request,
    Sampling,
)
from harness.records import Failure, ModelRef

IN_FLIGHT = 2048
"""So many samples of one call are with vLLM, which runs some hundreds at once: it is never idle."""
_AT_ONCE = 64
"""How many prompts are tokenized together."""

_ENVIRONMENT = {
    "VLLM_NO_USAGE_STATS": "1",  # nothing is told to anybody
    # vLLM wants room for a token after the last one, which is predicted and never read.
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
}
_ON_CPU = {
    "VLLM_CPU_KVCACHE_SPACE": "1",  # GiB; unset, it is nearly all memory that there is
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # the harness chose how many threads; not which cores
}
"""What a user may set otherwise."""


def load(model: ModelRef, config: VLLM.Config, python: str) -> Spread:
    """Prepare a model's replicas, which are opened on entering; see `VLLM.open`."""
    closing = Event()
    known = Known.read(model, config)
    order = begin(known.location, model.revision, known.dtype, known.context, config)
    shares = devices(python, config.tensor_parallel, config.replicas)
    start = partial(running, python, order, stalled_after=config.stalled_after, closing=closing)
    replicas: list[Callable[[], AbstractContextManager[LoadedModel]]] = [
        _Replica(known, partial(start, environment(gpus, len(shares)))).open for gpus in shares
    ]
    return Spread(replicas, window=2 * IN_FLIGHT, closing=closing)


def environment(gpus: str | None, replicas: int = 1) -> Mapping[str, str]:
    """Say what one of several processes finds in its environment.

    Args:
        gpus: Its own; None for a CPU, whose cores they share.
        replicas: How many processes there are.
    """
    found = _ON_CPU | dict(os.environ) | _ENVIRONMENT
    found.pop("PYTHONPATH", None)  # meant for this interpreter, not for vLLM's
    if gpus is None:
        found |= threads_said(choose_threads().count, replicas)
    else:
        found["CUDA_VISIBLE_DEVICES"] = gpus
    return found


@dataclass(frozen=True)
class Known:
    """What is known of a model without its weights."""

    ref: ModelRef
    location: str
    tokenizer: PreTrainedTokenizerBase
    ends: frozenset[int]
    """Every token that ends an answer."""
    context: int
    dtype: str
    """That of the checkpoint."""

    @classmethod
    def read(cls, model: ModelRef, config: VLLM.Config) -> "Known":
        """Read a model's configuration and tokenizer.

        Raises:
            DataError: the location holds no model.
        """
        location, code = locate(model), config.trust_remote_code
        tokenizer = load_tokenizer(model, config.chat_template, code)
        try:
            found = AutoConfig.from_pretrained(
                location, revision=model.revision, trust_remote_code=code
            )
        except UNREADABLE as error:
            raise unloadable(model, error) from error
        try:
            generation = GenerationConfig.from_pretrained(
                location, revision=model.revision or "main"
            )
        except OSError:
            generation = GenerationConfig.from_model_config(found)
        longest = int(found.get_text_config().max_position_embeddings)
        return cls(
            ref=identified(model),
            location=location,
            tokenizer=tokenizer,
            ends=end_ids(model, generation, tokenizer),
            context=min(config.context or longest, longest),
            dtype=str(found.dtype or "float32").removeprefix("torch."),
        )


@dataclass
class _Replica:
    """Opens a model in a process of its own, and opens it anew when that was lost."""

    known: Known
    run: Callable[[], AbstractContextManager[Process]]
    was_open: bool = False

    @contextmanager
    def open(self) -> Iterator["LoadedVLLM"]:
        """Start a process, and see that the model answers in numbers."""
        with ExitStack() as stack:
            try:
                loaded = LoadedVLLM(self.known, stack.enter_context(self.run()))
                loaded.try_out()
            except (ConfigError, ReplicaLost) as error:
                if self.was_open:  # then it can be, and what is in its way may pass
                    raise ReplicaLost(str(error), blameless=True) from error
                raise ConfigError(str(error)) from error
            self.was_open = True
            yield loaded


class LoadedVLLM:
    """A model in one vLLM process. Several threads may ask at once."""

    concurrent = True

    def __init__(self, known: Known, process: Process) -> None:
        self.ref = known.ref
        self.chat_template = chat_template_hash(known.tokenizer)
        self.context = known.context
        self._location = known.location
        self._tokenizer = known.tokenizer
        self._tokenizing = Lock()
        self._ends = sorted(known.ends)
        self._finisher = Finisher(known.tokenizer)
        self._process = process

    def try_out(self) -> None:
        """See that the outputs are numbers; vLLM compiles what it needs, too.

        Raises:
            DataError: they are not.
        """
        sampling = Sampling(max_tokens=1, temperature=0, logprobs=True, top_logprobs=1)
        list(self.generate([Request("try", (self._ends[0],), sampling)]))

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete every request, yielding completions as they finish, in any order.

        Raises:
            ReplicaLost: the process died, or hangs.
        """
        asked = iter(requests)
        rows: dict[tuple[int, int], Row] = {}
        """By key and index, those that are on their way."""
        with self._process.call() as call:
            while True:
                # Asked again as rows finish: it may have more by then (`spreading`).
                some = list(islice(asked, _AT_ONCE)) if len(rows) < IN_FLIGHT else []
                for made in self._rows(some):
                    if made[0].room < 1:
                        length = len(made[0].prompt_ids)
                        failure = too_long(length, self.ref.name, self.context)
                        yield from (failed(row, failure) for row in made)
                    else:
                        key = call.ask(completion(made, self._ends))
                        rows |= {(key, row.index): row for row in made}
                if some:
                    continue
                if not rows:
                    return
                said = call.next()
                yield self._completion(rows.pop((said["key"], said["index"])), said)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score every continuation, yielding in any order.

        Raises:
            ReplicaLost: the process died, or hangs.
        """
        asked = iter(requests)
        pairs: dict[int, Pair] = {}
        with self._process.call() as call:
            while True:
                some = list(islice(asked, _AT_ONCE)) if len(pairs) < IN_FLIGHT else []
                for pair in self._pairs(some):
                    if failure := unscorable(pair, self.ref.name, self.context):
                        yield unscored(pair, failure)
                    else:
                        pairs[call.ask(likelihood(pair))] = pair
                if some:
                    continue
                if not pairs:
                    return
                said = call.next()
                yield self._score(pairs.pop(said["key"]), said)

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens as `generate` would see them."""
        with self._tokenizing:
            return len(encode(self._tokenizer, [prompt])[0])

    def _rows(self, requests: list[Request]) -> Iterator[list[Row]]:
        with self._tokenizing:
            prompts = encode(self._tokenizer, [request.prompt for request in requests])
        for request, ids in zip(requests, prompts, strict=True):
            room = min(request.sampling.max_tokens, self.context - len(ids))
            yield [Row(request, index, ids, room) for index in range(request.sampling.n)]

    def _pairs(self, requests: list[Continuation]) -> list[Pair]:
        with self._tokenizing:
            return encode_continuations(self._tokenizer, requests)

    def _completion(self, row: Row, said: Mapping[str, Any]) -> Completion:
        if "error" in said:
            return failed(row, Failure(reason="refused", detail=said["error"]))
        row.token_ids = said["ids"]
        row.finish_reason = said["finish"]
        row.logprobs = said.get("logprobs", [])
        row.likeliest = said.get("others", [])
        if any(isnan(value) for value in row.logprobs):
            raise diverged(self._location)
        return self._finisher.completion(row)

    def _score(self, pair: Pair, said: Mapping[str, Any]) -> LogLikelihood:
        if "error" in said:
            return unscored(pair, Failure(reason="refused", detail=said["error"]))
        # All but the last token were read with the prompt; the last one was named (`likelihood`).
        [[_, last]] = said["others"][0]
        logprob = sum(said.get("prompt_logprobs", [])) + last
        likeliest = [others[0][0] for others in said.get("prompt_others", [])] + said["ids"]
        if isnan(logprob):
            raise diverged(self._location)
        return LogLikelihood(
            id=pair.id,
            logprob=logprob,
            tokens=len(pair.continuation),
            greedy=tuple(likeliest) == pair.continuation,
        )
