r"""A loaded model of any engine as the language model that lm-eval asks.

    loglikelihood   (context, continuation)          -> (log-probability, whether it is greedy)
    generate_until  (context, {"until": ["\n"], ...})   -> text

Each answer is in the row log, under a hash of what was asked, before the next one comes:

    asked/0f3a...  {"logprob": -12.25, "greedy": false}
    asked/9b1c...  {"text": " 42", "truncated": false}
    asked/77de...  {"failure": {"reason": "prompt_too_long", ...}}

What the log holds is not asked again. lm-eval cannot be told of a failure: it gets a placeholder,
and `failed` says which items may be in no figure.
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.model import LM

from harness.errors import ConfigError, StoreError
from harness.protocols import (
    Completion,
    Continuation,
    LoadedModel,
    LogLikelihood,
    Message,
    Prompt,
    Request,
    Sampling,
)
from harness.records import Failure
from harness.rows import RowLog

Item = tuple[str, int]
"""A task's name and the number of a row in it."""

_TOO_LONG = "prompt_too_long"
_UNDERSTOOD = {"until", "do_sample", "temperature", "max_gen_toks"}


class Adapter(LM):  # type: ignore[misc]  # lm-eval has no types
    """Answers lm-eval's requests from a row log, and by asking a model for what it lacks."""

    def __init__(
        self,
        model: LoadedModel | None,
        log: RowLog,
        *,
        chat: bool,
        truncate: bool,
        max_gen_toks: int,
    ) -> None:
        """Wrap a model.

        Args:
            model: Whom to ask; None where the log holds everything.
            log: Where answers are kept.
            chat: Whether contexts are conversations, as `apply_chat_template` writes them.
            truncate: Whether a context that does not fit is cut from the left, as lm-eval's own
                backends do, instead of failing its item.
            max_gen_toks: The most tokens to generate where a task does not say.
        """
        super().__init__()
        self._model = model
        self._log = log
        self._chat = chat
        self._truncate = truncate
        self._max_gen_toks = max_gen_toks
        self.failed: dict[Item, Failure] = {}
        self.truncated: set[Item] = set()
        """Items whose generated answer was cut off; it is still an answer."""

    @property
    def tokenizer_name(self) -> str:
        """lm-eval wants one beside a chat template, for the name of a cache that is not used."""
        return ""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """Keep a conversation as it is, in JSON: the engine applies the template, once."""
        return json.dumps(chat_history)

    def loglikelihood(self, requests: list[Instance]) -> list[tuple[float, bool]]:
        """Score continuations."""
        missing = self._missing(requests)
        asked = [
            Continuation(key, self._prompt(one.args[0]), one.args[1])
            for key, one in missing.items()
        ]
        for found in self._scored(asked):
            self._log.append(_key(found.id), _score_row(found))
        rows = self._rows(requests)
        return [(row.get("logprob", math.nan), row.get("greedy", False)) for row in rows]

    def generate_until(self, requests: list[Instance]) -> list[str]:
        """Complete contexts."""
        missing = self._missing(requests)
        asked = [
            Request(key, self._prompt(one.args[0]), self._sampling(one.args[1]))
            for key, one in missing.items()
        ]
        for found in self._completed(asked):
            self._log.append(_key(found.id), _text_row(found))
        rows = self._rows(requests)
        for one, row in zip(requests, rows, strict=True):
            if row.get("truncated"):
                self.truncated.add((one.task_name, one.doc_id))
        return [row.get("text", "") for row in rows]

    def loglikelihood_rolling(self, requests: list[Instance]) -> list[float]:
        """Refuse: none of the nine asks for it, and no engine could answer."""
        raise NotImplementedError("engines score continuations of prompts, not whole texts")

    def _missing(self, requests: Sequence[Instance]) -> dict[str, Instance]:
        """Find what the log lacks, by the id to ask for it with."""
        missing = {id: one for one in requests if _key(id := _id(one)) not in self._log}
        if missing and self._model is None:
            raise StoreError(
                f"{self._log.path} lacks the answers to {len(missing)} requests; "
                "give the run's command again to ask for them"
            )
        return missing

    def _rows(self, requests: Sequence[Instance]) -> list[Mapping[str, Any]]:
        """Read answers back, noting which items failed."""
        rows = [self._log[_key(_id(one))] for one in requests]
        for one, row in zip(requests, rows, strict=True):
            if "failure" in row:
                self.failed[one.task_name, one.doc_id] = Failure.model_validate(row["failure"])
        return rows

    def _prompt(self, context: str) -> Prompt:
        return tuple(Message(**turn) for turn in json.loads(context)) if self._chat else context

    def _sampling(self, how: Mapping[str, Any]) -> Sampling:
        """Read a task's `generation_kwargs`; without sampling, temperature means nothing."""
        unknown = sorted(how.keys() - _UNDERSTOOD)
        if unknown:
            raise ConfigError(f"a task generates with {', '.join(unknown)}, which no engine has")
        until = how.get("until") or []
        return Sampling(
            temperature=how.get("temperature", 1.0) if how.get("do_sample") else 0.0,
            max_tokens=how.get("max_gen_toks", self._max_gen_toks),
            stop=(until,) if isinstance(until, str) else tuple(until),
        )

    # ------------------------------------------------------------ asking, and cutting to fit

    @property
    def _loaded(self) -> LoadedModel:
        assert self._model is not None, "without a model nothing is missing"
        return self._model

    def _scored(self, asked: Sequence[Continuation]) -> Iterator[LogLikelihood]:
        if not asked:
            return
        long: dict[str, LogLikelihood] = {}
        for found in self._loaded.loglikelihood(asked):
            if self._truncate and found.failure and found.failure.reason == _TOO_LONG:
                long[found.id] = found
            else:
                yield found
        cut = list(self._cut([one for one in asked if one.id in long]))
        for one in cut:
            del long[one.id]
        yield from long.values()
        if cut:
            yield from self._loaded.loglikelihood(cut)

    def _cut(self, long: Sequence[Continuation]) -> Iterator[Continuation]:
        """Cut contexts from the left, so that all but the last token, never read, just fits."""
        texts = {one.id: f"{one.prompt}{one.continuation}" for one in long}
        whole = self._ids(texts)
        for one in long:
            seam = self._loaded.count_tokens(str(one.prompt).rstrip())
            before, after = whole[one.id][:seam], whole[one.id][seam:]
            room = self._loaded.context + 1 - len(after)
            if after and room > 0:
                yield Continuation(one.id, before[-room:], after)

    def _completed(self, asked: Sequence[Request]) -> Iterable[Completion]:
        if not asked:
            return ()
        if not self._truncate:
            return self._loaded.generate(asked)
        room = {one.id: self._loaded.context - one.sampling.max_tokens for one in asked}
        long = {
            one.id: one.prompt
            for one in asked
            if 0 < room[one.id] < self._loaded.count_tokens(one.prompt)
        }
        ids = self._ids(long)
        return self._loaded.generate(
            replace(one, prompt=ids[one.id][-room[one.id] :]) if ids.get(one.id) else one
            for one in asked
        )

    def _ids(self, prompts: Mapping[str, Prompt]) -> dict[str, tuple[int, ...]]:
        """Find a prompt's token ids, which come back even where it does not fit."""
        probe = Sampling(temperature=0, max_tokens=1)
        requests = [Request(id, prompt, probe) for id, prompt in prompts.items()]
        return {one.id: one.prompt_ids for one in self._loaded.generate(requests)}


def _id(request: Instance) -> str:
    """Name a request by all that its answer depends on, and by the item it is for."""
    asked = [request.request_type, request.task_name, request.doc_id, request.args]
    return hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:24]


def _key(id: str) -> str:
    return f"asked/{id}"


def _score_row(found: LogLikelihood) -> dict[str, Any]:
    failure = found.failure
    if failure is None and not math.isfinite(found.logprob):
        failure = Failure(reason="not_a_number", detail=f"log-probability {found.logprob}")
    if failure is not None:
        return {"failure": failure.model_dump(exclude={"kind"})}
    return {"logprob": found.logprob, "greedy": found.greedy}


def _text_row(found: Completion) -> dict[str, Any]:
    if found.failure is not None:
        return {"failure": found.failure.model_dump(exclude={"kind"})}
    return {"text": found.text, "truncated": found.finish_reason == "length"}
