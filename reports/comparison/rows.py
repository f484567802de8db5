"""A comparison as the rows of `compare.json`, for other tools to read.

    {"kind": "run", "setting": "micro (3 seeds)", "run": "seed1", "seed": "1", "model": "M2", ...}
    {"kind": "seeds", "setting": "micro (3 seeds)", "model": "M2", "value": 3.6, "n": 3, ...}

All rows have the same keys. The kinds:

    run        a metric of a model of a run, as `summary.json` has it; n counts items
    seeds      the mean over a setting's seeds; n counts seeds, as in the next
    step       the mean change from the model `against` to `model`, seed by seed
    contrast   `model` less the model of that name of the setting `than`; n counts items
    seeds_contrast  the same as mean over the seeds that both have; n counts seeds
    ablation   a claim of the paper (`metric`), as a difference of two settings
    published  a figure of the paper
"""

import math
from collections.abc import Iterator, Sequence
from itertools import chain

from pydantic import JsonValue

from harness.protocols import NamedRun
from harness.statistics.intervals import Estimate
from harness.statistics.repeats import Repeats
from reports import paper
from reports.comparison.compared import Compared, compare
from reports.comparison.settings import seed

KEYS = (
    "kind", "setting", "than", "run", "seed", "model", "against", "evaluation", "metric", "value",
    "low", "high", "deviation", "p", "corrected", "n", "failed", "protocol", "note",
)  # fmt: skip
Row = dict[str, JsonValue]


def rows(runs: Sequence[NamedRun]) -> Iterator[Row]:
    """Lay everything out flat.

    Raises:
        ConfigError: two of them are the same run.
    """
    found = compare(tuple(runs))
    for row in chain(_runs(found), _over_seeds(found), _between(found), _published()):
        yield {key: row.get(key) for key in KEYS}


def _runs(found: Compared) -> Iterator[Row]:
    for setting in found.settings:
        for run in setting.runs:
            which: Row = {
                "kind": "run",
                "setting": setting.name,
                "run": run.name,
                "seed": seed(run.record),
            }
            for stage in run.record.stages:
                for result in stage.evaluations:
                    yield from (which | row for row in result.rows())


def _over_seeds(found: Compared) -> Iterator[Row]:
    for quantity in found.quantities:
        for setting in found.settings:
            for model in found.models:
                level = quantity.level(setting, model)
                if len(setting.runs) > 1 and level.n:
                    yield {
                        "kind": "seeds",
                        "setting": setting.name,
                        "model": model,
                        "evaluation": quantity.evaluation,
                        "metric": quantity.metric,
                        "protocol": quantity.result.protocol,
                        **_estimate(level),
                    }
    for step in found.steps:
        yield {
            "kind": "step",
            "setting": step.setting.name,
            "model": step.later,
            "against": step.earlier,
            "evaluation": step.quantity.evaluation,
            "metric": step.quantity.metric,
            "protocol": step.quantity.result.protocol,
            **_estimate(step.repeats),
        }


def _between(found: Compared) -> Iterator[Row]:
    for one in found.contrasts:
        which: Row = {
            "setting": one.setting.name,
            "than": one.first.name,
            "seed": ", ".join(one.seeds),
            "model": one.model,
            "evaluation": one.evaluation,
            "metric": one.metric,
            "note": one.refused,
        }
        failed = {} if one.refused else {"failed": one.asked - one.estimate.n}
        chance: Row = {"p": one.p, "corrected": one.corrected}
        yield {"kind": "contrast", **which, **_estimate(one.estimate), **chance, **failed}
        if one.over_seeds.n > 1:
            yield {"kind": "seeds_contrast", **which, **_estimate(one.over_seeds)}
    for claim in found.ablations:
        yield {
            "kind": "ablation",
            "metric": claim.text,
            "note": f"{claim.verdict} {claim.why}".strip(),
            **(_estimate(claim.measured.estimate) if claim.measured else {}),
        }


def _published() -> Iterator[Row]:
    for one in paper.everything():
        yield {
            "kind": "published",
            "setting": one.condition or None,
            "model": one.model,
            "against": one.against,
            "evaluation": one.evaluation,
            "metric": one.metric,
            "value": one.value,
            "low": one.low,
            "high": one.high,
            "n": one.n,
            "note": one.source,
        }


def _estimate(one: Estimate | Repeats) -> Row:
    numbers = {"value": one.value, "low": one.low, "high": one.high}
    if isinstance(one, Repeats):
        numbers["deviation"] = one.deviation
    finite = {
        key: value if value is not None and math.isfinite(value) else None
        for key, value in numbers.items()
    }
    return {**finite, "n": one.n}
