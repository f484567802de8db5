from types import SimpleNamespace

RequestOutputKind = SimpleNamespace(FINAL_ONLY="final")

_DEFAULTS = {
    "temperature": 1.0,
    "top_p": 1.0,
    "max_tokens": 16,
    "seed": None,
    "stop": (),
    "stop_token_ids": (),
    "logprobs": None,
    "prompt_logprobs": None,
    "logprob_token_ids": None,
    "detokenize": True,
    "flat_logprobs": False,
    "output_kind": None,
}


def SamplingParams(**options):
    assert options.keys() <= _DEFAULTS.keys(), options
    assert options["flat_logprobs"] and options["output_kind"] == "final"
    assert not options.get("stop") or options["detokenize"]
    return SimpleNamespace(**_DEFAULTS | options)
