import pytest
from pydantic import ValidationError

from harness.records import EvalResult, ItemResult, Metric, Score


def result(*items):
    return EvalResult(evaluation="e", model="M1", protocol="p", metrics=(), items=items)


def item(id, against=None):
    return ItemResult(id=id, answer="", outcome=Score(value=1), against=against)


def test_an_item_is_there_once_an_opponent():
    assert len(result(item("a"), item("b"), item("a", "M0"), item("a", "SFT")).items) == 4
    with pytest.raises(ValidationError, match="more than one item 'a'"):
        result(item("a", "M0"), item("a", "M0"))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_not_finite_is_no_number(value):
    metric = Metric(name="score", value=value, low=value, high=value, n=3)
    assert (metric.value, metric.low, metric.high) == (None, None, None)


def test_there_are_no_fewer_than_no_items():
    for counts in ({"n": -1}, {"n": 1, "failed": -1}):
        with pytest.raises(ValidationError):
            Metric(name="score", value=0.5, **counts)
