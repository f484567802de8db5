"""What the length-controlled fit takes from files: difficulties, gamed baselines, weights.

    df_gamed.csv                model, preference, index, std_delta_len,
                                instruction_difficulty, not_gamed_baseline         1610 rows
    instruction_difficulty.csv  index, instruction_difficulty                       805 rows
    baseline_....csv            "", np.tanh(std_delta_len), instruction_difficulty,
                                not_gamed_baseline.astype(float)                    one a model

`df_gamed.csv` has the reference's own verbose and concise outputs judged against it, which keep the
fit from mistaking length for quality; it has the difficulties, too. Both files exist on the hub
only: `harness data pull alpaca_eval` gets them. A file with other bytes is used as well, and the
figure then says that it is not the official one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from evals.alpaca_eval import instructions
from evals.stored_files import read_csv, read_text
from harness.data import catalogue, folder
from harness.errors import DataError

Floats = NDArray[np.float64]
Kind = Literal["gamed", "difficulty", "weights"]

FOLDER = "alpaca_eval"
"""Of AlpacaEval's files in the data folder and its catalogue."""
_NAME = {"gamed": "df_gamed", "difficulty": "instruction_difficulty"}
NOT_OFFICIAL = "not official LC"

LENGTH, DIFFICULTY = "np.tanh(std_delta_len)", "instruction_difficulty"
MODEL = "not_gamed_baseline.astype(float)"


class Weights(NamedTuple):
    """A model's three coefficients, as published for 200 models."""

    length: float
    difficulty: float
    model: float


@dataclass(frozen=True)
class Gamed:
    """The reference's verbose and concise outputs, judged against itself."""

    features: Floats
    """Shape (rows, 3): tanh of the standardised difference in length, difficulty, and 0."""
    wins: Floats
    """Shape (rows,), from 0 to 1."""


@dataclass(frozen=True)
class Covariates:
    """What there is for the fit."""

    difficulty: Floats | None = None
    """By position among AlpacaEval's instructions, shape (805,)."""
    gamed: Gamed | None = None
    files: tuple[str, ...] = ()
    """Names of the files it was read from."""
    note: str = f"{NOT_OFFICIAL}: no df_gamed.csv and no instruction_difficulty.csv"
    """Empty where the files are the official ones."""

    def difficulty_of(self, instruction: str) -> float | None:
        """Find the published difficulty of one of AlpacaEval's instructions."""
        place = instructions.position(instruction)
        if self.difficulty is None or place is None:
            return None
        return float(self.difficulty[place])


NONE = Covariates()


def kind(path: Path) -> Kind | None:
    """Tell by its header which of the three kinds a file is, if any."""
    header = read_text(path)[:400].partition("\n")[0]
    columns = {name.strip().strip('"') for name in header.split(",")}
    if {LENGTH, MODEL} <= columns:
        return "weights"
    if {"std_delta_len", "preference", DIFFICULTY} <= columns:
        return "gamed"
    return "difficulty" if DIFFICULTY in columns else None


def find(named: Mapping[Kind, Path], folders: Iterable[Path]) -> Covariates:
    """Read the files that are named, or else official ones in any folder, or else the first.

    Args:
        named: Files by kind; these go first.
        folders: Where else to look; the data folder is always looked into last.

    Raises:
        DataError: a file is not what its name or header says.
    """
    places = [*folders, folder.folder() / FOLDER]
    gamed = named.get("gamed") or _first(places, "gamed")
    if gamed is not None:
        return _with_gamed(gamed)
    difficulty = named.get("difficulty") or _first(places, "difficulty")
    if difficulty is None:
        return NONE
    return Covariates(
        difficulty=_by_position(difficulty, read_csv(difficulty)),
        files=(difficulty.name,),
        note=f"{NOT_OFFICIAL}: no df_gamed.csv, so fitted without gamed baselines"
        + ("" if is_official(difficulty, "difficulty") else f"; surrogate files {difficulty.name}"),
    )


def _with_gamed(path: Path) -> Covariates:
    rows = read_csv(path)
    official = is_official(path, "gamed")
    return Covariates(
        difficulty=_by_position(path, rows),
        gamed=_gamed(path, rows),
        files=(path.name,),
        note="" if official else f"{NOT_OFFICIAL}: surrogate files {path.name}",
    )


def is_official(path: Path, kind: Literal["gamed", "difficulty"]) -> bool:
    """Compare a file with the published one, by hash."""
    published = catalogue.load()[f"{FOLDER}/{_NAME[kind]}.csv"]
    return folder.sha256(path) == published.sha256


def _first(folders: Iterable[Path], kind: Literal["gamed", "difficulty"]) -> Path | None:
    """Find the official file of a kind in any folder, or else the first folder's first by name."""
    name = f"{_NAME[kind]}*.csv"
    there = [path for place in folders if place.is_dir() for path in sorted(place.glob(name))]
    return next((path for path in there if is_official(path, kind)), next(iter(there), None))


def _by_position(path: Path, rows: Sequence[Mapping[str, str]]) -> Floats:
    found: dict[int, float] = {}
    for row in rows:
        index = "index" if "index" in row else ""  # pandas leaves an index unnamed
        found.setdefault(int(_number(path, row, index)), _number(path, row, DIFFICULTY))
    if sorted(found) != list(range(instructions.TOTAL)):
        raise DataError(
            f"{path} has difficulties of {len(found)} instructions, not of AlpacaEval's "
            f"{instructions.TOTAL} by index from 0; get the file of the data set again"
        )
    return np.array([found[place] for place in range(instructions.TOTAL)])


def _gamed(path: Path, rows: Sequence[Mapping[str, str]]) -> Gamed:
    wins = np.array([_number(path, row, "preference") for row in rows])
    features = np.array(
        [
            (np.tanh(_number(path, row, "std_delta_len")), _number(path, row, DIFFICULTY), 0.0)
            for row in rows
        ]
    )
    judged = np.isfinite(wins)
    return Gamed(features[judged], wins[judged])


def _number(path: Path, row: Mapping[str, str], column: str) -> float:
    text = row.get(column, "")
    try:
        # Only a preference may be missing: that row's judgement failed.
        return float(text or "nan") if column == "preference" else float(text)
    except ValueError as error:
        raise DataError(f"{path} has no number in {column!r} but {text!r}") from error


def read_weights(path: Path) -> dict[str, Weights]:
    """Read published coefficients, by model.

    Raises:
        DataError: it is not such a file.
    """
    return {
        row[""]: Weights(*(_number(path, row, column) for column in (LENGTH, DIFFICULTY, MODEL)))
        for row in read_csv(path)
        if "" in row
    }
