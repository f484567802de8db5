"""How good are the model's answers in a conversation of two turns?

    question  "Compose a travel blog post about Hawaii."   "Start every sentence with the letter A."
    answers   "Aloha! ..."                                 "Aloha again. All around ..."
    judge     "... Rating: [[9]]"                          "... Rating: [[7]]"

Eighty questions in eight categories, each turn rated from 1 to 10, with a reference answer at hand
for math, reasoning and coding; the `score` is the mean of the ratings. In pair mode the judge says
instead which of two models answered better (Zheng et al. 2023; FastChat's `llm_judge`).
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from evals.answers import chat_template
from evals.mt_bench import answering, fastchat, pair, prompts, questions, scoring, single, stored
from evals.mt_bench.answering import Answers
from evals.mt_bench.judging import Panel
from evals.mt_bench.questions import TEMPERATURE, TEMPERATURES, TURNS, item_id
from evals.mt_bench.reading import READERS
from evals.protocol import protocol
from harness.errors import ConfigError
from harness.protocols import LoadedModel, Sampling
from harness.records import EvalResult, ItemResult, Metric, ModelRef, Record
from harness.rows import RowLog

PUBLISHED_JUDGES = ("gpt-4", "gpt-4-0613")
"""Who judged the published figures."""


class MTBench:
    """Two-turn questions, rated by a judge or compared with another model's answers."""

    needs_judge: ClassVar[bool] = True

    class Config(Record):
        """What to ask, and how it is judged. All but the data is FastChat's by default."""

        data: str = questions.MICROWORLD
        """`microworld`, `mt_bench` for the official questions in the data folder, or a
        `question.jsonl` of FastChat's."""
        references: Path | None = None
        """Answers to judge math, reasoning and coding against; without it the official file's
        name is looked for beside the questions."""
        corrected_references: Path | None = None
        """Better reference answers: what they apply to is judged a second time with them, and a
        second score stands beside the official one."""
        prompts: Path | None = None
        """A `judge_prompts.jsonl`; see `evals.mt_bench.prompts`."""
        mode: Literal["single", "pair"] = "single"
        against: tuple[str, ...] = ("previous",)
        """Of pair mode: models by name; `previous` is the one that the model was trained from.
        Those that were not measured before are left out."""
        baseline: Path | None = None
        """Of pair mode: a `model_answer` file, whose model is one more opponent."""
        temperatures: dict[str, Annotated[float, Field(ge=0)]] = Field(default_factory=dict)
        """By category, where it is not to be FastChat's."""
        top_p: float = Field(default=1.0, gt=0, le=1)
        max_tokens: int = Field(default=1024, gt=0)
        """Of an answer; a longer one is cut off, judged as it is, and marked."""
        seed: int = 0
        judgements: int = Field(default=1, gt=0)
        """How often everything is judged; from two on, the judge's own spread is measured."""
        judge_max_tokens: int = Field(default=2048, gt=0)
        reader: Literal["last", "official"] = "last"
        """Whether the judge's last verdict counts, or FastChat's first one, of any size."""

        @model_validator(mode="after")
        def _fits_the_mode(self) -> "MTBench.Config":
            if self.mode == "pair" and self.corrected_references:
                raise ValueError(
                    "corrected_references belong to single mode; drop them, or mode = 'pair'"
                )
            if self.mode == "single" and self.baseline:
                raise ValueError("a baseline belongs to pair mode; add mode = 'pair', or drop it")
            return self

    def __init__(self, config: Config) -> None:
        self.config = config
        self.questions = questions.load(config.data, config.references)
        self.prompts = prompts.load(config.prompts, config.data)
        self.corrected = (
            questions.corrected(self.questions, config.corrected_references)
            if config.corrected_references
            else self.questions.references
        )
        self.baseline = questions.baseline(config.baseline) if config.baseline else None
        categories = dict.fromkeys(row.category for row in self.questions.rows)
        if unknown := config.temperatures.keys() - categories.keys():
            raise ConfigError(
                f"temperatures name {', '.join(sorted(unknown))}, and the categories of "
                f"{config.data} are {', '.join(categories)}"
            )
        temperatures = {**TEMPERATURES, **config.temperatures}
        warmth = {category: temperatures.get(category, TEMPERATURE) for category in categories}
        self.sampling = {
            category: Sampling(
                temperature=temperature,
                top_p=config.top_p,
                max_tokens=config.max_tokens,
                seed=config.seed,
            )
            for category, temperature in warmth.items()
        }

    def question_texts(self) -> dict[str, str]:
        """Say what is asked, by item id."""
        return {
            item_id(row.id, turn): text
            for row in self.questions.rows
            for turn, text in zip(TURNS, row.turns, strict=True)
        }

    def answer(self, model: LoadedModel, log: RowLog) -> None:
        """Have the model answer both turns of every question."""
        answering.ask(model, self.questions.rows, self.sampling, log)

    def mark(
        self,
        model: ModelRef,
        log: RowLog,
        judge: LoadedModel,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        """Have the judge rate every answer, or compare it with each opponent's."""
        config = self.config
        panel = Panel(
            judge=judge,
            prompts=self.prompts,
            readers=READERS[config.reader],
            repeats=config.judgements,
            max_tokens=config.judge_max_tokens,
        )
        given = answering.read(self.questions.rows, log)
        if config.mode == "single":
            items, metrics = self._rate(given, panel, log)
        else:
            items, metrics = self._compare(given, self._opponents(model, earlier), panel, log)
        return EvalResult(
            evaluation="mt_bench",
            model=model.name,
            protocol=protocol(
                "mt_bench",
                config.mode,
                self.questions.fingerprint,
                repr(sorted((name, one.fingerprint) for name, one in self.sampling.items())),
                repr((self.corrected, self.baseline)),
                panel.fingerprint,
            ),
            description=self._describe(panel, log),
            judge=panel.known_as,
            metrics=metrics,
            items=items,
            answers={
                item_id(one.question.id, turn): said.text
                for one in given
                for turn, said in zip(TURNS, one.turns, strict=True)
                if said.failure is None
            },
        )

    def publish(
        self, model: ModelRef, result: EvalResult, log: RowLog
    ) -> Iterator[tuple[str, str]]:
        """Write the result as its publishers do: names and contents of files, FastChat's."""
        return fastchat.files(result, self.questions)

    def _rate(
        self, given: Sequence[Answers], panel: Panel, log: RowLog
    ) -> tuple[tuple[ItemResult, ...], tuple[Metric, ...]]:
        """Single mode: rate every answer, where wanted with both kinds of references."""
        official = single.wanted(given, self.questions.references, self.prompts)
        better = single.wanted(given, self.corrected, self.prompts)
        changed = {id: better[id] for id in official if better[id] != official[id]}
        panel.ask([*official.items(), *changed.items()], log)
        rows = single.judged(given, official, panel, log)
        by_question = {one.question.id: one for one in given}
        asked = {"verdicts": official, "corrected_verdicts": changed}
        items = tuple(
            single.item(row, by_question[row.question], asked, panel, log) for row in rows
        )
        note = self._note(panel)
        metrics = [*scoring.single(rows, note)]
        if self.config.corrected_references:
            again = single.judged(given, better, panel, log)
            metrics.append(scoring.corrected(again, note))
        return items, tuple(metrics)

    def _compare(
        self,
        given: Sequence[Answers],
        opponents: Mapping[str, Mapping[str, str]],
        panel: Panel,
        log: RowLog,
    ) -> tuple[tuple[ItemResult, ...], tuple[Metric, ...]]:
        """Pair mode: compare every answer with each opponent's."""
        games = {
            name: list(pair.games(given, name, others, self.questions.references, self.prompts))
            for name, others in opponents.items()
        }
        panel.ask((one for played in games.values() for game in played for one in game.wanted), log)
        items = tuple(game.item(panel, log) for played in games.values() for game in played)
        metrics = tuple(
            metric
            for name, played in games.items()
            for metric in scoring.pair(
                [game.judged(panel, log) for game in played], name, self._note(panel)
            )
        )
        return items, metrics

    def _opponents(
        self, model: ModelRef, earlier: Sequence[EvalResult]
    ) -> dict[str, Mapping[str, str]]:
        """Find the answers to compare with, by model: each once, the stored baseline last."""
        measured = {result.model: result.answers for result in earlier}
        names = [model.parent if name == "previous" else name for name in self.config.against]
        found = {name: measured[name] for name in names if name and name in measured}
        return found | ({self.baseline.model: self.baseline.answers} if self.baseline else {})

    def _note(self, panel: Panel) -> str:
        """Say what stands between these figures and published ones."""
        if self.questions.note:
            return self.questions.note
        judge = panel.judge.ref.location
        judged = "" if judge in PUBLISHED_JUDGES else f"judged by {judge}, published ones by GPT-4"
        return "; ".join(filter(None, (self.prompts.note, judged)))

    def _describe(self, panel: Panel, log: RowLog) -> str:
        """Say the protocol in words."""
        config = self.config
        temperatures = ", ".join(f"{name} {s.temperature:g}" for name, s in self.sampling.items())
        how = "rated by" if config.mode == "single" else "compared in both orders by"
        repeats = f", {config.judgements} times each" if config.judgements > 1 else ""
        count, by = len(self.questions.references), self.questions.answered_by
        second = config.corrected_references
        better = f" and a second time of {second}" if second else ""
        references = f"; {count} with reference answers of {by}{better}" if count else ""
        return (
            f"{len(self.questions.rows)} two-turn questions of {config.data}, answers at most "
            f"{config.max_tokens} tokens, top_p={config.top_p:g}, temperature by category "
            f"({temperatures}); {how} {panel.judge.ref.known_as}{repeats}, {self.prompts.wording}, "
            f"{panel.sampling.fingerprint}, {panel.readers.rule} is read"
            f"{references}; {chat_template(log)}"
        )

    @staticmethod
    def score(files: Sequence[Path]) -> Sequence[EvalResult]:
        """Compute results from FastChat's judgement files: see `evals.mt_bench.stored`.

        Raises:
            DataError: a file holds no judgements, or cannot be read.
        """
        return stored.score(files)
