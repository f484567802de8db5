"""What a pilot trains on, without training."""

from harness.records import ModelRef
from tests.training.self_rewarding.test_plan import BASE, M0
from training.dpo import PreferencePair
from training.job import Trained
from training.pilot import Step
from training.self_rewarding import trial
from training.self_rewarding.settings import SelfRewardingSettings


def test_the_longest_pair_is_the_one_with_the_longest_sequence(monkeypatch, tmp_path):
    """Both of its sequences are in memory, and `max_length` is of either alone."""
    settings = SelfRewardingSettings.model_validate(
        BASE | {"dpo": BASE["dpo"] | {"batch_size": 2, "max_length": 10}}
    )
    fits = PreferencePair((2,) * 4, (3,) * 6, (4,) * 5)
    too_long = PreferencePair((2,) * 4, (3,), (4,) * 7)
    given = []

    def longest(model, rows, *_, **__):
        given.append(rows)
        return Step(1.0, 1, 19, 100, "cpu", 1)

    def learn(model, rows, *_, **__):
        given.append(rows)
        return Trained(ModelRef(location="none"), (), {"seconds": 1.0})

    monkeypatch.setattr(trial, "longest_dpo_step", longest)
    monkeypatch.setattr(trial, "prefer", learn)
    tried = trial._Trial(settings, M0, 0, tmp_path).dpo("train M2", [fits, too_long], [])
    assert all(set(rows) == {fits} for rows in given)
    assert tried.lesson.longest == 10
    assert tried.tokens == tried.rows * (10 + 9)


def test_a_pilot_tries_pairs_as_long_as_answers_may_be():
    short = PreferencePair((2,) * 4, (3, 5), (4,) * 5)
    [drawn] = trial._drawn_out([short], most=7, limit=None)
    assert drawn == PreferencePair((2,) * 4, (3, 5, 3, 5, 3, 5, 3), (4,) * 7)
    [drawn] = trial._drawn_out([short], most=7, limit=9)
    assert (len(drawn.chosen_ids), len(drawn.rejected_ids)) == (5, 5)
    assert not list(trial._drawn_out([short], most=7, limit=4))  # there is no room at all
