"""Whether self-rewarding worked here: a verdict for each axis, and one for the whole run.

    Self-rewarding         worked, from M1 to M3: instruction following improved, judging shows no
                           clear change, general ability held.
    Instruction following  improved from M1 to M3: ...
    Judging                no clear change from M1 to M3: ...
    General ability        no clear change from M1 to M3: ...

Every evaluation of an axis says what the loop changed, from the model that it began with to the
last one, by the one rule of `reports.evidence`. Together:

    at least one better, none worse     improved
    at least one worse, none better     got worse
    both                                mixed
    none, but there was enough to see   no clear change
    too few items, or too few differ    too little to tell

General ability that shows no clear change has held where a loss of `LEAST_TAX` can be excluded.
The run as a whole, from the axes:

    instruction following                   judging, general ability   self-rewarding
    improved                                neither got worse          worked
    improved                                one got worse or mixed     worked in part
    mixed                                   anything                   gave mixed results
    no clear change                         anything                   showed no clear effect
    got worse                               anything                   did not work
    too little to tell, or not measured     anything                   cannot be judged
"""

from dataclasses import dataclass
from typing import Literal

from harness.records import RunRecord
from reports.blocks import Points
from reports.changes import Change, Changes
from reports.evidence import LEAST_TAX, Evidence, holds
from reports.findings import by_plugin, shown
from reports.names import label
from reports.series import models

Outcome = Literal[
    "improved", "got worse", "mixed", "no clear change", "too little to tell", "not measured"
]
INSTRUCTIONS, JUDGING, ABILITY = "Instruction following", "Judging", "General ability"
AXES = {
    INSTRUCTIONS: ("head_to_head", "alpaca_eval", "mt_bench", "examiner"),
    JUDGING: ("judge_agreement",),
    ABILITY: ("nlp_benchmarks",),
}
"""Each axis and the plug-ins that measure it, the paper's own first."""

_PHRASES: dict[Outcome, str] = {
    "improved": "improved",
    "got worse": "got worse",
    "mixed": "went both ways",
    "no clear change": "shows no clear change",
    "too little to tell": "rests on too little to tell",
    "not measured": "was not measured",
}
_COUNTS: dict[Evidence, str] = {"not after correction": "not clear after correction"}
_ANSWERS: dict[Outcome, str] = {
    "mixed": "gave mixed results",
    "no clear change": "showed no clear effect",
    "got worse": "did not work",
    "too little to tell": "cannot be judged on so little",
    "not measured": "cannot be judged",
}


@dataclass(frozen=True)
class Axis:
    """What a run shows of one thing that the loop should change."""

    name: str
    outcome: Outcome
    changes: tuple[Change, ...]
    """What it is made of."""

    @property
    def held(self) -> bool:
        """Whether the general ability cannot have fallen by more than the margin."""
        lows = [change.estimate.low for change in self.changes]
        return self.name == ABILITY and bool(lows) and all(holds(low, LEAST_TAX) for low in lows)


def axes(record: RunRecord, found: Changes) -> tuple[Axis, ...]:
    """Judge every axis by what the loop changed."""
    by_name = by_plugin(record)
    made = []
    for name, plugins in AXES.items():
        measured = (by_name[plugin].name for plugin in plugins if plugin in by_name)
        changed = tuple(change for label in measured for change in found.over_loop(label))
        made.append(Axis(name, outcome(changed), changed))
    return tuple(made)


def outcome(changed: tuple[Change, ...]) -> Outcome:
    """Take what several changes show together."""
    shown = {change.evidence for change in changed}
    if not shown:
        return "not measured"
    match "better" in shown, "worse" in shown:
        case True, True:
            return "mixed"
        case True, False:
            return "improved"
        case False, True:
            return "got worse"
    enough = shown & {"no clear change", "not after correction"}
    return "no clear change" if enough else "too little to tell"


def verdicts(record: RunRecord, found: Changes) -> Points:
    """Answer whether self-rewarding worked, then axis by axis."""
    if found.loop is None:
        return Points(((subject(record), f"cannot be judged: {_no_loop(record)}"),))
    judged = axes(record, found)
    return Points(
        (
            (subject(record), _answer(judged, found, record)),
            *((axis.name, _sentence(axis, found)) for axis in judged),
        )
    )


def answer(judged: tuple[Axis, ...]) -> str:
    """Say in two or three words whether self-rewarding worked, by the table above."""
    found = {axis.name: axis.outcome for axis in judged}
    if found[INSTRUCTIONS] != "improved":
        return _ANSWERS[found[INSTRUCTIONS]]
    lost = {found[JUDGING], found[ABILITY]} & {"got worse", "mixed"}
    return "worked in part" if lost else "worked"


def subject(record: RunRecord) -> str:
    """Name what the run shows something about: the method, or models that were made elsewhere."""
    return "Self-rewarding" if _rewards_itself(record) else "The series"


def _rewards_itself(record: RunRecord) -> bool:
    trainer = record.request.get("trainer")
    return not isinstance(trainer, dict) or trainer.get("name") == "self_rewarding"


def _answer(judged: tuple[Axis, ...], found: Changes, record: RunRecord) -> str:
    said = ", ".join(f"{axis.name.lower()} {_phrase(axis)}" for axis in judged)
    # Of models that were made elsewhere there is no method that could have worked.
    worked = f"{answer(judged)}," if _rewards_itself(record) else "shows,"
    return f"{worked}{_span(found)}: {said}."


def _phrase(axis: Axis) -> str:
    unchanged = axis.outcome == "no clear change"
    return "held" if unchanged and axis.held else _PHRASES[axis.outcome]


def _sentence(axis: Axis, found: Changes) -> str:
    if not axis.changes:
        plugins = " or ".join(AXES[axis.name])
        return f"not measured: {plugins} would, of both the first and the last model."
    parts = ", ".join(_part(change, found) for change in axis.changes)
    tax = ""
    if axis.name == ABILITY:
        tax = f"; a loss of {100 * LEAST_TAX:g} points can{'' if axis.held else 'not'} be excluded"
    return f"{axis.outcome}{_span(found)}: {parts}{tax}."


def _part(change: Change, found: Changes) -> str:
    """Say what one evaluation found: `AlpacaEval better (+19.17 [+12.08, +26.25])`."""
    name = label(change.evaluation)
    if change.step != found.loop:
        name += f", {change.later} over {change.earlier},"
    return f"{name} {_COUNTS.get(change.evidence, change.evidence)} ({shown(change)})"


def _span(found: Changes) -> str:
    return f" from {found.loop[1]} to {found.loop[0]}" if found.loop else ""


def _no_loop(record: RunRecord) -> str:
    names = [model.name for model in models(record)]
    if len(names) < 2:
        return "no model has been trained and measured yet."
    return f"of {', '.join(names)}, none has learned from its own judgements and been measured."
