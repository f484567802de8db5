"""What the paper says of leaving a part of the method out, held against runs that differ in it.

    M2 gains more from preference pairs ...   paper +0.358   here +0.180 [.090, .270]   holds

Two settings tell something about a claim where they differ in that part alone: with more, nobody
knows what did it. A claim says that there is more of something with the part than without, and is
decided as every claim that something rises (`reports.claims.rises`): by the interval over seeds
where both settings have three seeds or more in common, else by that over items. Each is one claim
of its own, so that nothing is corrected for how many comparisons there are.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations

from harness.records import EvalResult, RunRecord, Score
from harness.statistics.intervals import Estimate, paired_difference, share_ratio
from harness.statistics.repeats import LEAST_REPEATS, over_repeats
from reports.claim_measures import Measured, pairs_made
from reports.claims import Claim, additive_over_buckets, positives_over_sft, rises
from reports.comparison.contrasts import item_scores, results_by_seed
from reports.comparison.levels import names
from reports.comparison.settings import Setting, differences, seed
from reports.evidence import LEAST_ITEMS, evidence
from reports.paper import Effect, effect, times
from reports.series import evaluations, plugin

FIRST_ROUND = "M2"
"""The first model that learned from judgements of its parent's answers, as in the paper."""
BASELINE = "SFT"
_EFT = ("trainer.seeds.eft", "trainer.seeds.ift_share")
_NOT_VARIED = "no two settings differ in that alone"


def ablations(settings: Sequence[Setting]) -> tuple[Claim, ...]:
    """Judge every claim that only runs beside each other can tell something about."""
    return (_preferences(settings), _eft(settings), _rubric(settings))


def _preferences(settings: Sequence[Setting]) -> Claim:
    """Appendix A.4: preference pairs help, perfect answers alone do not."""
    pairs, alone = effect("head_to_head", "net_win", FIRST_ROUND, BASELINE), positives_over_sft()
    paper = Effect(pairs.value - alone.value, None, None, alone.source)
    found = _pair(
        settings,
        lambda setting: _says(setting, "trainer.learn_from", "preferences"),
        lambda setting: _says(setting, "trainer.learn_from", "positives"),
        lambda field: field == "trainer.learn_from",
    )
    text = f"{FIRST_ROUND} gains more over {BASELINE} from preference pairs than from positives"
    return _claim(text, "net win", paper, found, _net_wins)


def _net_wins(whole: Setting, without: Setting) -> Measured | str:
    """Compare how the models of the first round play against the baseline, game by game."""
    ours, theirs = (dict(_games(setting)) for setting in (whole, without))
    seeds = [one for one in ours if one in theirs]
    pairs = [(ours[one], theirs[one]) for one in seeds]
    if not pairs:
        return f"no seed of both has games of {FIRST_ROUND} against {BASELINE}"
    if len({result.protocol for pair in pairs for result in pair}) > 1:
        return "the games were judged by different protocols"
    left, right = (_mean_games([pair[side] for pair in pairs]) for side in (0, 1))
    each = [paired_difference(_mean_games([a]), _mean_games([b])).value for a, b in pairs]
    asked = sum(item.against == BASELINE for item in pairs[0][0].items)
    return _by_seeds_or_items(
        paired_difference(left, right), [one for one in each if one is not None], asked
    )


def _games(setting: Setting) -> Iterator[tuple[str, EvalResult]]:
    """Find by seed the result with the first round's games against the baseline."""
    for run in setting.runs:
        for series in evaluations(run.record):
            result = series.results.get(FIRST_ROUND)
            games = plugin(run.record, series.name) == "head_to_head" and result
            if games and any(item.against == BASELINE for item in games.items):
                yield seed(run.record), games


def _mean_games(results: Sequence[EvalResult]) -> dict[str, float]:
    """Give every game that all seeds have its mean net win: a win 1, a tie 0, a loss -1."""
    games = [
        {
            item.id: 2 * item.outcome.value - 1
            for item in result.items
            if item.against == BASELINE and isinstance(item.outcome, Score)
        }
        for result in results
    ]
    shared = set.intersection(*map(set, games))
    return {id: sum(one[id] for one in games) / len(games) for id in sorted(shared)}


