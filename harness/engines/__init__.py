"""The engines: each opens a model and lets it generate and give log-likelihoods.

    transformers   any Hugging Face causal language model, on CPU or CUDA
    vllm           the same models in vLLM, which generates many times faster on GPUs
    ray            any of them, spread over the machines of a Ray cluster
    scripted       answers from a script, without a model: for testing plug-ins

An engine knows nothing of tasks. All of them pass one conformance suite
(`tests/harness/engines/test_conformance.py`), so a plug-in tested against `scripted` runs on any.
"""
