"""How training went: losses, and the rewards of preference training where they were logged."""

import math
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from harness.records import RunRecord
from reports.blocks import Chart
from reports.charts import svg
from reports.charts.curves import Curve, CurvePanel, curves
from reports.charts.ink import inks
from reports.charts.measures import names

_NO_PREFERENCE = (math.log(2), "log 2: no preference")
"""The loss of DPO before its first step."""
_REWARDS = {
    "rewards/margins": ("Reward margin, chosen over rejected", (0.0, "none")),
    "rewards/accuracies": ("Pairs ranked right by the reward", (0.5, "chance")),
}


def training(record: RunRecord, *, width: float = svg.WIDTH) -> Chart | None:
    """Draw what every training logged, a panel a measure."""
    supervised: list[Curve] = []
    preference: list[Curve] = []
    rewards: dict[str, list[Curve]] = {key: [] for key in _REWARDS}
    for name, logged in _trainings(record):
        loss = Curve(name, _points(logged.get("losses")))
        logs = logged.get("curves")
        (preference if "pairs_in" in logged else supervised).append(loss)
        for key, found in rewards.items():
            found.append(Curve(name, _points(logs.get(key)) if isinstance(logs, dict) else ()))
    shown = (
        CurvePanel("Loss of fine-tuning", tuple(supervised)),
        CurvePanel("Loss of preference training", tuple(preference), _NO_PREFERENCE),
        *(
            CurvePanel(_REWARDS[key][0], tuple(found), _REWARDS[key][1])
            for key, found in rewards.items()
        ),
    )
    return curves("training", "How training went", shown, inks(names(record)), width=width)


def _trainings(record: RunRecord) -> Iterator[tuple[str, Mapping[str, JsonValue]]]:
    """Find what each training logged: of a baseline too, under the key of its lower-case name."""
    for stage in record.stages:
        for model in (*stage.comparators, stage.model):
            key = "training" if model is stage.model else model.name.lower()
            logged = stage.metrics.get(key)
            if stage.stage.kind == "train" and isinstance(logged, dict):
                yield model.name, logged


def _points(value: JsonValue) -> tuple[tuple[float, float], ...]:
    found = []
    for point in value if isinstance(value, list) else ():
        match point:
            case [int() | float() as step, int() | float() as height]:
                found.append((float(step), float(height)))
    return tuple(found)
