"""As much of vLLM as the harness' worker asks for, in front of a toy model, for tests.

The model is a random one of two tokens' memory over the vocabulary of the tokenizer in its folder.
Prompts of one token above the vocabulary are commands (`COMMANDS`); the environment variable
FAKE_VLLM says how a start shall go.
"""

import json
import math
import multiprocessing
import os
import random
import sys
import time
from pathlib import Path
from types import SimpleNamespace

__version__ = "0.32.0"

END = 2
DIE, DIE_ONCE, HANG_ONCE, REFUSE, RAISE, SLOW, NAN = range(1000, 1007)
ONCE = "FAKE_VLLM_ONCE"
CHILD = "FAKE_VLLM_CHILD"
BUSY = "FAKE_VLLM_BUSY"


class LLM:
    def __init__(self, model, **options):
        assert options["dtype"] == "float32" and options["enforce_eager"]
        assert options["logprobs_mode"] == "raw_logprobs"
        print("vLLM says hello on the standard output")
        start = os.environ.get("FAKE_VLLM")
        if CHILD in os.environ:  # like the processes that hold the GPUs' memory
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(600,))
            child.daemon = True
            child.start()
            Path(os.environ[CHILD]).write_text(str(child.pid))
        busy = Path(os.environ.get(BUSY, "no such file"))
        if start == "no memory" or busy.exists():
            busy.unlink(missing_ok=True)
            print(
                "ValueError: Free memory on device (1/80 GiB) is less than it needs",
                file=sys.stderr,
            )
            raise RuntimeError("Engine core initialization failed. See root cause above.")
        if start == "asserts":
            print(
                "ERROR [multiproc.py:9]     assert found == wanted\n"
                "ERROR [multiproc.py:9]            ^^^^^^^^^^^^^^^\n"
                "ERROR [multiproc.py:9] AssertionError",
                file=sys.stderr,
            )
            raise RuntimeError("Engine core initialization failed. See root cause above.")
        if start == "dies":
            os._exit(3)
        if start == "hangs":
            time.sleep(600)
        self.llm_engine = Engine(model, options["max_model_len"])


class Engine:
    def __init__(self, model, longest):
        self.model_config = SimpleNamespace(dtype="torch.float32")
        self.engine_core = SimpleNamespace(shutdown=lambda: None)
        tokenizer = json.loads((Path(model) / "tokenizer.json").read_text())
        self.symbols = {id: symbol for symbol, id in tokenizer["model"]["vocab"].items()}
        self.longest = longest
        self.running = {}

    def add_request(self, id, prompt, params):
        ids = prompt["prompt_token_ids"]
        if ids[0] == REFUSE:
            raise ValueError("Token id 1003 is out of vocabulary")
        assert len(ids) < self.longest, "it needs room for one more"
        self.running[id] = SimpleNamespace(
            id=id, prompt=ids, params=params, made=[], flat=Flat(), command=ids[0]
        )

    def abort_request(self, ids):
        for id in ids:
            del self.running[id]

    def step(self):
        print("vLLM says something at every step")
        named = any(one.params.logprob_token_ids for one in self.running.values())
        outputs = []
        for one in list(self.running.values()):
            _obey(one.command)
            reason = self._sample(one, named)
            outputs.append(SimpleNamespace(request_id=one.id, finished=bool(reason)))
            if reason:
                outputs[-1].outputs = [self._output(one, reason)]
                outputs[-1].prompt_logprobs = self._read(one)
                del self.running[one.id]
        return outputs

    def _sample(self, one, named):
        """Draw a token; where any request names tokens, others get padding for the likeliest."""
        params = one.params
        logprobs = self._logprobs(one.prompt + one.made)
        ranked = sorted(range(len(logprobs)), key=lambda id: -logprobs[id])
        token = ranked[0]
        if params.temperature > 0:
            rng = random.Random(f"{params.seed}/{len(one.made)}")
            token = _draw(ranked, logprobs, params, rng.random())
        one.made.append(token)
        own = math.nan if one.command == NAN else logprobs[token]
        if params.logprob_token_ids:
            one.flat.add(token, own, [(id, logprobs[id]) for id in params.logprob_token_ids])
        elif params.logprobs is not None:
            best = [(id, logprobs[id]) for id in ranked[: params.logprobs]]
            one.flat.add(token, own, [(0, -math.inf)] * len(best) if named else best)
        if token in params.stop_token_ids or token == END or self._stopped(one):
            return "stop"
        return "length" if len(one.made) == params.max_tokens else None

    def _stopped(self, one):
        text = "".join(self.symbols[id] for id in one.made if id > 4).replace("Ġ", " ")
        return any(stop in text for stop in one.params.stop)

    def _output(self, one, reason):
        asked = one.params.logprobs is not None or one.params.logprob_token_ids
        return SimpleNamespace(
            token_ids=one.made, finish_reason=reason, logprobs=one.flat if asked else None
        )

    def _read(self, one):
        if one.params.prompt_logprobs is None:
            return None
        flat = Flat()
        flat.add(None, None, [])
        for i in range(1, len(one.prompt)):
            logprobs = self._logprobs(one.prompt[:i])
            best = max(range(len(logprobs)), key=lambda id: logprobs[id])
            flat.add(one.prompt[i], logprobs[one.prompt[i]], [(best, logprobs[best])])
        return flat

    def _logprobs(self, ids):
        rng = random.Random(str(ids[-2:]))
        logits = [rng.gauss(0, 3) for _ in self.symbols]
        total = math.log(sum(map(math.exp, logits)))
        return [logit - total for logit in logits]


class Flat:
    def __init__(self):
        self.token_ids, self.logprobs = [], []
        self.start_indices, self.end_indices = [], []

    def add(self, token, logprob, others):
        self.start_indices.append(len(self.token_ids))
        for id, value in [(token, logprob), *others]:
            self.token_ids.append(id)
            self.logprobs.append(value)
        self.end_indices.append(len(self.token_ids))


def _draw(ranked, logprobs, params, noise):
    weights = [math.exp(logprobs[id] / params.temperature) for id in ranked]
    total, reached = sum(weights), 0.0
    kept = []
    for weight in weights:
        kept.append(weight)
        reached += weight / total
        if reached >= params.top_p:
            break
    target, position = noise * sum(kept), 0.0
    for id, weight in zip(ranked, kept, strict=False):
        position += weight
        if position > target:
            return id
    return ranked[0]


def _obey(command):
    if command == DIE:
        os._exit(1)
    if command in (DIE_ONCE, HANG_ONCE) and not Path(os.environ[ONCE]).exists():
        Path(os.environ[ONCE]).touch()
        os._exit(1) if command == DIE_ONCE else time.sleep(600)
    if command == RAISE:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    if command == SLOW:
        time.sleep(0.05)
