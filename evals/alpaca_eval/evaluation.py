"""AlpacaEval 2.0 as a plug-in: are the model's answers better than a reference model's?

    answer/alpaca_eval/017   the model's output                          sampled, see `answers`
    verdict/alpaca_eval/017  what the judge wrote about the two outputs  see `judging`

The judge is shown both outputs once, in an order drawn for each instruction, and its preference is
the probability that it gives the model's. With the official reference, judge and files this is the
published protocol; every figure says where it is not.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from evals import answers
from evals.alpaca_eval import covariates, export, figures, judging, references, stored
from evals.alpaca_eval.annotations import OFFICIAL_ANNOTATOR, TIE, Annotation, Judged
from evals.alpaca_eval.controlled import control
from evals.alpaca_eval.covariates import Covariates, Kind
from evals.alpaca_eval.judging import Annotator, Pair, Verdict
from evals.answers import Answer, Questions
from evals.protocol import protocol
from harness.data.examples import PromptRow
from harness.errors import ConfigError
from harness.judge import Judge
from harness.protocols import LoadedModel
from harness.records import EvalResult, ModelRef, Score
from harness.rows import RowLog

RUBRIC_MAX_TOKENS = 512


class AlpacaEval:
    """The model's answers against a reference model's, judged once, in a drawn order."""

    needs_judge: ClassVar[bool] = True

    class Config(Questions):
        """What to ask, and how it is judged. The defaults suit the embedded world."""

        data: str = references.MICROWORLD
        """`microworld`, `alpaca_eval` for the official reference outputs in the data folder, or a
        `model_outputs.json` of any reference."""
        annotator: str = OFFICIAL_ANNOTATOR
        """A configuration of the alpaca_eval package: its prompt, sampling and parser."""
        judge_prompt: str | None = None
        """A pairwise rubric in the annotator's place: a built-in name or a file."""
        judge_max_tokens: int | None = Field(default=None, gt=0)
        """In place of the annotator's, for a judge that writes more than its verdict."""
        gamed: str | None = None
        """`df_gamed.csv`, for the length-controlled fit; without it, the one beside the data, or
        in the folder above, or in the data folder."""
        difficulty: str | None = None
        """`instruction_difficulty.csv`, for a fit without the other file."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.references = references.read(config.data, config.limit)
        self.sampling = config.sampling
        self.annotator = _annotator(config)
        self.covariates = _covariates(config)

    @staticmethod
    def score(files: Sequence[Path]) -> Sequence[EvalResult]:
        """Compute results from stored judgements: see `stored`."""
        return stored.score(files)

    def question_texts(self) -> dict[str, str]:
        """Say what is asked, by item id."""
        return {row.id: row.prompt for row in self.references.prompts}

    def answer(self, model: LoadedModel, log: RowLog) -> None:
        """Have the model answer every instruction."""
        answers.ask(model, self.references.prompts, self.sampling, log)

    def mark(
        self,
        model: ModelRef,
        log: RowLog,
        judge: LoadedModel | None,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        """Have the judge compare each answer with the reference's.

        Raises:
            ConfigError: there is no judge.
        """
        if judge is None:
            raise ConfigError("alpaca_eval needs a judge: add [judge] with an engine and a model")
        referee = Judge(self.annotator.rubric, judge, self.annotator.sampling)
        referee.check_room()
        given = answers.read(self.references.prompts, log)
        pairs = {row.id: self._pair(row, given[row.id]) for row in self.references.prompts}
        judging.ask(judge, self.annotator, [pair for pair in pairs.values() if pair], log)
        judged = Judged(
            model=model.name,
            reference=self.references.name,
            annotator=self._judge_name(judge.ref),
            annotations=tuple(
                self._annotation(row, given[row.id], pairs[row.id], log)
                for row in self.references.prompts
            ),
        )
        shared = protocol(
            "alpaca_eval",
            self.references.fingerprint,
            self.sampling.fingerprint,
            referee.fingerprint,
        )
        controlled = control(judged, self.covariates)
        metrics = list(figures.metrics(judged, controlled))
        metrics += figures.predictions(metrics, controlled, earlier, shared)
        metrics += figures.places(judged, metrics, official=controlled.difficulty is not None)
        return EvalResult(
            evaluation="alpaca_eval",
            model=model.name,
            protocol=shared,
            description=(
                f"{stored.describe(judged, self.covariates, controlled)}; data {self.config.data}, "
                f"answers {self.sampling.fingerprint}, {self.annotator.rubric.fingerprint}, "
                f"{answers.chat_template(log)}"
            ),
            judge=referee.known_as,
            metrics=tuple(metrics),
            items=tuple(export.items(judged, self.covariates)),
        )

    def publish(
        self, model: ModelRef, result: EvalResult, log: RowLog
    ) -> Iterator[tuple[str, str]]:
        """Write the result as its publishers do: names and contents of files, AlpacaEval's."""
        return export.files(result)

    def _pair(self, row: PromptRow, answer: Answer) -> Pair | None:
        """Make what the judge is asked; None where there is nothing to ask."""
        reference = self.references.outputs[row.id]
        if answer.failure is not None or answer.text == reference:
            return None
        return Pair(row.id, row.prompt, reference, answer.text)

    def _annotation(
        self, row: PromptRow, answer: Answer, pair: Pair | None, log: RowLog
    ) -> Annotation:
        verdict = Verdict.model_validate(log[pair.key]) if pair else None
        return Annotation(
            instruction=row.prompt,
            reference=self.references.outputs[row.id],
            output=answer.text if answer.failure is None else None,
            preference=answer.failure
            or (judging.preference(self.annotator, verdict) if verdict else Score(value=TIE)),
            dataset=row.category,
            raw_completion=verdict.raw_completion if verdict else None,
            swapped=verdict.swapped if verdict else None,
            tokens=answer.tokens,
            truncated=answer.truncated,
        )

    def _judge_name(self, judge: ModelRef) -> str:
        """Name the judge so that only the official one goes by the official name."""
        own = self.annotator
        published = self.config.judge_max_tokens is None and judge.location == own.model
        return own.name if published else f"{own.name}@{judge.location}"


def _annotator(config: AlpacaEval.Config) -> Annotator:
    if config.judge_prompt is None:
        return judging.from_package(config.annotator, config.judge_max_tokens)
    return judging.from_rubric(config.judge_prompt, config.judge_max_tokens or RUBRIC_MAX_TOKENS)


def _covariates(config: AlpacaEval.Config) -> Covariates:
    if config.data == references.MICROWORLD:
        return covariates.NONE
    named: dict[Kind, Path] = {}
    if config.gamed is not None:
        named["gamed"] = Path(config.gamed)
    if config.difficulty is not None:
        named["difficulty"] = Path(config.difficulty)
    folder = references.locate(config.data).resolve().parent
    return covariates.find(named, [folder, folder.parent])
