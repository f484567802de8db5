from pathlib import Path

import pytest

from tests.harness.engines import tiny


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama and its byte-level tokenizer."""
    return tiny.save(tmp_path_factory.mktemp("tiny") / "model")
