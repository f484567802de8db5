"""The examples in the docstrings are true."""

import doctest
from random import Random

import pytest

from harness.microworld import answers, corpus, datasets, examiner, items

ROOMS = [items, examiner, answers, corpus, datasets]


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: room.__name__)
def test_examples_of(room):
    names = {name: value for module in ROOMS for name, value in vars(module).items()}
    result = doctest.testmod(
        room, extraglobs={**names, "Random": Random}, optionflags=doctest.NORMALIZE_WHITESPACE
    )
    assert result.attempted and not result.failed
