"""What the method will do, before it does it: rows, tokens and updates of every part.

    round 1   train SFT 3,200 rows | eft 4,900 verdicts | train M1 4,830 rows
    round 2   prompts 11,500 | candidates 32,000 | judge 96,000 | train M2 5,600 pairs

Data are read where they are at hand, and an earlier run's own figures taken where one is given.
What is left is assumed, and said.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from statistics import mean

from pydantic import JsonValue

from harness.data.examples import Demonstration, RankedGroup
from harness.errors import DataError
from harness.judge import Rubric
from harness.planned import Length, Lesson, PlannedTraining, Work
from harness.protocols import Prompt, user
from harness.records import Cost, ModelRef, StageResult
from training.dpo import DPO
from training.self_rewarding import seeds
from training.self_rewarding.propose import load_template
from training.self_rewarding.settings import SelfRewardingSettings
from training.settings import Launcher, Settings

_SAMPLE = 200
"""Rows whose tokens are counted; the others are taken to be as long on average."""
_PROMPT, _ANSWER = 37, 268
"""Tokens of a question and an answer, where no data are at hand: Open Assistant's first turns and
best answers have 148 and 1,072 characters (Li et al. 2023, table 2), at 4 characters a token."""
_VERDICT = 150
"""Tokens of a verdict: at most 100 words of reasons, and the score. Ours."""
_IFT, _EFT = 3200, 1630
"""Rows to learn from where no data are at hand: the paper's (Yuan et al. 2024, 3.1.1)."""
_EFT_KEPT = 0.5
"""The share of judged answers that is kept, where nothing else is known. Ours."""
_KEPT = 0.7
"""The share of proposals that becomes a prompt. Ours."""
_PAIRS = 0.7
"""Pairs a prompt; the others are ties, or not readable. Ours: public reproductions have 0.5 to
0.9, see `pairs.tie_rate` of a run."""
_PERFECT = 0.1
"""The share of answers that is judged perfect, of the control that imitates them. Ours."""
_LONGEST = 3.0
"""How many times the mean the longest row is, where no data are at hand. Ours."""


def plan(
    settings: SelfRewardingSettings,
    rubric: Rubric,
    model: ModelRef,
    iterations: int,
    seed: int,
    count: Callable[[Prompt], int],
    earlier: Sequence[StageResult],
) -> Sequence[PlannedTraining]:
    """Plan every round; see `harness.planned.Planner`."""
    plans = _Plans(settings, rubric, model, seed, count, earlier)
    return [plans.training(iteration) for iteration in range(1, iterations + 1)]


