"""Everything that a comparison says, before it is laid out."""

from dataclasses import dataclass
from functools import lru_cache

from harness.protocols import NamedRun
from reports.claims import Claim
from reports.comparison.ablations import ablations
from reports.comparison.contrasts import Contrast, contrasts
from reports.comparison.levels import Quantity, names, quantities
from reports.comparison.settings import Setting, settings
from reports.comparison.steps import Step, steps


@dataclass(frozen=True)
class Compared:
    """Several runs beside each other."""

    settings: tuple[Setting, ...]
    models: tuple[str, ...]
    """The names of all models, in the order of the runs."""
    quantities: tuple[Quantity, ...]
    steps: tuple[Step, ...]
    contrasts: tuple[Contrast, ...]
    ablations: tuple[Claim, ...]


@lru_cache(maxsize=1)  # every renderer asks for the same one
def compare(runs: tuple[NamedRun, ...]) -> Compared:
    """Compare runs with each other and with the paper.

    Raises:
        ConfigError: two of them are the same run.
    """
    found = settings(runs)
    models, measured = names(found), quantities(found)
    return Compared(
        settings=found,
        models=models,
        quantities=measured,
        steps=tuple(steps(measured, found, models)),
        contrasts=contrasts(found),
        ablations=ablations(found),
    )
