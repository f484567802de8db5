"""What was measured before: how long answers are, and how far the cost model is off.

    earlier run    M1/examiner took 0.59 s, its own plan says 0.40   -> such parts take 1.48 times
    pilot          256 of 300 rows of M0/examiner took 0.71 s        -> the same

A part is corrected by the part of the same name, else by those of its kind (`M2/examiner` by
`M1/examiner`, `train M3` by `train M2`), else by all of the work alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.overview import OTHER
from harness.records import Cost, Plan, RunRecord, Stage, StageResult


@dataclass(frozen=True)
class Timed:
    """A part, or a share of one, that was really done."""

    stage: Stage
    part: str
    kind: str
    """`generate`, `train` ...: what it did most."""
    modelled: float
    """Seconds by the cost model."""
    seconds: float
    """Seconds that it took."""


@dataclass(frozen=True)
class Evidence:
    """What is known before a run, and where from."""

    source: str = "cost model"
    timed: tuple[Timed, ...] = ()
    stages: tuple[StageResult, ...] = ()
    """With the costs of parts, for their lengths."""
    alike: bool = False
    """Whether whole parts were timed, so that they stand for parts without any model too."""
    elsewhere: bool = False
    """Whether it is of other hardware, so that its times tell nothing."""
    model: str = ""
    """Which model it was, where it is another one than is planned for."""

    def factor(self, stage: Stage, part: str, kind: str) -> float | None:
        """How many times the modelled seconds a part takes; None where nothing tells."""
        for near in self._nearest(stage, part, kind):
            modelled = sum(one.modelled for one in near)
            if modelled > 0:
                return sum(one.seconds for one in near) / modelled
        return None

    def seconds(self, stage: Stage, part: str) -> float | None:
        """Seconds of a part that no model is asked in, as it took before."""
        if not self.alike:
            return None
        for near in self._nearest(stage, part, "idle"):
            return sum(one.seconds for one in near) / len(near)
        return None

    def _nearest(self, stage: Stage, part: str, kind: str) -> Iterator[Sequence[Timed]]:
        named = [one for one in self.timed if one.part == part and one.stage == stage]
        like = kind_of(part)
        same = [
            one
            for one in self.timed
            if kind_of(one.part) == like and one.stage.kind == stage.kind and _round(one, stage)
        ]
        # Of several rounds, the last ones: models and lengths settle.
        last = max((one.stage.iteration for one in same), default=0)
        yield from filter(
            None,
            (
                named,
                [one for one in same if one.stage.iteration == last],
                [one for one in self.timed if stage.kind == "evaluate" and _alike(one, like, kind)],
                [one for one in self.timed if kind not in ("idle", "load") and one.kind == kind],
            ),
        )

    def cost(self, stage: Stage, part: str) -> Cost | None:
        """What such a part came to in rows and tokens; None where nothing tells."""
        like = kind_of(part)
        found: Cost | None = None
        for result in self.stages:
            for name, cost in result.costs.items():
                if name == part and result.stage.kind == stage.kind:
                    found = cost if result.stage == stage or found is None else found
                    if result.stage == stage:
                        return cost
                elif kind_of(name) == like and result.stage.kind == stage.kind:
                    found = cost if result.stage.iteration and stage.iteration else found
        return found


def kind_of(part: str) -> str:
    """Name a part without the model that it is about: `examiner/mark`, `train`."""
    if part == OTHER:
        return part
    word, _, rest = part.partition("/")
    return rest or word.partition(" ")[0]


def _alike(one: Timed, like: str, kind: str) -> bool:
    return one.stage.kind == "evaluate" and kind_of(one.part) == like


def _round(one: Timed, stage: Stage) -> bool:
    """Whether two stages are of the same sort: M0 and the first training are unlike the later."""
    if stage.kind == "evaluate":
        return (one.stage.iteration == 0) == (stage.iteration == 0)
    return (one.stage.iteration > 1) == (stage.iteration > 1)


def from_run(record: RunRecord, plan: Plan, name: str) -> Evidence:
    """Take a finished run, or what there is of it, as evidence.

    Args:
        record: The run.
        plan: What the cost model says of it.
        name: What to call it.
    """
    modelled = {
        (planned.stage, part): one for planned in plan.stages for part, one in planned.parts.items()
    }
    timed = []
    for result in record.stages:
        for part, cost in result.costs.items():
            planned = modelled.get((result.stage, part))
            seconds = planned.modelled if planned and planned.modelled else 0.0
            kind = planned.kind if planned else "idle"
            timed.append(Timed(result.stage, part, kind, seconds, cost.seconds))
    return Evidence(name, tuple(timed), record.stages, alike=True)
