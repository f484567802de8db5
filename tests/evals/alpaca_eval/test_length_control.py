import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.alpaca_eval import length_control, refits
from evals.alpaca_eval.covariates import Gamed, Weights
from evals.alpaca_eval.design import Judgements, Rows
from evals.alpaca_eval.length_control import estimate, predicted_win_rate, win_rate


@pytest.fixture(autouse=True)
def fewer_resamples(monkeypatch):
    monkeypatch.setattr(length_control, "RESAMPLES", 60)


def judgements(n=300, seed=0, length=-1.5, difficulty=1.0, model=-0.5, gamed=0):
    """Judgements whose true coefficients are known."""
    rng = np.random.default_rng(seed)
    difference, hard = rng.normal(-20, 300, n), rng.normal(0, 1, n)
    relative = np.tanh(difference / difference.std(ddof=1))
    odds = refits.sigmoid(length * relative + difficulty * hard + model)
    wins = np.clip(odds + rng.normal(0, 0.05, n), 0, 1)
    others = None
    if gamed:
        x = np.stack([np.tanh(rng.normal(0, 1, gamed)), rng.normal(0, 1, gamed)], axis=1)
        others = Gamed(
            np.concatenate([x, np.zeros((gamed, 1))], axis=1),
            refits.sigmoid(x @ [length, difficulty]),
        )
    return Judgements(difference, wins, hard, others)


def test_the_coefficients_that_made_the_data_are_found():
    data = judgements(n=1_000, gamed=300)
    found = estimate(data)
    assert found.weights == pytest.approx((-1.5, 1.0, -0.5), abs=0.1)
    assert found.value == pytest.approx(100 * refits.sigmoid(data.difficulty - 0.5).mean(), abs=1)
    assert found.low < found.value < found.high


def test_length_is_taken_out():
    longer = judgements(length=-3.0, model=0.0)
    shifted = Judgements(
        longer.length_difference, longer.wins, np.zeros(len(longer.wins)), None
    )  # the same judgements, and nothing known of the instructions
    raw = 100 * longer.wins.mean()
    assert abs(estimate(longer).value - 50) < abs(raw - 50) + 1
    assert estimate(shifted).value == pytest.approx(estimate(longer).value, abs=3)


def test_refits_minimise_what_the_fit_minimises():
    data = judgements(gamed=200)
    found = estimate(data)
    rows = data.rows(np.arange(len(data.wins)))
    one = Rows(rows.x[None], rows.y[None], rows.weight[None])
    [again] = refits.minimise(one, found.c, np.zeros(3))
    assert again == pytest.approx(found.weights, abs=2e-3)
    best = refits._objective(one, found.c, again[None])
    assert best <= refits._objective(one, found.c, np.array([found.weights])) + 1e-9
    for step in np.eye(3) * 1e-3:
        assert refits._objective(one, found.c, (again + step)[None]) > best
        assert refits._objective(one, found.c, (again - step)[None]) > best


@given(
    wins=st.lists(st.sampled_from([0.0, 0.5, 1.0]) | st.floats(0, 1), min_size=4, max_size=12),
    c=st.sampled_from([1e-4, 1e-2, 1.0, 100.0, 1e4]),
    start=st.lists(st.floats(-30, 30), min_size=3, max_size=3),
)
@settings(max_examples=20, deadline=None)
def test_a_refit_never_leaves_its_minimum_whatever_the_start(wins, c, start):
    n = len(wins)
    rng = np.random.default_rng(n)
    rows = Rows(rng.normal(0, 1, (1, n, 3)), np.array([wins]), np.ones((1, n)))
    found = refits.minimise(rows, c, np.array(start))
    reached = refits._objective(rows, c, found)
    assert np.isfinite(found).all()
    for step in rng.normal(0, 1e-2, (20, 3)):
        assert refits._objective(rows, c, found + step) >= reached * (1 - 1e-4)


def test_a_resample_of_everything_once_is_the_fit(monkeypatch):
    data = judgements(gamed=200)
    found = estimate(data)

    class Unshuffled:
        def integers(self, n, size):
            return np.tile(np.arange(n), (size[0], 1))

    monkeypatch.setattr(refits.np.random, "default_rng", lambda seed: Unshuffled())
    rates = refits.win_rates(data, found.c, np.array(found.weights), 3, seed=0)
    assert rates == pytest.approx([found.value] * 3, abs=0.05)


def test_the_interval_is_seeded_and_about_as_wide_as_fresh_data_spread(monkeypatch):
    one = estimate(judgements(n=200))
    assert one == estimate(judgements(n=200))
    monkeypatch.setattr(length_control, "RESAMPLES", 1)
    fresh = [estimate(judgements(n=200, seed=seed)).value for seed in range(12)]
    assert 2 * 1.96 * np.std(fresh) == pytest.approx(one.high - one.low, rel=0.5)


def test_a_failed_judgement_is_in_the_mean_and_not_in_the_fit():
    whole = judgements()
    wins = whole.wins.copy()
    wins[:40] = np.nan
    failed = estimate(Judgements(whole.length_difference, wins, whole.difficulty))
    assert failed.value == win_rate(failed.weights, whole.difficulty)
    # What those rows say does not matter, only how hard their instructions are.
    assert failed.weights != estimate(whole).weights
    left_out = Judgements(whole.length_difference[40:], whole.wins[40:], whole.difficulty[40:])
    assert failed.weights == pytest.approx(estimate(left_out).weights, abs=0.1)


@pytest.mark.parametrize("wins", [[0.0] * 20, [1.0] * 20, [0.0] * 16 + [1.0] * 4, [0.5] * 3])
def test_without_wins_and_losses_there_is_nothing_to_fit(wins):
    difference = np.arange(len(wins), dtype=float)
    assert estimate(Judgements(difference, np.array(wins))) is None


def test_without_different_lengths_there_is_nothing_to_fit():
    assert estimate(Judgements(np.full(20, 7.0), np.linspace(0, 1, 20))) is None
    assert estimate(Judgements(np.array([]), np.array([]))) is None


def test_weights_say_how_two_models_compare():
    hard = np.array([-1.0, 0.0, 2.0])
    one, two = Weights(-2.0, 1.0, -0.5), Weights(-1.0, 0.5, -1.0)
    assert win_rate(Weights(9.0, 0.0, 0.0), hard) == 50
    assert predicted_win_rate(one, two, hard) == pytest.approx(
        100 * np.mean([1 / (1 + np.exp(-(0.5 + 0.5 * d))) for d in hard])
    )
    assert predicted_win_rate(one, two, hard) == pytest.approx(
        100 - predicted_win_rate(two, one, hard)
    )
    assert win_rate(Weights(-2.0, 0.0, 1.0), None) == pytest.approx(100 / (1 + np.exp(-1)))
