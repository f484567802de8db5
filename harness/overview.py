"""A whole run at one moment: what is done, what is under way, and how long the rest may take.

    00-evaluate   done        0:12   M0/examiner 0:01 ...
    01-train      done        1:05
    01-evaluate   under way   0:14   10 parts done, M1/mt_bench under way, 13 to come
    02-train      to come            nobody knows: the first training learnt from other data
    02-evaluate   to come     about 0:12, as long as the parts of the measurement before

What is to come is estimated from parts of the same kind that have ended (`M1/mt_bench` from
`SFT/mt_bench`), and from the rate of the part under way. Where there is nothing to go by, nothing
is made up: the estimate says that it is only of the part that is known.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness.records import Bill, Cost, ModelRef, PartUnderWay, Stage, StageResult, UnderWay

OTHER = "loading and other"
"""The part of a stage that no plug-in gave a name: imports, models being loaded and hashed."""
_LEAST_SHARE = 0.02


@dataclass(frozen=True)
class Position:
    """Where a run is when a stage begins."""

    plan: Sequence[Stage]
    done: Sequence[StageResult]
    """The stages before it; one that is not finished has answers, and marks to come."""
    stage: Stage
    parts: Sequence[str] = ()
    """Those of the stage that are still owed, as far as they are known."""
    costs: Mapping[str, Cost] = field(default_factory=dict)
    """What earlier attempts at the stage took, by part."""


@dataclass(frozen=True)
class Left:
    """An estimate of the time to come, in seconds."""

    seconds: float
    whole: bool
    """Otherwise there is more to come that nobody can estimate yet."""


def rows_left(part: PartUnderWay, now: float) -> float | None:
    """Estimate the seconds to come of a part from its own rate; None where that is not known."""
    made, elapsed = part.done - part.earlier, now - (part.since or part.began)
    # The first rows come after a whole batch, or after loading: nothing to go by yet.
    if part.total is None or made <= 0 or elapsed <= 0 or made < _LEAST_SHARE * part.total:
        return None
    return max(part.total - part.done, 0) * elapsed / made


def tokens_per_second(part: PartUnderWay, now: float) -> float | None:
    """New tokens a second since the part began; None where it makes none."""
    elapsed = now - part.began
    return part.cost.new_tokens / elapsed if part.cost.new_tokens and elapsed > 0 else None


@dataclass(frozen=True)
class Overview:
    """What there is to see of a run."""

    plan: Sequence[Stage]
    done: Sequence[StageResult]
    under_way: UnderWay | None = None
    working: bool = True
    """Otherwise the stage under way was left, and nobody is at it now."""
    bills: Sequence[Bill] = ()

    def result(self, stage: Stage) -> StageResult | None:
        """What a stage left behind, or None where it has not finished."""
        return next((result for result in self.done if result.stage == stage), None)

    def elapsed(self, now: float) -> float:
        """Add up the seconds of all attempts, but for what was killed."""
        seconds = sum(cost.seconds for result in self.done for cost in result.costs.values())
        return seconds + (stage_elapsed(self.under_way, now) if self.under_way else 0.0)

    def left(self, now: float) -> Left:
        """Estimate the seconds to come.

        What has been marked beside other parts may yet be waited for at the end: nobody knows.
        """
        known = list(self._to_come(now))
        seconds = sum(seconds for seconds in known if seconds is not None)
        return Left(seconds, whole=None not in known and not (known and self._marked_beside()))

    def _marked_beside(self) -> bool:
        measured = [result for result in self.done if result.stage.kind == "evaluate"]
        parts = [cost for result in measured for cost in result.costs.values()]
        return any(cost.beside for cost in parts) or not all(one.finished for one in measured)

    def _to_come(self, now: float) -> Iterator[float | None]:
        """Estimate what is under way and all that comes after; None for what nobody knows."""
        at = self.under_way if self.working else None
        if at is not None:
            yield from self._rest_of_stage(at, now)
        for stage in self.plan:
            if self.result(stage) is None and (at is None or stage != at.stage):
                yield self.estimate(stage)
                if stage == Stage(iteration=1, kind="evaluate") and self._trained(stage) is None:
                    yield None  # the first training may hand back baselines, to be measured too

    def _rest_of_stage(self, under_way: UnderWay, now: float) -> Iterator[float | None]:
        stage, part = under_way.stage, under_way.part
        if under_way.beside:
            yield None
        paces = self._paces(stage) | {
            self._kind(stage, name): (under_way.earlier.get(name, Cost()) + cost).seconds
            for name, cost in under_way.ended.items()
        }
        if part is not None:
            by_rate, pace = rows_left(part, now), paces.get(self._kind(stage, part.name))
            by_pace = None if pace is None else max(pace - (now - part.began), 0.0)
            yield by_pace if by_rate is None else by_rate
        for name in self.parts_to_come(under_way):
            yield paces.get(self._kind(stage, name))
        if stage.kind == "train" and not self._paces(stage):
            yield None

    def parts_to_come(self, under_way: UnderWay) -> Sequence[str]:
        """Name the parts after the present one: as announced, or else as in the round before."""
        stage = under_way.stage
        if stage.kind == "evaluate":
            return under_way.to_come
        begun = {self._kind(stage, name) for name in under_way.ended}
        if under_way.part is not None:
            begun.add(self._kind(stage, under_way.part.name))
        return [kind for kind in self._paces(stage) if kind not in begun and kind != OTHER]

    def estimate(self, stage: Stage) -> float | None:
        """Estimate the seconds of a stage that has not begun; None where nobody knows."""
        paces, trained = self._paces(stage), self._trained(stage)
        models = 1 + len(trained.comparators) if trained and stage.kind == "evaluate" else 1
        seconds = (pace if kind == OTHER else models * pace for kind, pace in paces.items())
        return sum(seconds) if paces else None

    def _trained(self, stage: Stage) -> StageResult | None:
        return self.result(Stage(iteration=stage.iteration, kind="train"))

    def _paces(self, stage: Stage) -> dict[str, float]:
        """Tell the seconds of each kind of part of such a stage, when last it was done.

        The first training learns from other data than the later ones, which says nothing of them.
        """
        alike = [
            result
            for result in self.done
            if result.stage.kind == stage.kind
            and (stage.kind == "evaluate" or min(result.stage.iteration, stage.iteration) > 1)
        ]
        return {
            self._kind(result.stage, name): cost.seconds
            for result in alike
            for name, cost in result.costs.items()
        }

    def _kind(self, stage: Stage, part: str) -> str:
        """Name a part without the model that it is about."""
        if stage.kind == "evaluate":
            return part.partition("/")[2] or part
        names = {*self._names, f"M{stage.iteration}"}
        return " ".join(word for word in part.split() if word not in names) or part

    @cached_property
    def _names(self) -> frozenset[str]:
        return frozenset(model.name for result in self.done for model in models_of(result))


def models_of(result: StageResult) -> tuple[ModelRef, ...]:
    """List the models of a stage, baselines first."""
    return (*result.comparators, result.model)


def stage_elapsed(under_way: UnderWay, now: float) -> float:
    """Say how long the stage has taken, earlier attempts included, in seconds."""
    earlier = sum(cost.seconds for cost in under_way.earlier.values())
    return earlier + max(now - under_way.began, 0.0)
