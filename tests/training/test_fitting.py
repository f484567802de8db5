import re

import pytest

from harness.errors import DataError
from training.fitting import Limits, fitting

LIMITS = Limits(tokens=5, vocabulary=100, bos=2)
FITS = ((2, 3), (4, 1))
TOO_LONG = ((2, 3, 4), (5, 6, 1))


def test_too_long_rows_are_named_or_left_out() -> None:
    assert fitting([FITS, TOO_LONG, FITS], LIMITS, drop_too_long=True) == [0, 2]
    with pytest.raises(DataError, match="row 1 has 6 tokens, and only 5 fit"):
        fitting([FITS, TOO_LONG, FITS], LIMITS, drop_too_long=False)


def test_the_longest_completion_counts() -> None:
    with pytest.raises(DataError, match="row 0 has 6 tokens"):
        fitting([((2, 3), (4, 1), (4, 5, 6, 1))], LIMITS, drop_too_long=False)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        (((), (4, 1)), "empty prompt"),
        (((2, 3), ()), "empty prompt or completion"),
        (((2, 3), (4, 1), (4, 1)), "to an equal one"),
        (((2, 3), (100, 1)), "token id 100, and the model has 100 embeddings"),
        (((2, -1), (4, 1)), "token id -1"),
        (((2, 2, 3), (4, 1)), "begin token twice"),
    ],
)
def test_rows_that_cannot_be_trained_on_are_refused(
    row: tuple[tuple[int, ...], ...], why: str
) -> None:
    with pytest.raises(DataError, match=re.escape(why)):
        fitting([FITS, row], LIMITS, drop_too_long=True)


@pytest.mark.parametrize("rows", [[], [TOO_LONG]])
def test_no_row_at_all_is_refused(rows: list[tuple[tuple[int, ...], ...]]) -> None:
    with pytest.raises(DataError, match="no training row is left"):
        fitting(rows, LIMITS, drop_too_long=True)
