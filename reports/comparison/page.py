"""A comparison as sections: which runs, what they show, every figure, and the paper beside them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from harness.protocols import NamedRun
from harness.statistics.intervals import Estimate
from harness.statistics.repeats import LEAST_REPEATS, Repeats
from reports import claims
from reports.blocks import Block, Figure, Points, Section
from reports.claims import Claim
from reports.comparison import tables
from reports.comparison.compared import Compared, compare
from reports.comparison.contrasts import Contrast
from reports.comparison.settings import VERSION, Difference, Setting, differences
from reports.comparison.steps import Step
from reports.evidence import LEAST_ITEMS, Evidence, evidence
from reports.figures import places, visible
from reports.names import label
from reports.series import missing_stages


def comparison(runs: Sequence[NamedRun]) -> tuple[Section, ...]:
    """Compare runs with each other and with the paper.

    Raises:
        ConfigError: two of them are the same run.
    """
    found = compare(tuple(runs))
    shown, warnings = tuple(_shown(found)), tuple(_cautions(found))
    care = Section("Read with care", (Points(tuple(("", w) for w in warnings), tone="warning"),))
    return (
        Section("Runs", tuple(_runs(found.settings))),
        Section("What they show", (Points(shown),) if shown else (_NOTHING,)),
        Section("The paper's ablations", tuple(_ablations(found.ablations))),
        *((care,) if warnings else ()),
        *(replace(section, behind=True) for section in _figures(found)),
    )


_NOTHING = "These runs have no measurement in common that could be compared."


def _runs(found: Sequence[Setting]) -> Iterator[Block]:
    yield tables.run_table(found)
    differing = differences(found)
    if differing:
        yield "Runs of one setting differ in their seed alone. The settings differ in:"
        yield Points(tuple((one.field, _values(one, found)) for one in differing))
    else:
        yield "They are one setting: their requests differ in nothing but the seed."


def _values(difference: Difference, found: Sequence[Setting]) -> str:
    """Say every value once, with the settings that have it where there are more than two."""
    by_value: dict[str, list[str]] = {}
    for value, setting in zip(difference.values, found, strict=True):
        by_value.setdefault(value, []).append(setting.name)
    if len(found) == 2:
        return " / ".join(difference.values)
    return " / ".join(f"{value} ({', '.join(of)})" for value, of in by_value.items())


def _shown(found: Compared) -> Iterator[tuple[str, str]]:
    """Say of each evaluation's first figure what changed over seeds, and between settings."""
    first = {one.evaluation: one for one in reversed(found.quantities)}
    for evaluation in dict.fromkeys(one.evaluation for one in found.quantities):
        own = [step for step in found.steps if step.quantity is first[evaluation]]
        name, figure = label(evaluation), label(first[evaluation].metric)
        for setting in dict.fromkeys(step.setting.name for step in own):
            said = (_step(step) for step in own if step.setting.name == setting)
            yield name, f"{figure}, {setting}: {', '.join(said)}."
        for last in _last(one for one in found.contrasts if one.evaluation == evaluation):
            yield name, f"{last}."


def _step(step: Step) -> str:
    higher = f"higher in {step.higher} of {step.repeats.n}"
    return f"{step.later} - {step.earlier} {_figure(step.repeats)} ({higher})"


def _last(found: Iterable[Contrast]) -> list[str]:
    """Say how the last model of each setting does against that of the first."""
    last = {one.setting.name: one for one in found if one.estimate.value is not None}
    return [
        f"{one.model} of {name} {_words(one)} that of {one.first.name} "
        f"({_figure(one.estimate)}{_over_seeds(one)})"
        for name, one in last.items()
    ]


def _words(one: Contrast) -> str:
    """Say what a contrast shows; one that not every training shows is of these seeds alone."""
    low, high = one.over_seeds.low, one.over_seeds.high
    shown = one.evidence
    if shown not in ("better", "worse") or low is None:
        return _WORDS[shown]
    again = evidence(low, high, LEAST_ITEMS) == shown
    return _WORDS[shown] if again else f"{shown}, with these seeds alone, than"


def _over_seeds(one: Contrast) -> str:
    seeds = one.over_seeds.n
    return f"; over {seeds} seeds {_figure(one.over_seeds)}" if seeds > 1 else ""


