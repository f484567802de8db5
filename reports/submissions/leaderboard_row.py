"""A model's row of AlpacaEval's leaderboard, and whether its judgements come to the same.

    ,win_rate,standard_error,...,length_controlled_winrate    computed again by `harness score`
    ,np.tanh(std_delta_len),instruction_difficulty,...        what the last of these rests on

Figures are computed by the evaluation itself, which comes by its name like any plug-in.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from harness import plugins
from harness.errors import DataError
from harness.protocols import Rule
from harness.records import EvalResult
from reports.submissions.findings import csv_rows, judged

WEIGHTS = (
    "np.tanh(std_delta_len)",
    "instruction_difficulty",
    "not_gamed_baseline.astype(float)",
)
COLUMNS = {
    "win_rate": "win_rate",
    "standard_error": "standard_error",
    "n_wins": "n_wins",
    "n_wins_base": "n_wins_base",
    "n_draws": "n_draws",
    "discrete_win_rate": "discrete_win_rate",
    "avg_length": "average_length",
}
"""By column of the leaderboard, the metric of `harness score` that it is."""
TOLERANCE, LC_TOLERANCE = 1e-6, 1e-4
"""In percent. Difficulties are published with less precision than preferences."""


def row_of(path: Path, model: str) -> dict[str, str]:
    """Find the model's row in a table.

    Raises:
        DataError: it has none, or several.
    """
    found = [row for row in csv_rows(path) if row.get("") == model]
    if len(found) != 1:
        raise DataError(f"{path} has {len(found)} rows of {model}; wanted one")
    return found[0]


def coefficients(path: Path, model: str) -> list[float]:
    """Read the model's coefficients.

    Raises:
        DataError: it has none, or they are no numbers.
    """
    row = row_of(path, model)
    try:
        return [float(row[column]) for column in WEIGHTS]
    except (KeyError, ValueError) as error:
        raise DataError(f"{path} wants numbers in {', '.join(WEIGHTS)} ({error})") from error


def length_controlled(
    row: Mapping[str, str], weights: Sequence[float], again: EvalResult
) -> Iterator[Rule]:
    """Hold the length-controlled rate against its coefficients, and against the raw rate."""
    name = "length-controlled rate"
    try:
        value, raw = float(row["length_controlled_winrate"]), float(row["win_rate"])
    except (KeyError, ValueError):
        yield judged(name, ["there are coefficients, and the row has no such rate"])
        return
    metric = again.metric("length_controlled_win_rate_published_weights")
    _, difficulty, bias = weights
    if metric is not None and metric.value is not None:
        found = metric.value
    elif difficulty == 0:
        found = 50 * (1 + math.tanh(bias / 2))  # the sigmoid, of any size
    else:
        yield Rule(name, "unchecked", "wants the difficulties: `harness data pull alpaca_eval`")
        return
    same = abs(found - value) <= LC_TOLERANCE
    wrong = [] if same else [f"{value:.4f} in the row, {found:.4f} by its coefficients"]
    yield judged(name, wrong, fine=f"{value:.2f} by its coefficients")
    most = max(raw + (100 - raw) / 4, raw + 10)
    gain = [f"{value:.2f}, more than {most:.2f} for a raw rate of {raw:.2f}"]
    yield judged("no suspicious gain by length control", gain if value > most else [])


def score(files: Sequence[Path]) -> EvalResult:
    """Compute the figures of annotations by the evaluation itself.

    Raises:
        DataError: they cannot be computed, or are of more than one model.
    """
    found: Sequence[EvalResult] = plugins.load(plugins.EVALUATIONS, "alpaca_eval").score(files)
    if len(found) != 1:
        raise DataError(f"{files[0]} has {len(found)} pairs of a model and a judge; wanted one")
    return found[0]


def differences(row: Mapping[str, str], again: EvalResult) -> Iterator[str]:
    """Compare the leaderboard's row with the figures of the annotations."""
    metrics = {column: again.metric(name) for column, name in COLUMNS.items()}
    found = {column: metric.value for column, metric in metrics.items() if metric}
    win_rate = again.metric("win_rate")
    found["n_total"] = win_rate.n if win_rate else None
    for column, value in found.items():
        told = row.get(column, "")
        try:
            same = value is not None and abs(float(told) - value) <= TOLERANCE
        except ValueError:
            same = not told and value is None
        if not same:
            yield f"{column} is {told or 'empty'} in the row, {value} by the annotations"


def public_table(judge: str) -> list[dict[str, str]]:
    """Read the table that the installed package has of a judge; empty without."""
    spec = find_spec("alpaca_eval")  # found, not imported: that takes seconds
    folders = spec.submodule_search_locations if spec else None
    name = f"leaderboards/data_AlpacaEval_2/{judge}_leaderboard.csv"
    path = Path(folders[0], name) if folders else None
    return csv_rows(path) if path and path.is_file() else []
