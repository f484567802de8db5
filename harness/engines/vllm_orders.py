"""What a vLLM process is asked, in its own words.

    Request("row-7", (2, 41, 3), Sampling(n=2, max_tokens=64))
    -> {"ids": [2, 41, 3], "seeds": [8823..., 1067...], "params": {"max_tokens": 64, ...}}

Words under `params` are vLLM's `SamplingParams`, those under `engine` its `LLM`.
"""

import hashlib
from collections.abc import Sequence
from typing import Any

from harness.engines.batching import Row
from harness.engines.tokens import Pair
from harness.engines.vllm import VLLM


def begin(
    location: str, revision: str | None, dtype: str, context: int, config: VLLM.Config
) -> dict[str, Any]:
    """Say how to load a model.

    Args:
        location: A folder or hub id.
        revision: Of a hub id.
        dtype: That of the checkpoint. It is always given, as vLLM recasts a float32 one unasked.
        context: The longest prompt plus completion, in tokens.
        config: The engine's options.
    """
    chosen = config.dtype
    return {
        "engine": {
            "model": location,
            "revision": revision,
            "tokenizer_revision": revision,
            "trust_remote_code": config.trust_remote_code,
            "dtype": dtype if chosen == "auto" else chosen,
            "tensor_parallel_size": config.tensor_parallel,
            "gpu_memory_utilization": config.gpu_memory,
            # vLLM demands room for one more token than it is asked to read.
            "max_model_len": context + 1,
            "enable_prefix_caching": True,
            "generation_config": "vllm",  # the checkpoint's own sampling defaults stay out
            "logprobs_mode": "raw_logprobs",
            "max_logprobs": -1,
            "seed": 0,
        },
        "on_cpu": {
            "dtype": "float32" if chosen == "auto" else chosen,
            "enforce_eager": True,
            # Where a prompt is read in parts, vLLM takes draws back, which a seeded generator on a
            # CPU cannot: the engine dies of it (0.32, `_bookkeeping_sync`).
            "enable_chunked_prefill": False,
        },
    }


def completion(rows: Sequence[Row], ends: Sequence[int]) -> dict[str, Any]:
    """Ask for all samples of a request.

    Args:
        rows: The samples, which differ in their index alone.
        ends: The tokens that end an answer.
    """
    row, sampling = rows[0], rows[0].request.sampling
    params: dict[str, Any] = {
        "max_tokens": row.room,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop_token_ids": list(ends),
    }
    if sampling.stop:
        params["stop"] = list(sampling.stop)
    if sampling.logprobs or sampling.top_logprobs:
        params["logprobs"] = sampling.top_logprobs
    draws = sampling.temperature > 0
    return {
        "ids": row.prompt_ids,
        "seeds": [
            _seed(sampling.seed, one.request.id, one.index) if draws else None for one in rows
        ],
        "params": params,
    }


def likelihood(pair: Pair) -> dict[str, Any]:
    """Ask how likely a continuation is.

    All but its last token are read with the prompt. The last one is named, for the step after
    them: so it need not fit into the context, and where it is the only one the prompt is read from
    the prefix cache, as the choices of a question share it.
    """
    params: dict[str, Any] = {
        "max_tokens": 1,
        "temperature": 0.0,
        "logprob_token_ids": [pair.continuation[-1]],
    }
    if len(pair.continuation) > 1:
        params["prompt_logprobs"] = 1
    return {
        "ids": (*pair.prompt, *pair.continuation[:-1]),
        "from": len(pair.prompt),
        "seeds": [None],
        "params": params,
    }


def _seed(seed: int, id: str, index: int) -> int:
    """Derive a sample's own seed: alone or in any batch, it is drawn with the same numbers."""
    key = hashlib.blake2b(f"{seed}\0{index}\0{id}".encode(), digest_size=8).digest()
    return int.from_bytes(key, "little") >> 1  # what fits a signed integer of 64 bits