_WORDS: dict[Evidence, str] = {
    "better": "better than",
    "worse": "worse than",
    "no clear change": "not clearly different from",
    "not after correction": "not different, after correction, from",
    "too few items": "on too few items to be told from",
    "no interval": "with too few differing items to be told from",
}


def _figure(one: Estimate | Repeats) -> str:
    if one.value is None:
        return "unknown"
    shown = Figure(one.value, one.low, one.high, places([one.value, one.low, one.high]), True)
    return f"{shown.text} {shown.interval}".strip()


def _ablations(held: Sequence[Claim]) -> Iterator[Block]:
    for table in claims.table(tuple(one for one in held if one.measured)):
        yield replace(table, columns=("paper", "these runs", "verdict"), note=_ABLATIONS)
    unheld = tuple(("Not run", f"{one.text}: {one.why}.") for one in held if not one.measured)
    if unheld:
        yield Points(unheld)


def _cautions(found: Compared) -> Iterator[str]:
    for setting in found.settings:
        for run in setting.runs:
            yield from _unfinished(run)
        if 1 < len(setting.runs) < LEAST_REPEATS:
            yield (
                f"{setting.name}: two seeds show that figures move, not how far. Means and "
                "standard deviations stand without intervals, and whether another seed would "
                "change the sign cannot be said."
            )
    yield from _few_seeds(found.settings)
    if any(one.field == VERSION for one in differences(found.settings)):
        yield "The runs were made by different versions of the harness."
    refused: dict[tuple[str, str, str], list[str]] = {}
    for one in found.contrasts:
        if one.refused:
            key = (one.setting.name, one.evaluation, one.refused)
            refused.setdefault(key, []).append(one.model)
    first = found.settings[0].name
    for (name, evaluation, why), of in refused.items():
        yield f"{name} / {evaluation}: {', '.join(of)} not compared with {first}: {why}."


def _few_seeds(found: Sequence[Setting]) -> Iterator[str]:
    first, *others = found
    for setting in others:
        common = len(set(setting.seeds) & set(first.seeds))
        if common < LEAST_REPEATS:
            yield (
                f"{setting.name} and {first.name} have {common or 'no'} "
                f"seed{'' if common == 1 else 's'} in common: a difference between them may be "
                "the seed's doing."
            )


def _unfinished(run: NamedRun) -> Iterator[str]:
    record, name = run.record, visible(run.name)
    missing = missing_stages(record)
    if record.stopped:
        yield f"{name} stopped after {len(record.stages)} stages: {visible(record.stopped)}"
    elif missing:
        yield f"{name} is not finished; still to come: {', '.join(map(str, missing))}."
    for file in record.unreadable:
        yield f"{name}: {visible(file)}"


def _figures(found: Compared) -> Iterator[Section]:
    levels = tuple(tables.level_tables(found.quantities, found.settings, found.models))
    yield Section("Every setting", (_LEVELS, *levels) if levels else ("Nothing was measured.",))
    if found.steps:
        yield Section("From model to model", (_STEPS, *tables.step_tables(found.steps)))
    against = tuple(tables.contrast_tables(found.contrasts))
    if len(found.settings) > 1:
        blocks: tuple[Block, ...] = (_CONTRASTS, *against) if against else (_NOTHING,)
        yield Section(f"Against {found.settings[0].name}", blocks)


_ABLATIONS = (
    "Yuan et al. (2024), transcribed from secondary sources. A claim holds where the interval of "
    "the difference lies above none; it does not hold where it lies below, or wholly below half of "
    "the paper's effect; everything between is not enough evidence. The interval is over seeds "
    "where both settings have three or more in common, else over items, and says nothing of seeds."
)
_LEVELS = (
    "Of several seeds: the mean, and its 95 % interval over seeds (Student's; none for fewer than "
    "three). It covers which seed was drawn, with the same questions. Of one run: its own "
    "interval, over items. M0 is not trained, so that no seed moves it. n and failed are those of "
    "each run."
)
_STEPS = (
    "Mean over seeds of the change within each run, and its 95 % interval (none for fewer than "
    "three seeds). Not corrected for how many there are."
)
_CONTRASTS = (
    "Paired by item, runs of equal seeds with each other. Where a row has several seeds, an item "
    "counts once with its mean. Interval and p cover which items were asked, not which seeds were "
    "trained; the row over seeds does. p is that of a paired sign-flip test, corrected (Holm) for "
    "how many of these differences there are; where no item differs there is nothing to test."
)
