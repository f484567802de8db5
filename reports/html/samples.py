"""Every item of a run, laid out for the sample browser: what was asked, answered and judged.

    evaluation  head_to_head, models M0 SFT M1, opponents M0 SFT
      sample    p7, math, "How many ...?"
        shared  [Text("reference", "...")]                        the same for every model
        entry   M1 against M0: 1.0, "There are four."             [Verdict("own first", "A", ...)]

Evaluations write an item's `details` under a common vocabulary (`harness.records.ItemResult`); what
is not in it, a plug-in's own say, is shown under its own name.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from pydantic import JsonValue

from harness.records import Failure, ItemResult, RunRecord
from reports.figures import plain
from reports.names import NAMES, label
from reports.series import Series, evaluations

LONGEST_FACT = 60
"""Characters of a text that is shown in a line with others."""


@dataclass(frozen=True)
class Text:
    """A text beside the answer: a reference, another model's answer, a prompt."""

    label: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """What a judge wrote, and how it was read."""

    label: str
    text: str
    read: str = ""
    """Its value, or the reason why it has none."""
    probabilities: tuple[tuple[str, float], ...] = ()
    """Of what it might have said at the deciding token."""


@dataclass(frozen=True)
class Choices:
    """Given answers, and how likely the model found each."""

    options: tuple[tuple[str, str, float | None], ...]
    """The answer, the numbers beside it, and its share of the likelihood of all of them."""


@dataclass(frozen=True)
class Fact:
    """Something short: a name, a number, yes or no."""

    label: str
    text: str


Part = Text | Verdict | Choices | Fact


@dataclass(frozen=True)
class Entry:
    """What one model did with a sample, alone or against another model."""

    model: str
    against: str | None
    value: float | None
    """What it was worth; None where that is not known."""
    failure: str | None
    answer: str
    parts: tuple[Part, ...]


@dataclass(frozen=True)
class Sample:
    """One item of an evaluation, over all models."""

    id: str
    category: str | None
    prompt: str
    shared: tuple[Part, ...]
    """What is the same in all entries; a verdict is always of one, even where all read alike."""
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Sampled:
    """One evaluation's samples, in the order in which they were asked."""

    name: str
    title: str
    """The name as people write it."""
    samples: tuple[Sample, ...]
    there_are: int
    """How many items the evaluation has; the samples are drawn from them where there are more."""


def sampled(record: RunRecord, most: int) -> tuple[Sampled, ...]:
    """Lay out the items of all evaluations; an evaluation without items is left out.

    Args:
        record: The run.
        most: Of each evaluation. Of more, those that failed come first, up to half of them, and
            the others are drawn at random with a fixed seed.
    """
    found = (_sampled(series, most) for series in evaluations(record))
    return tuple(one for one in found if one.samples)


def _sampled(series: Series, most: int) -> Sampled:
    by_id: dict[str, list[tuple[str, ItemResult]]] = {}
    for model, result in series.results.items():
        for item in result.items:
            by_id.setdefault(item.id, []).append((model, item))
    kept = _drawn(by_id, most) if len(by_id) > most else by_id
    return Sampled(series.name, label(series.name), tuple(_samples(kept)), len(by_id))


Found = Mapping[str, Sequence[tuple[str, ItemResult]]]
"""By id, what every model did with an item."""


