"""What the paper says of leaving a part of the method out, and what these runs say of it.

    claim                 the paper                  here                   verdict
    Pairs beat positives  +0.348 against -0.010 ...  +0.18 [+0.10, +0.27]   holds

Two settings tell something about a claim where they differ in that part alone: with more, nobody
knows what did it. The claim is that there is more of something with the part than without. It

    holds                where the 95 % interval of the difference lies above 0,
    does not hold        where it lies below 0,
    not enough evidence  where it holds 0, or there are too few items,
    not run              where no two settings can tell.

Where the settings have three seeds or more in common, the interval over them must say the same.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations

from harness.records import RunRecord
from harness.statistics.intervals import Estimate, paired_difference, share, share_difference
from harness.statistics.repeats import Repeats
from reports import paper
from reports.comparison.contrasts import Contrast, contrast, item_metrics, item_scores, measured
from reports.comparison.levels import names
from reports.comparison.settings import Setting, differences
from reports.evidence import LEAST_ITEMS, Evidence, evidence
from reports.figures import DASH, number, visible
from reports.series import chain, plugin
from reports.tables import label

ANSWERING = ("examiner", "alpaca_eval", "mt_bench")
"""The evaluations of answers; the first that both settings have decides."""
FIRST_ROUND = "M2"
"""The first model that learned from judgements of its parent's answers."""
UNDECIDED = "not enough evidence"
_VERDICTS: dict[Evidence, str] = {"better": "holds", "worse": "does not hold"}
_EFT = ("trainer.seeds.eft", "trainer.seeds.ift_share")
_NOT_VARIED = "no two settings differ in that alone"


@dataclass(frozen=True)
class Ablation:
    """A claim of the paper about a part of the method, and what comes of it here."""

    claim: str
    published: str
    what: str
    """What was compared, or why nothing could be."""
    estimate: Estimate | None = None
    over_seeds: Repeats | None = None

    @property
    def verdict(self) -> str:
        """`holds`, `does not hold`, `not enough evidence` or `not run`."""
        if self.estimate is None:
            return "not run"
        said = {evidence(self.estimate.low, self.estimate.high, self.estimate.n)}
        if self.over_seeds is not None and self.over_seeds.low is not None:
            said.add(evidence(self.over_seeds.low, self.over_seeds.high, LEAST_ITEMS))
        return _VERDICTS.get(said.pop(), UNDECIDED) if len(said) == 1 else UNDECIDED


def ablations(settings: Sequence[Setting]) -> tuple[Ablation, ...]:
    """Judge every claim that only runs beside each other can tell something about."""
    return (_preferences(settings), _eft(settings), _rubric(settings))


def _preferences(settings: Sequence[Setting]) -> Ablation:
    """Appendix A.4: preference pairs help, perfect answers alone do not."""
    claim = "Pairs beat positives"
    wins, losses = (_paper("head_to_head", one, "M2", "positives only") for one in ("win", "loss"))
    alone = None if wins is None or losses is None else wins - losses
    pairs = _paper("head_to_head", "net_win", "M2")
    said = (
        f"net win of M2 over SFT {_net(pairs)} with pairs, "
        f"{_net(alone)} with positives (Appendix A.4)"
    )
    pair = _pair(
        settings,
        lambda setting: _says(setting, "trainer.learn_from", "preferences"),
        lambda setting: _says(setting, "trainer.learn_from", "positives"),
        lambda field: field == "trainer.learn_from",
    )
    if pair is None:
        return Ablation(claim, said, _NOT_VARIED)
    best = next((one for one in _answers(*pair) if one.estimate.value is not None), None)
    if best is None:
        return Ablation(claim, said, f"no common measurement of {FIRST_ROUND} or later")
    what = f"{label(best.evaluation)}, {label(best.metric)} of {best.model}: {_less(*pair)}"
    return Ablation(claim, said, what, best.estimate, best.over_seeds)


def _answers(whole: Setting, without: Setting) -> Iterator[Contrast]:
    """Compare the answers of the models that learned from judgements, the last ones first."""
    ours, theirs, metrics = measured(whole), measured(without), item_metrics(whole)
    record = whole.runs[0].record
    for name in ANSWERING:
        for model in reversed(chain(record)[2:]):
            for key in sorted(ours.keys() & theirs.keys()):
                if key[1] == model and plugin(record, key[0]) == name:
                    sides = (whole, ours[key]), (without, theirs[key])
                    yield contrast(key[0], metrics[key[0]], *sides)


