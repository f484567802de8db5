"""The method, tried out on a few rows: what `harness plan --pilot` measures.

`examples` gives requests as each part makes them, from human questions and answers, since nobody
has M1's yet. `train` does a few steps of each training on rows like its own, and one on the
longest.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from harness.data.examples import Demonstration, RankedGroup
from harness.errors import DataError
from harness.judge import Rubric
from harness.planned import Lesson, Tried
from harness.protocols import Request, user
from harness.records import ModelRef
from training.dpo import PreferencePair, prefer
from training.job import Trained
from training.pilot import Step, longest_dpo_step, longest_sft_step
from training.self_rewarding import seeds
from training.self_rewarding.plan import lesson_of
from training.self_rewarding.propose import load_template, request
from training.self_rewarding.seeds import Judgement
from training.self_rewarding.settings import SelfRewardingSettings
from training.settings import Settings
from training.sft import Example, fine_tune

_FEW, _MORE = 2, 10
"""Updates of the two short trainings; what the second takes longer are its steps alone."""
_SLOW = 20.0
"""Seconds of the first above which there is no second."""


def examples(
    settings: SelfRewardingSettings, rubric: Rubric, seed: int, rows: int
) -> Mapping[str, Sequence[Request]]:
    """Give requests as each part makes them, `rows` completions of each or less."""
    human = seeds.load(settings.seeds, settings.held_out, seed)
    shown = list(islice(cycle(_shuffled(human.ift, seed)), rows))
    found = {"prompts": _proposals(settings, human.ift, seed, rows)}
    draw = settings.candidates.sampling(seed)
    found["candidates"] = [
        Request(row.id, user(row.prompt), draw) for row in shown[: max(1, rows // draw.n)]
    ]
    draw = settings.judging.sampling(seed)
    if settings.judge == "self":
        found["judge"] = [
            Request(
                row.id,
                user(rubric.fill({"instruction": row.prompt, "response": row.response})),
                draw,
            )
            for row in shown[: max(1, rows // draw.n)]
        ]
    return {part: requests for part, requests in found.items() if requests}


def _proposals(
    settings: SelfRewardingSettings, human: Sequence[Demonstration], seed: int, rows: int
) -> list[Request]:
    config = settings.proposing
    if config.file is not None:
        return []
    template = load_template(config.template, config.separator)
    prompts = list(dict.fromkeys(row.prompt for row in human))
    asked = min(rows, config.requests)
    return [request(f"{k:03d}", template, prompts, (), config, seed) for k in range(asked)]


def train(
    settings: SelfRewardingSettings,
    rubric: Rubric,
    tokenizer: Any,
    model: ModelRef,
    seed: int,
    folder: Path,
) -> Iterator[Tried]:
    """Do a few steps of each kind of training; see `harness.planned.Piloted`."""
    human = seeds.load(settings.seeds, settings.held_out, seed)
    shown = tokenizer.demonstrations(_shuffled(human.ift, seed))
    trial = _Trial(settings, model, seed, folder)
    yield trial.sft("train SFT", shown)
    if settings.seeds.eft is not None:
        taught = tokenizer.judgements(_judgements(human.eft), rubric)
        both = [*shown, *taught]
        Random(seed).shuffle(both)
        yield trial.sft("train M1", both)
    if settings.learn_from == "preferences":
        limit = settings.dpo.max_length or tokenizer.context
        longest = _drawn_out(_pairs(shown), settings.candidates.max_tokens, limit)
        yield trial.dpo("train M2", list(_pairs(shown)), list(longest))


class _Trial:
    """Short trainings of one model."""

    def __init__(
        self, settings: SelfRewardingSettings, model: ModelRef, seed: int, folder: Path
    ) -> None:
        self._settings = settings
        self._model = model
        self._seed = seed
        self._folder = folder

    def sft(self, part: str, rows: Sequence[Example]) -> Tried:
        def sequences(row: Example) -> list[int]:
            return [len(row.prompt_ids) + len(row.completion_ids)]

        settings = self._settings.sft
        return self._tried(part, fine_tune, longest_sft_step, rows, rows, settings, sequences)

    def dpo(
        self, part: str, rows: Sequence[PreferencePair], extreme: Sequence[PreferencePair]
    ) -> Tried:
        def sequences(row: PreferencePair) -> list[int]:
            return [len(row.prompt_ids) + len(ids) for ids in (row.chosen_ids, row.rejected_ids)]

        settings = self._settings.dpo
        return self._tried(part, prefer, longest_dpo_step, rows, extreme, settings, sequences)

    def _tried(
        self,
        part: str,
        learn: Callable[..., Trained],
        longest_step: Callable[..., Step],
        rows: Sequence[Any],
        extreme: Sequence[Any],
        settings: Settings,
        sequences: Callable[[Any], list[int]],
    ) -> Tried:
        def longest(row: Any) -> int:
            return max(sequences(row))

        def fit(some: Sequence[Any]) -> list[Any]:
            return [row for row in some if longest(row) <= (settings.max_length or longest(row))]

        fitting = fit(rows)
        if not fitting:
            raise DataError(
                f"{part} cannot be tried out: of {len(rows):,} rows none has max_length = "
                f"{settings.max_length} tokens or fewer; give more rows, or a larger max_length"
            )
        step = longest_step(
            self._model,
            fit(extreme) or fitting,
            settings,
            self._folder / "longest",
            self._seed,
            launcher=self._settings.launcher,
        )
        few, whole = self._train(learn, fitting, settings, _FEW)
        updates, seconds = _FEW, _number(few, "seconds")
        made, reference = few, _number(few, "reference_seconds")
        startup = whole - seconds - reference
        if whole < _SLOW:
            made, _ = self._train(learn, fitting, settings, _MORE)
            updates, seconds = _MORE - _FEW, _number(made, "seconds") - seconds
            reference = _number(made, "reference_seconds") - reference
        done = _taken(fitting, settings.batch_size * _MORE)[-updates * settings.batch_size :]
        return Tried(
            part=part,
            lesson=self._lesson(settings, len(done), max(map(longest, done)), updates),
            rows=len(done),
            tokens=sum(sum(sequences(row)) for row in done),
            seconds=seconds + reference,
            startup_seconds=max(startup, 0.0),
            longest_seconds=step.seconds,
            longest_tokens=step.tokens,
            peak_bytes=step.peak_memory,
        )

    def _lesson(self, settings: Settings, rows: int, longest: int, updates: int) -> Lesson:
        short = settings.model_copy(update={"max_steps": updates})
        return lesson_of(short, self._settings.launcher, rows, longest)

    def _train(
        self, learn: Callable[..., Trained], rows: Sequence[Any], settings: Settings, updates: int
    ) -> tuple[Trained, float]:
        """Train for so many updates on different rows; say how long all of it took."""
        few = settings.model_copy(
            update={"epochs": 1.0, "max_steps": updates, "checkpoint_every": None, "report_to": ()}
        )
        began = time.perf_counter()
        folder = self._folder / f"{updates}"
        try:
            taken = _taken(rows, updates * settings.batch_size)
            made = learn(
                self._model,
                taken,
                few,
                folder,
                "pilot",
                self._seed,
                launcher=self._settings.launcher,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return made, time.perf_counter() - began


def _number(made: Trained, name: str) -> float:
    found = made.metrics.get(name, 0.0)
    return float(found) if isinstance(found, int | float) else 0.0


def _taken(rows: Sequence[Any], count: int) -> list[Any]:
    """Take so many rows, the same ones again where there are not enough."""
    return list(islice(cycle(rows), count))


def _shuffled(rows: Sequence[Demonstration], seed: int) -> list[Demonstration]:
    return Random(seed).sample(list(rows), len(rows))


def _judgements(groups: Sequence[RankedGroup]) -> Iterator[Judgement]:
    """Make judgements as long as those to come: the data's own, or else the answer once more."""
    for group in groups:
        for one in group.responses:
            yield Judgement(group.prompt, one.text, one.verdict or one.text, 0.0)


def _pairs(shown: Sequence[Example]) -> Iterator[PreferencePair]:
    """Prefer each answer to that of the question after it."""
    for row, other in zip(shown, [*shown[1:], *shown[:1]], strict=True):
        if row.completion_ids != other.completion_ids:
            yield PreferencePair(row.prompt_ids, row.completion_ids, other.completion_ids)


def _drawn_out(
    pairs: Iterable[PreferencePair], most: int, limit: int | None
) -> Iterator[PreferencePair]:
    """Make pairs as long as those of a run can be: answers said over and over, up to the most."""
    for pair in pairs:
        room = most if limit is None else min(most, limit - len(pair.prompt_ids))
        chosen, rejected = (_taken(ids, room) for ids in (pair.chosen_ids, pair.rejected_ids))
        if room > 0 and chosen != rejected:
            yield PreferencePair(pair.prompt_ids, tuple(chosen), tuple(rejected))