def _drawn(by_id: Found, most: int) -> Found:
    failed = [
        id
        for id, found in by_id.items()
        if any(isinstance(item.outcome, Failure) for _, item in found)
    ]
    kept = set(failed[: most // 2])
    others = [id for id in by_id if id not in kept]
    kept |= set(Random(0).sample(others, most - len(kept)))
    return {id: found for id, found in by_id.items() if id in kept}


def _samples(by_id: Found) -> Iterator[Sample]:
    for id, found in by_id.items():
        laid_out = [tuple(parts(item)) for _, item in found]
        shared = tuple(
            part
            for part in laid_out[0]
            if not isinstance(part, Verdict) and all(part in other for other in laid_out)
        )
        yield Sample(
            id=id,
            category=_category(found[0][1].category),
            prompt=_prompt(found[0][1].details),
            shared=shared if len(found) > 1 else (),
            entries=tuple(
                _entry(model, item, [p for p in own if len(found) == 1 or p not in shared])
                for (model, item), own in zip(found, laid_out, strict=True)
            ),
        )


def _category(name: str | None) -> str | None:
    return None if name is None else NAMES.get(name, name)


def _entry(model: str, item: ItemResult, own: Sequence[Part]) -> Entry:
    outcome = item.outcome
    if isinstance(outcome, Failure):
        said = (Text("why it failed", outcome.detail),) if outcome.detail else ()
        return Entry(model, item.against, None, outcome.reason, item.answer, (*said, *own))
    return Entry(model, item.against, outcome.value, None, item.answer, tuple(own))


_PROMPTS = ("prompt", "instruction", "question")
_SHOWN_ELSEWHERE = {*_PROMPTS, "model", "turns", "answers"}
_FOR_MACHINES = {"raw_completion", "answered", "preference", "user_prompt"}
"""What other details say for people: published formats need it."""


def _prompt(details: Mapping[str, JsonValue]) -> str:
    """Say what was asked; of a conversation, every turn up to the item's own."""
    own = next((text for key in _PROMPTS if isinstance(text := details.get(key), str)), "")
    turns = details.get("turns")
    if not isinstance(turns, list) or own not in turns:
        return own
    asked = turns[: turns.index(own) + 1]
    return own if len(asked) == 1 else "\n\n".join(f"Turn {k}: {t}" for k, t in enumerate(asked, 1))


def parts(item: ItemResult) -> Iterator[Part]:
    """Lay out an item's details."""
    details = item.details
    yield from _earlier_turns(details)
    for key, value in details.items():
        if key in _VERDICTS:
            yield from _verdicts(key, value, _GAMES if _compared(item) else {})
        elif key in _TEXTS and isinstance(value, str):
            named = _TEXTS[key]
            name = details.get(named) if named else item.against
            yield Text(f"{key.replace('_', ' ')}{f' ({name})' if name else ''}", value)
        elif key == "responses" and isinstance(value, list):
            yield from _responses(value)
        elif key == "choices" and isinstance(value, list):
            yield from _choices(value)
        elif key == "right_answers" and isinstance(value, list):
            yield Text("right answer", "\n".join(map(str, value)))
        elif key not in {*_SHOWN_ELSEWHERE, *_FOR_MACHINES, *_TEXTS.values()}:
            yield from _other(key.replace("_", " "), value)


_TEXTS: dict[str, str | None] = {"reference_output": "reference", "opponent_answer": None}
"""Whole texts, each with the detail that names whose it is; the opponent is the item's own."""
_VERDICTS = ("verdicts", "corrected_verdicts", "verdict", "judgements")
"""What judges said; the last two are what earlier versions called it."""


def _earlier_turns(details: Mapping[str, JsonValue]) -> Iterator[Text]:
    """Show what was answered before the turn that the item is about."""
    turns, answers, own = details.get("turns"), details.get("answers"), details.get("prompt")
    if isinstance(turns, list) and isinstance(answers, list) and own in turns:
        for number, answer in enumerate(answers[: turns.index(own)], start=1):
            if isinstance(answer, str):
                yield Text(f"answer to turn {number}", answer)


_GAMES = {0.0: "loses", 0.5: "ties", 1.0: "wins"}
"""What a verdict on two answers says of the model's own."""


def _compared(item: ItemResult) -> bool:
    return item.against is not None or "reference_output" in item.details


def _verdicts(key: str, value: JsonValue, words: Mapping[float, str]) -> Iterator[Part]:
    """Show verdicts; the same one several times over is shown once, under all its numbers."""
    found = value if isinstance(value, list) else [value]
    same: dict[str, list[int]] = {}
    for number, one in enumerate(found, start=1):
        same.setdefault(json.dumps(one), []).append(number)
    for numbers in same.values():
        one = found[numbers[0] - 1]
        name = key.replace("_", " ").removesuffix("s")
        if len(found) > 1:
            name = f"{name}{'s' if len(numbers) > 1 else ''} {', '.join(map(str, numbers))}"
        if isinstance(one, str):
            yield Verdict(name, one)
        elif isinstance(one, dict) and isinstance(text := one.get("text"), str):
            order, value = one.get("order"), one.get("value", one.get("failure", ""))
            shown = f"{name}, {order}" if order else name
            read = words.get(value) if isinstance(value, int | float) else None
            probabilities = _probabilities(one.get("probabilities"))
            yield Verdict(shown, text, read or _short(value), probabilities)
        else:
            yield from _other(name, one)


def _probabilities(told: JsonValue) -> tuple[tuple[str, float], ...]:
    if not isinstance(told, dict):
        return ()
    return tuple((key, float(p)) for key, p in told.items() if isinstance(p, int | float))


def _responses(responses: Sequence[JsonValue]) -> Iterator[Part]:
    """Show ranked responses, best for people first, and what the judge made of each."""
    for number, one in enumerate(responses, start=1):
        if not isinstance(one, dict):
            continue
        yield Text(f"response {number}, ranked {_short(one.get('rank'))} by people (0 is best)",
                   str(one.get("text", "")))  # fmt: skip
        given = f"response {number}"
        for key, value in one.items():
            if key == "verdicts":
                yield from _verdicts(f"{given}, verdict", value, {})
            elif key not in ("text", "rank"):
                yield from _other(f"{given}: {key.replace('_', ' ')}", value)


def _choices(choices: Sequence[JsonValue]) -> Iterator[Part]:
    """Show given answers, each with how likely the model found it."""
    given = [one for one in choices if isinstance(one, dict)]
    logprobs = [p for one in given if isinstance(p := one.get("logprob"), int | float)]
    shares = _shares(logprobs) if len(logprobs) == len(given) else [None] * len(given)
    yield Choices(
        tuple(
            (str(one.get("text", "")), _told({k: v for k, v in one.items() if k != "text"}), share)
            for one, share in zip(given, shares, strict=True)
        )
    )


def _shares(logprobs: Sequence[float]) -> list[float | None]:
    """Divide 1 among answers as their likelihoods are."""
    largest = max(logprobs, default=0.0)
    weights = [math.exp(one - largest) for one in logprobs]
    return [round(weight / sum(weights), 6) for weight in weights]


def _other(name: str, value: JsonValue) -> Iterator[Part]:
    """Show what this room knows nothing about."""
    if value is None or value == {} or value == []:
        return
    if isinstance(value, str) and (len(value) > LONGEST_FACT or "\n" in value):
        yield Text(name, value)
    elif isinstance(value, dict) and not any(isinstance(v, dict | list) for v in value.values()):
        told = _told(value)
        yield Fact(name, told) if len(told) <= LONGEST_FACT else Text(name, told)
    elif isinstance(value, dict | list):
        written = json.dumps(value, ensure_ascii=False)
        yield Fact(name, written) if len(written) <= LONGEST_FACT else Text(name, written)
    else:
        yield Fact(name, _short(value))


def _told(values: Mapping[str, JsonValue]) -> str:
    return ", ".join(f"{key.replace('_', ' ')} {_short(value)}" for key, value in values.items())


def _short(value: JsonValue) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return plain(value)
    return "" if value is None else str(value)
