import numpy as np
import pytest
import sklearn

from evals.alpaca_eval.design import Rows
from evals.alpaca_eval.regression import fit


def rows(n=60, weight=1.0):
    rng = np.random.default_rng(0)
    x = rng.normal(0, 1, (n, 2))
    return Rows(x, 1 / (1 + np.exp(-2 * x[:, 0])), np.full(n, weight))


def test_the_penalty_is_one_of_ten():
    coefficients, c = fit(rows())
    assert min(abs(np.log(c) - np.log(np.logspace(-4, 4, 10)))) < 1e-9
    assert coefficients == pytest.approx([2, 0], abs=0.5)


def test_an_option_of_the_process_is_left_as_it_was():
    before = sklearn.get_config()
    fit(rows())
    assert sklearn.get_config() == before
    assert not before["enable_metadata_routing"]


def test_rows_without_weight_are_no_rows():
    some = rows()
    wrong = Rows(
        np.concatenate([some.x, 100 * some.x]),
        np.concatenate([some.y, 1 - some.y]),
        np.concatenate([some.weight, 0 * some.weight]),
    )
    assert fit(wrong)[0] == pytest.approx(fit(some)[0])
