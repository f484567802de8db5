"""The page on the paper's size says what the code says."""

from importlib import resources

import pytest

from harness.planning import walk


@pytest.fixture(scope="module")
def tables():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_DATASETS_OFFLINE", "1")
        return walk.tables()


def test_every_table_of_the_page_is_the_codes_own(tables):
    page = (resources.files("harness.planning") / "README.md").read_text(encoding="utf-8")
    for table in tables.strip().split("\n\n"):
        assert table in page, "run `python -m harness.planning.walk`, and put its tables in"


def test_the_walk_is_of_the_papers_size(tables):
    assert "| candidates | 80,000 |" in tables
    assert "| judge | 240,000 |" in tables
    assert "| train SFT | 3,200 |" in tables
