"""vLLM's own `LLM.generate`, for `bench_vllm`: run by the Python that has vLLM.

in   {"engine": {...}, "on_cpu": {...}}                                       once
in   {"prompts": [[2, 41], ...], "seeds": [...], "params": {"n": 4, ...}}     each round
out  {"tokens": 9120, "seconds": 4.2}
"""

import json
import os
import sys
import time
from importlib import import_module


def main() -> None:
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    vllm = import_module("vllm")
    begin = json.loads(sys.stdin.readline())
    on_cpu = import_module("vllm.platforms").current_platform.is_cpu()
    llm = vllm.LLM(**begin["engine"] | (begin["on_cpu"] if on_cpu else {}))
    print(json.dumps({"ready": True}), file=out, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        params = [vllm.SamplingParams(**asked["params"], seed=seed) for seed in asked["seeds"]]
        prompts = [{"prompt_token_ids": ids} for ids in asked["prompts"]]
        made = llm.generate(prompts, params, use_tqdm=False)
        tokens = sum(len(done.token_ids) for one in made for done in one.outputs)
        said = {"tokens": tokens, "seconds": time.perf_counter() - start}
        print(json.dumps(said), file=out, flush=True)


if __name__ == "__main__":
    main()