@dataclass
class _Plans:
    """The rounds of one run."""

    settings: SelfRewardingSettings
    rubric: Rubric
    model: ModelRef
    seed: int
    count: Callable[[Prompt], int]
    earlier: Sequence[StageResult]
    assumed: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        config = self.settings.seeds
        try:
            human = seeds.load(config, self.settings.held_out, self.seed)
        except DataError:
            self.ift: tuple[Demonstration, ...] = ()
            self.eft: tuple[RankedGroup, ...] = ()
            self.assumed.append(
                f"the seeds are not at hand: {config.ift_rows or _IFT:,} demonstrations with "
                f"questions of {_PROMPT} and answers of {_ANSWER} tokens (Li et al. 2023), and "
                f"{_EFT:,} judgements (the paper)"
            )
        else:
            self.ift, self.eft = human.ift, human.eft
        self.prompt = _mean(self._counted(row.prompt for row in self.ift)) or _PROMPT
        answers = Length.of(self._texts(row.response for row in self.ift))
        verdicts = Length.of(self._texts(_verdicts(self.eft)))
        self.answers = answers or Length(_ANSWER)
        self.verdicts = verdicts or Length(min(_VERDICT, self.settings.judging.max_tokens))
        self.answer, self.verdict = self.answers.mean, self.verdicts.mean
        if verdicts is None:
            self.assumed.append(f"a verdict has {self.verdict:,.0f} tokens (ours)")
        self.judging = self._judge_prompt()
        self.rubric_tokens = self.count(self.rubric.text.partition("{instruction}")[0])

    # ------------------------------------------------------------ what is known

    def _texts(self, texts: Iterable[str]) -> list[int]:
        """Count some of the texts, each with the token that ends it."""
        return [self.count(text) + 1 for text in _some(texts)]

    def _counted(self, prompts: Iterable[str]) -> list[int]:
        return [self.count(user(prompt)) for prompt in _some(prompts)]

    def _judge_prompt(self) -> float:
        """Tokens of the rubric with a question and an answer in it."""
        empty = self.count(user(self.rubric.fill({"instruction": "", "response": ""})))
        bare = self.count(user(""))
        return empty + self.prompt - bare + self.answer

    def _stage(self, iteration: int) -> StageResult | None:
        """Find the training of an earlier run that is most like this round."""
        alike = [one for one in self.earlier if (one.stage.iteration > 1) == (iteration > 1)]
        near = [one for one in alike if one.stage.iteration <= iteration]
        return near[-1] if near else alike[0] if alike else None

    def _cost(self, iteration: int, part: str) -> Cost | None:
        stage = self._stage(iteration)
        found = stage.costs.get(part) if stage else None
        return found if found and found.rows else None

    def _metric(self, iteration: int, *path: str) -> float | None:
        stage = self._stage(iteration)
        found: JsonValue = dict(stage.metrics) if stage else None
        for key in path:
            found = found.get(key) if isinstance(found, dict) else None
        return float(found) if isinstance(found, int | float) else None

    # ------------------------------------------------------------ the rounds

    def training(self, iteration: int) -> PlannedTraining:
        """Plan one round."""
        made = self._first() if iteration == 1 else self._round(iteration)
        told, self.assumed = tuple(self.assumed), []
        return replace(made, verdict=self.verdicts, assumptions=told)

    def _first(self) -> PlannedTraining:
        config = self.settings.seeds
        shown = len(self.ift) or config.ift_rows or _IFT
        row = self.prompt + self.answer
        baseline = ModelRef(name="SFT", location="none", parent=self.model.name)
        first = ModelRef(name="M1", location="none", parent=self.model.name)
        work = [
            Work("seeds", "load", self.model, 1),
            self._sft("train SFT", shown, shown * row, self._longest()),
        ]
        models = [first]
        prompts = {"IFT": [one.prompt for one in self.ift] or _stand_ins("IFT", shown)}
        if config.eft is not None:
            answers = sum(len(group.responses) for group in self.eft) or round(_EFT / _EFT_KEPT)
            if config.annotator == "sft":
                work.append(self._annotation(answers, baseline))
            kept = self._metric(1, "eft", "rows")
            kept = kept if kept is not None else answers * self._kept_share()
            taught = self.judging + self.verdict
            tokens = self._metric(1, "training", "tokens")
            tokens = tokens if tokens is not None else shown * row + kept * taught
            longest = max(self._longest(), round(self._longest_judgement()))
            work.append(self._sft("train M1", round(shown + kept), tokens, longest))
            models = [baseline, first]
            prompts["EFT"] = [one.prompt for one in self.eft] or _stand_ins("EFT", round(kept / 3))
        work += self._selection(1, self.settings.sft, work[-1], first)
        return PlannedTraining(
            tuple(models), tuple(work), prompts, self.settings.sft.dtype, self.answers
        )

    def _kept_share(self) -> float:
        """Of the answers, how many are learned from; told by the data where they have verdicts."""
        if any(_verdicts(self.eft)):
            given = seeds.annotations(self.eft)
            share = self.settings.seeds.most_common_share
            accepted = seeds.accept(self.eft, given, share, self.seed)
            return len(accepted.rows) / sum(len(group.responses) for group in self.eft)
        self.assumed.append(f"{_EFT_KEPT:.0%} of the EFT judgements are kept (ours)")
        return _EFT_KEPT

    def _annotation(self, answers: int, baseline: ModelRef) -> Work:
        draw = self.settings.seeds.annotation
        rows = answers * draw.n
        return Work(
            "eft",
            "generate",
            baseline,
            rows,
            round(answers * self.judging),
            round(rows * self._new(1, "eft", self.verdict, draw.max_tokens)),
            draw.n,
            self.rubric_tokens,
            draw.max_tokens,
            self.verdicts.tail,
        )

    def _round(self, iteration: int) -> PlannedTraining:
        config = self.settings
        before = ModelRef(name=f"M{iteration - 1}", location="none")
        made = ModelRef(name=f"M{iteration}", location="none", parent=before.name)
        prompts = config.proposing.wanted
        work = [*self._proposals(iteration, before, prompts)]
        candidates = self._candidates(iteration, before, prompts)
        answer = candidates.new_tokens / candidates.rows
        work += [candidates, *self._judgements(iteration, before, candidates, answer)]
        row = self.prompt + answer
        if config.learn_from == "preferences":
            share = self._pairs(iteration)
            pairs = round(prompts * share)
            longest = round(max(self.prompt + config.candidates.max_tokens, row))
            tokens = pairs * 2 * row
            lesson = lesson_of(config.dpo, config.launcher, pairs, longest)
            part = f"train {made.name}"
            work.append(Work(part, "train", before, pairs, round(tokens), lesson=lesson))
        else:
            self.assumed.append(f"{_PERFECT:.0%} of the candidates are judged perfect (ours)")
            perfect = round(_PERFECT * candidates.rows) * (iteration - 1)
            human = len(self.ift) or _IFT
            rows = human + perfect
            work.append(self._sft(f"train {made.name}", rows, rows * row, self._longest()))
        settings: Settings = config.dpo if config.learn_from == "preferences" else config.sft
        work += self._selection(iteration, settings, work[-1], before)
        sets = {f"AIFT({before.name})": _stand_ins(before.name, prompts, self.ift)}
        length = Length(answer, self.answers.tail)
        return PlannedTraining((made,), tuple(work), sets, settings.dtype, length)

    def _proposals(self, iteration: int, writer: ModelRef, wanted: int) -> list[Work]:
        config = self.settings.proposing
        if config.file is not None:
            return []
        kept = self._metric(iteration, "prompts", "requested")
        asked = self._metric(iteration, "prompts", "wanted")
        if kept is not None and asked:
            requests = wanted * kept / asked
        else:
            requests = wanted / _KEPT
            self.assumed.append(f"{_KEPT:.0%} of the proposals become prompts (ours)")
        rounds = math.ceil(requests / config.requests)
        rows = rounds * config.requests
        shown = _some([row.prompt for row in self.ift]) or _stand_ins("seed", _SAMPLE)
        rng = Random(self.seed)
        template = load_template(config.template, config.separator)
        texts = [
            template.render(rng.choices(shown, k=config.demonstrations)) for _ in range(_SAMPLE)
        ]
        sizes = [self.count(user(text) if config.chat else text) for text in texts]
        return [
            Work(
                "prompts",
                "generate",
                config.model or writer,
                rows,
                round(rows * mean(sizes)),
                round(rows * self._new(iteration, "prompts", self.prompt, config.max_tokens)),
                most=config.max_tokens,
            )
        ]

    def _candidates(self, iteration: int, writer: ModelRef, prompts: int) -> Work:
        draw = self.settings.candidates
        rows = prompts * draw.n
        return Work(
            "candidates",
            "generate",
            writer,
            rows,
            round(prompts * self.prompt),
            round(rows * self._new(iteration, "candidates", self.answer, draw.max_tokens)),
            draw.n,
            most=draw.max_tokens,
            tail=self.answers.tail,
        )

    def _judgements(
        self, iteration: int, judge: ModelRef, candidates: Work, answer: float
    ) -> list[Work]:
        if self.settings.judge == "random":
            return []
        draw = self.settings.judging
        most = draw.sampling(0).max_tokens  # with `one_token`, one
        judged, written = self._cost(iteration, "judge"), self._cost(iteration, "candidates")
        # Identical answers to a prompt are judged once.
        share = judged.rows / draw.n / written.rows if judged and written else 1.0
        different = candidates.rows * share
        rows = round(different * draw.n)
        prompt = self.judging - self.answer + answer
        if judged:
            prompt = judged.prompt_tokens / (judged.rows / draw.n)
        return [
            Work(
                "judge",
                "generate",
                judge,
                rows,
                round(different * prompt),
                round(rows * min(most, self._new(iteration, "judge", self.verdict, most))),
                draw.n,
                self.rubric_tokens,
                most,
                self.verdicts.tail if most > 1 else 1.0,
            )
        ]

    def _pairs(self, iteration: int) -> float:
        pairs = self._metric(iteration, "pairs", "pairs")
        prompts = self._metric(iteration, "pairs", "prompts")
        if pairs is not None and prompts:
            return pairs / prompts
        self.assumed.append(f"{_PAIRS:.0%} of the prompts give a pair (ours)")
        return _PAIRS

    def _new(self, iteration: int, part: str, guess: float, most: int) -> float:
        """Tokens of a completion: as an earlier run had them, or guessed."""
        cost = self._cost(iteration, part)
        return cost.new_tokens / cost.rows if cost else min(guess, most)

    def _selection(
        self, iteration: int, settings: Settings, training: Work, judge: ModelRef
    ) -> list[Work]:
        config, lesson = self.settings.selection, training.lesson
        if config is None or lesson is None or not lesson.checkpoints:
            return []
        rows = (config.rows or _SAMPLE) * (lesson.checkpoints + 1)
        answer = self._new(
            iteration, "candidates", self.answer, self.settings.candidates.max_tokens
        )
        draw = self.settings.judging
        verdict = self._new(iteration, "judge", self.verdict, draw.max_tokens)
        answers = Work(
            "selection",
            "generate",
            judge,
            rows,
            round(rows * self.prompt),
            round(rows * answer),
            most=self.settings.candidates.max_tokens,
        )
        verdicts = Work(
            "selection",
            "generate",
            judge,
            rows * draw.n,
            round(rows * self.judging),
            round(rows * draw.n * verdict),
            draw.n,
            self.rubric_tokens,
            draw.max_tokens,
        )
        return [answers, verdicts]

    # ------------------------------------------------------------ trainings

    def _longest(self) -> int:
        """Tokens of the longest demonstration; the others are shorter by their characters."""
        if not self.ift:
            return round(_LONGEST * (self.prompt + self.answer))
        row = max(self.ift, key=lambda one: len(one.prompt) + len(one.response))
        return self.count(user(row.prompt)) + self.count(row.response) + 1

    def _longest_judgement(self) -> float:
        texts = [
            self.rubric.fill({"instruction": group.prompt, "response": one.text})
            for group in self.eft
            for one in group.responses
        ]
        if not texts:
            return _LONGEST * (self.judging + self.verdict)
        return self.count(user(max(texts, key=len))) + _LONGEST * self.verdict

    def _sft(self, part: str, rows: int, tokens: float, longest: int) -> Work:
        lesson = lesson_of(self.settings.sft, self.settings.launcher, rows, longest)
        return Work(part, "train", self.model, rows, round(tokens), lesson=lesson)


