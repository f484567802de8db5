"""Real public data that lies beside the checkout, or in the folder HARNESS_SHARED_DATA names."""

import os
from pathlib import Path

import pytest

SHARED = Path(
    os.environ.get("HARNESS_SHARED_DATA") or Path(__file__).resolve().parents[2] / "shared" / "data"
)


def shared(name: str) -> Path:
    """Find a real data file or folder, or skip the test."""
    path = SHARED / name
    if not path.exists():
        pytest.skip(f"real data is not here: {path}; set HARNESS_SHARED_DATA to its folder")
    return path