def _eft(settings: Sequence[Setting]) -> Ablation:
    """Appendix A.3: a model that was not taught to judge leaves fewer preference pairs."""
    claim = "EFT gives more pairs"
    with_2, without_2, with_3, without_3 = (
        _shown(_paper("training", "pairs", model, condition), 0)
        for model in ("M2", "M3")
        for condition in ("", "without EFT")
    )
    said = (
        f"{with_2} pairs for M2 and {with_3} for M3 with EFT, {without_2} and {without_3} without, "
        "of as many prompts (Appendix A.3)"
    )
    pair = _pair(
        settings,
        lambda setting: _says(setting, "trainer.seeds.eft"),
        lambda setting: not _says(setting, "trainer.seeds.eft"),
        lambda field: field.startswith(_EFT),
    )
    if pair is None:
        return Ablation(claim, said, _NOT_VARIED)
    shares = []
    for setting in pair:
        made = [counted for run in setting.runs for counted in _pairs(run.record)]
        if not made:
            return Ablation(claim, said, _why_none(setting))
        shares.append(share(sum(pairs for pairs, _ in made), sum(asked for _, asked in made)))
    what = f"share of prompts that gave a pair for {FIRST_ROUND}: {_less(*pair)}"
    return Ablation(claim, said, what, share_difference(*shares))


def _pairs(record: RunRecord) -> Iterator[tuple[int, int]]:
    """Count the pairs that the first round learned from, and the prompts it had."""
    for result in record.stages:
        counts = result.metrics.get("pairs")
        if (
            result.stage.kind == "train"
            and result.model.name == FIRST_ROUND
            and isinstance(counts, dict)
            and isinstance(pairs := counts.get("pairs"), int)
            and isinstance(prompts := counts.get("prompts"), int)
        ):
            yield pairs, prompts


def _why_none(setting: Setting) -> str:
    stopped = next((run.record.stopped for run in setting.runs if run.record.stopped), None)
    why = f", it stopped: {visible(stopped)}" if stopped else ""
    return f"{setting.name} made no {FIRST_ROUND}{why}"


def _rubric(settings: Sequence[Setting]) -> Ablation:
    """Table 5: judging on the additive scale agrees better with people than by buckets."""
    claim = "Additive beats buckets"
    additive, buckets = (
        _shown(_paper("judge_agreement", "pairwise_accuracy", "SFT", condition), 3)
        for condition in ("additive rubric", "multiple-choice buckets")
    )
    said = (
        f"pairwise accuracy of SFT {additive} by the additive rubric, {buckets} by the buckets "
        "(Table 5)"
    )
    pair = _pair(
        settings,
        lambda setting: _says(setting, _judging_rubric(setting), "five_points"),
        lambda setting: _says(setting, _judging_rubric(setting), "buckets"),
        lambda field: field.endswith(".rubric"),
    )
    if pair is None:
        return Ablation(claim, said, _NOT_VARIED)
    ours, theirs = (_agreement(setting) for setting in pair)
    for model in names(pair)[1:]:  # M0 was never shown how to judge
        estimate = paired_difference(ours.get(model, {}), theirs.get(model, {}))
        if estimate.value is not None:
            what = f"agreement with human orders of {model} as a judge: {_less(*pair)}"
            return Ablation(claim, said, what, estimate)
    return Ablation(claim, said, "no model was readable as a judge by both rubrics")


def _judging_rubric(setting: Setting) -> str:
    """Find where a setting says by which rubric judge_agreement judges."""
    name = next((label for label, _ in measured(setting) if _agrees(setting, label)), "")
    return f"evaluations.{name}.rubric"


def _agreement(setting: Setting) -> dict[str, dict[str, float]]:
    """By model, the scores of its judge_agreement's items."""
    return {
        model: item_scores(list(by_seed.values()))
        for (evaluation, model), by_seed in measured(setting).items()
        if _agrees(setting, evaluation)
    }


def _agrees(setting: Setting, evaluation: str) -> bool:
    return plugin(setting.runs[0].record, evaluation) == "judge_agreement"


def _pair(
    settings: Sequence[Setting],
    has: Callable[[Setting], bool],
    lacks: Callable[[Setting], bool],
    may_differ: Callable[[str], bool],
) -> tuple[Setting, Setting] | None:
    """Find two settings of which one has a part and the other lacks it, and nothing else."""
    for whole, without in permutations(settings, 2):
        differing = differences((whole, without))
        if has(whole) and lacks(without) and all(may_differ(one.field) for one in differing):
            return whole, without
    return None


def _says(setting: Setting, place: str, value: str | None = None) -> bool:
    """Whether a request has something at a place: this value, or any at all."""
    found = [f.identity for name, f in setting.fields.items() if f"{name}.".startswith(f"{place}.")]
    return bool(found) if value is None else found == [value]


def _paper(evaluation: str, metric: str, model: str, condition: str = "") -> float | None:
    """Look a figure of the paper up; one of two models is against SFT."""
    against = "SFT" if evaluation == "head_to_head" else None
    found = paper.published(evaluation, metric, model, against, condition)
    return found.value if found else None


def _less(whole: Setting, without: Setting) -> str:
    return f"{whole.name} less {without.name}"


def _net(value: float | None) -> str:
    return DASH if value is None else number(value, 3, signed=True)


def _shown(value: float | None, places: int) -> str:
    return DASH if value is None else number(value, places)