def lesson_of(settings: Settings, launcher: Launcher, rows: int, longest: int) -> Lesson:
    """Say what training so many rows asks of a machine."""
    prefers = isinstance(settings, DPO)
    updates = settings.max_steps or max(
        1, math.ceil(settings.epochs * math.ceil(rows / settings.batch_size))
    )
    every = settings.checkpoint_every
    _, micro = settings.share(launcher.processes)
    lora = settings.lora
    named = lora.target_modules if lora else "all-linear"
    return Lesson(
        updates=updates,
        batch_size=settings.batch_size,
        micro_batch_size=micro,
        sequences=2 if prefers else 1,
        longest=min(longest, settings.max_length or longest),
        epochs=updates * settings.batch_size / rows if settings.max_steps else settings.epochs,
        reference=prefers,
        precision=settings.precision,
        gradient_checkpointing=settings.gradient_checkpointing,
        lora=lora.r if lora else None,
        lora_modules=None if isinstance(named, str) else named,
        adapter=lora is not None and lora.save == "adapter",
        processes=launcher.processes,
        strategy=launcher.strategy,
        offload=launcher.offload,
        checkpoints=(updates - 1) // every if every else 0,
    )


def _verdicts(groups: Sequence[RankedGroup]) -> list[str]:
    return [one.verdict for group in groups for one in group.responses if one.verdict]


def _some(values: Iterable[str]) -> list[str]:
    """Take some of them, the same ones each time."""
    there = list(values)
    return Random(0).sample(there, min(_SAMPLE, len(there)))


def _mean(values: Sequence[int]) -> float:
    return mean(values) if values else 0.0


def _stand_ins(kind: str, count: int, like: Sequence[Demonstration] = ()) -> list[str]:
    """Make prompts that stand for those nobody knows yet, as long as known ones."""
    texts = [row.prompt for row in like] or ["Tell me what to do about a thing like this one"]
    return [f"{texts[number % len(texts)]} {kind} {number}" for number in range(count)]
