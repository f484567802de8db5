"""What the models answered: the same prompts, model by model.

    writing: item 3f2a
    prompt   What sound does the dog make?
    M0 2     The dog growls.
    M1 5     The dog barks. The dog eats meat.

Shown are the first item of every category, then the items on which the last model of the run did
most better and most worse than the first. Ties are broken by item id, so that the choice is the
same every time.
"""

from collections.abc import Iterator

from harness.records import ItemResult, RunRecord, Score
from reports.blocks import Sample
from reports.figures import plain, visible
from reports.series import Series, chain, evaluations

MOST_CATEGORIES = 8
MOST_CHANGES = 2
_PROMPT_KEYS = ("instruction", "prompt", "question")


def answers(record: RunRecord) -> Iterator[Sample]:
    """Choose and lay out the samples; none where no evaluation kept shared items."""
    series = _richest(evaluations(record))
    if series is None:
        return
    items = {model: _by_id(series, model) for model in series.results}
    shared = sorted(set.intersection(*(set(by_id) for by_id in items.values())))
    first = next(iter(items.values()))
    chosen: dict[str, str] = {}
    for id in sorted(shared, key=lambda id: (first[id].category or "", id)):
        category = first[id].category or "item"
        if category not in chosen.values() and len(chosen) < MOST_CATEGORIES:
            chosen[id] = category
    for id, title in (*chosen.items(), *_changes(record, series, set(shared) - chosen.keys())):
        yield _sample(id, title, items)


def _richest(found: tuple[Series, ...]) -> Series | None:
    """Choose the evaluation whose items are answers: of one model if there is one."""
    usable = [
        series
        for series in found
        if any(item.answer for result in series.results.values() for item in result.items)
    ]
    alone = [series for series in usable if any(series.scores(model) for model in series.results)]
    return next(iter((*alone, *usable)), None)


def _by_id(series: Series, model: str) -> dict[str, ItemResult]:
    found: dict[str, ItemResult] = {}
    for item in series.results[model].items:
        found.setdefault(item.id, item)
    return found


def _changes(record: RunRecord, series: Series, ids: set[str]) -> Iterator[tuple[str, str]]:
    """Choose the biggest changes between the chain's first and last measured models."""
    names = [name for name in chain(record) if name in series.results]
    if len(names) < 2:
        return
    before, after = series.scores(names[0]), series.scores(names[-1])
    gains = {id: after[id] - before[id] for id in ids if id in before and id in after}
    for sign, name in ((1, "better"), (-1, "worse")):
        moved = sorted((-sign * gain, id) for id, gain in gains.items() if sign * gain > 0)
        for _, id in moved[:MOST_CHANGES]:
            yield id, f"most {name}, {names[-1]} than {names[0]}"


def _sample(id: str, title: str, items: dict[str, dict[str, ItemResult]]) -> Sample:
    one = next(iter(items.values()))[id]
    prompt = next((one.details[key] for key in _PROMPT_KEYS if key in one.details), None)
    return Sample(
        title=f"{visible(title, longest=60)}: item {visible(id, longest=60)}",
        prompt=prompt if isinstance(prompt, str) else "(the evaluation did not keep the prompt)",
        answers=tuple(
            (model, _worth(by_id[id]), by_id[id].answer) for model, by_id in items.items()
        ),
    )


def _worth(item: ItemResult) -> str:
    if isinstance(item.outcome, Score):
        return plain(item.outcome.value)
    return visible(item.outcome.reason, longest=20)
