"""The fit of the length-controlled win rate, by scikit-learn as `alpaca_eval` does it.

    rows 2415 x 3 -> coefficients [-1.874, 0.997, -1.181], C 2.78

An L1 logistic regression without intercept. A target of 0.3 is a row won with weight 0.3 and a row
lost with weight 0.7. The penalty is chosen among scikit-learn's ten by five folds over the rows.
Imported by name, when there is something to fit.
"""

import warnings

import numpy as np
import sklearn
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegressionCV
from sklearn.metrics import make_scorer
from sklearn.model_selection import GroupKFold

from evals.alpaca_eval.covariates import Floats
from evals.alpaca_eval.design import Rows

FOLDS = 5
SEED = 123
"""The package's; liblinear draws its order of coordinates with it."""


def fit(rows: Rows) -> tuple[Floats, float]:
    """Fit the rows of positive weight.

    Args:
        rows: Of one fit; the order decides who shares a fold.

    Returns:
        The coefficients, shape (columns,), and the C that cross-validation chose.
    """
    used = rows.weight > 0
    x, y, weight = rows.x[used], rows.y[used], rows.weight[used]
    group, twice = np.tile(np.arange(len(y)), 2), np.tile(weight, 2)
    won, target = np.repeat([1, 0], len(y)), np.concatenate([y, 1 - y])
    # Routing is how the weights reach the scorer; the option is global, so it is put back.
    with sklearn.config_context(enable_metadata_routing=True), warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # about `penalty`, which 1.10 renames
        warnings.simplefilter("ignore", ConvergenceWarning)  # of penalties that are not chosen
        scorer = make_scorer(_log_loss, response_method="predict_proba", greater_is_better=False)
        model = LogisticRegressionCV(
            cv=GroupKFold(FOLDS),
            scoring=scorer.set_score_request(target=True, weight=True),
            penalty="l1",
            solver="liblinear",
            fit_intercept=False,
            random_state=SEED,
        ).set_fit_request(sample_weight=True)
        model.fit(
            np.tile(x, (2, 1)),
            won,
            sample_weight=target * twice,
            groups=group,
            target=target,
            weight=twice,
        )
    return np.asarray(model.coef_[0], dtype=float), float(np.ravel(model.C_)[0])


def _log_loss(won: Floats, predicted: Floats, target: Floats, weight: Floats) -> float:
    """Compute the weighted log loss of a fold; `target` is the weight of the label in `won`."""
    truth = np.where(won == 1, target, 1 - target)
    p = np.clip(predicted, 1e-15, 1 - 1e-15)
    return float(-np.mean((truth * np.log(p) + (1 - truth) * np.log(1 - p)) * weight))
