import sys
from pathlib import Path

import pytest

from harness.engines import vllm_environment
from tests.harness.engines import tiny

FAKE_VLLM = Path(__file__).parents[2] / "fake_vllm"


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama and its byte-level tokenizer."""
    return tiny.save(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def fake_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python in whose environment `tests/fake_vllm` is vLLM."""
    python = tmp_path_factory.mktemp("environment") / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={FAKE_VLLM} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python


@pytest.fixture(scope="module")
def fake_vllm(fake_python: Path):
    """Let the vllm engine find it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(vllm_environment.VARIABLE, str(fake_python))
        yield fake_python