def _eft(settings: Sequence[Setting]) -> Claim:
    """Appendix A.3: a model that was not taught to judge leaves fewer preference pairs."""
    fewer = times("training", "pairs", FIRST_ROUND, FIRST_ROUND, condition="without EFT")
    found = _pair(
        settings,
        lambda setting: _says(setting, _EFT[0]),
        lambda setting: not _says(setting, _EFT[0]),
        lambda field: field.startswith(_EFT),
    )
    paper = Effect(1 / fewer.value, None, None, fewer.source)
    return _claim("EFT makes more prompts yield a pair", "times as many", paper, found, _yields)


def _yields(whole: Setting, without: Setting) -> Measured | str:
    """Compare which share of the first round's prompts gave a pair; the prompts are each run's."""
    counts: list[int] = []
    for setting in (whole, without):
        made = [counted for run in setting.runs for counted in _pairs(run.record)]
        if not made:
            return _why_none(setting)
        counts += [sum(pairs for pairs, _ in made), sum(prompts for _, prompts in made)]
    estimate = share_ratio(*counts)
    low, high = (end - 1 if end is not None else None for end in (estimate.low, estimate.high))
    return Measured(estimate, evidence(low, high, estimate.n), null=1.0)


def _pairs(record: RunRecord) -> Iterator[tuple[int, int]]:
    """Count the pairs that the first round learned from, and the prompts it had."""
    for result in record.stages:
        counts = pairs_made(result.metrics)
        if result.stage.kind == "train" and result.model.name == FIRST_ROUND and counts:
            yield counts


def _why_none(setting: Setting) -> str:
    stopped = any(run.record.stopped for run in setting.runs)
    return f"{setting.name} {'stopped before' if stopped else 'has not made'} its {FIRST_ROUND}"


def _rubric(settings: Sequence[Setting]) -> Claim:
    """Table 5: judging on the additive scale agrees better with people than by buckets."""
    found = _pair(
        settings,
        lambda setting: _says(setting, _judging_rubric(setting), "five_points"),
        lambda setting: _says(setting, _judging_rubric(setting), "buckets"),
        lambda field: field.endswith(".rubric"),
    )
    text = "The additive rubric judges better than the buckets"
    return _claim(text, "agreement", additive_over_buckets(), found, _agreements)


def _agreements(whole: Setting, without: Setting) -> Measured | str:
    """Compare how the first model that both rubrics can be read of agrees, item by item.

    Their protocols differ in the rubric, which is the point.
    """
    ours, theirs = (_by_model(setting) for setting in (whole, without))
    for model in names((whole, without))[1:]:  # M0 was never shown how to judge
        left, right = ours.get(model, []), theirs.get(model, [])
        if not left or not right:
            continue
        estimate = paired_difference(item_scores(left), item_scores(right))
        if estimate.value is not None:
            asked = set.intersection(*({item.id for item in one.items} for one in (*left, *right)))
            return _by_seeds_or_items(estimate, [], len(asked))
    return "no model could be read as a judge by both rubrics"


def _by_model(setting: Setting) -> dict[str, list[EvalResult]]:
    return {
        model: list(by_seed.values())
        for (evaluation, model), by_seed in results_by_seed(setting).items()
        if _agrees(setting, evaluation)
    }


def _judging_rubric(setting: Setting) -> str:
    """Find where a setting says by which rubric judge_agreement judges."""
    name = next((label for label, _ in results_by_seed(setting) if _agrees(setting, label)), "")
    return f"evaluations.{name}.rubric"


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


def _claim(
    text: str,
    unit: str,
    paper: Effect,
    pair: tuple[Setting, Setting] | None,
    measure: Callable[[Setting, Setting], Measured | str],
) -> Claim:
    found = measure(*pair) if pair else _NOT_VARIED
    if pair:
        text = f"{text}: {pair[0].name} against {pair[1].name}"
    if isinstance(found, str):
        return Claim(text, unit, paper, None, found, "not run")
    return Claim(text, unit, paper, found, "", rises(found, paper.value))


def _by_seeds_or_items(items: Estimate, each: Sequence[float], asked: int) -> Measured:
    """Take the interval over seeds where there are enough of them, else the one over items."""
    if len(each) < LEAST_REPEATS:
        return Measured(items, evidence(items.low, items.high, items.n), asked - items.n)
    seeds = over_repeats(each)
    estimate = Estimate(items.value, seeds.low, seeds.high, items.n)
    return Measured(estimate, evidence(seeds.low, seeds.high, LEAST_ITEMS), asked - items.n)
