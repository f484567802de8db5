"""What several rooms' tests need."""

import copy
import os
import tomllib

import pytest
from hypothesis import settings

from harness.config import PRESETS, RunConfig
from harness.engines import vllm_environment
from harness.errors import ConfigError

# What is timed is never asserted: a busy machine must not fail a property. Continuous integration
# tries the same examples every time; new ones are found at home.
settings.register_profile("ours", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("ours")


@pytest.fixture(scope="session")
def vllm_python():
    """The interpreter of an environment with vLLM; threads as on any CPU that is shared."""
    python = vllm_environment.interpreter()
    try:
        vllm_environment.check_version(python)
    except ConfigError as error:
        pytest.skip(str(error))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "1"))
        yield python


@pytest.fixture(scope="session")
def tiny_request():
    """Make the micro preset so small that a whole run takes seconds; it learns next to nothing."""
    preset = tomllib.loads((PRESETS / "micro.toml").read_text())

    def make(iterations=2, **trainer):
        table = copy.deepcopy(preset)
        table["iterations"] = iterations
        table["evaluations"] = [
            {"name": "examiner", "limit": 8, "max_tokens": 24},
            {"name": "head_to_head", "limit": 8, "max_tokens": 24},
            {"name": "judge_agreement", "limit": 4, "samples": 2},
        ]
        options = table["trainer"]
        options["seeds"] |= {"ift_rows": 48, "eft_groups": 120}
        options["sft"] |= {"learning_rate": 2e-3, "warmup_steps": 5, "batch_size": 16}
        options["proposing"] |= {"wanted": 8, "requests": 12}
        options["candidates"] |= {"n": 3, "max_tokens": 24}
        options["judging"] |= {"n": 2}
        options["dpo"] |= {"epochs": 1, "batch_size": 4, "warmup_steps": 0}
        options["guards"] = {"on_collapse": "warn"}
        for name, value in trainer.items():
            options[name] = options[name] | value if isinstance(value, dict) else value
        return RunConfig.model_validate(table)

    return make
