"""Are the model's answers better than another model's?

Two models' answers to the same prompt are shown to the judge in both orders. Only a preference
that survives the swap counts (as in Yuan et al. 2024, Fig. 3): `matches` says what counts as what.

The published protocol is 256 held-out prompts and AlpacaEval's prompt for GPT-4, read by its own
format, with a greedy verdict of at most 100 tokens:

    [[evaluations]]
    name = "head_to_head"
    data = "held_out_prompts.jsonl"
    limit = 256
    temperature = 0.7
    max_tokens = 1024
    against = "all"
    rubric = "alpaca_eval:alpaca_eval_gpt4/alpaca_eval.txt"
    judge_max_tokens = 100
"""

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field, field_validator, model_validator

from evals import answers
from evals.answers import Questions
from evals.head_to_head.games import Game, metrics
from evals.head_to_head.opponents import Opponent, is_file
from evals.head_to_head.stored import score
from evals.protocol import protocol
from harness import verdicts
from harness.data import datasets
from harness.judge import Judge, pairwise
from harness.protocols import LoadedModel, Sampling
from harness.records import EvalResult, ModelRef
from harness.rows import RowLog

PREVIOUS, ALL = "previous", "all"
PUBLISHED_JUDGES = ("gpt-4", "gpt-4-0314", "gpt-4-0613")
"""Who may have judged the paper's figures: it says GPT-4, not which."""
PUBLISHED_RUBRIC = "alpaca_eval:alpaca_eval_gpt4/alpaca_eval.txt"


class HeadToHead:
    """The model's answers against those of others: of the run's models, or stored elsewhere."""

    needs_judge: ClassVar[bool] = True

    class Config(Questions):
        """What to ask, whom to compare with, and how. The defaults suit the embedded world."""

        against: tuple[str, ...] = (PREVIOUS, "SFT")
        """Models by name: `previous` is the one that the model was trained from, `all` are all
        that were measured before, which gives every pair of the run. Those that were not measured
        before are left out. Or files of answers: see `evals.head_to_head.opponents`."""
        rubric: str = "microworld_compare"
        """A pairwise rubric: a built-in name, a file, or AlpacaEval's prompt by the name above.
        Left out, it is `compare` for questions that are not the micro-world's."""
        judge_max_tokens: int = Field(default=512, gt=0)

        @model_validator(mode="before")
        @classmethod
        def _as_the_questions_are(cls, given: Any) -> Any:
            data = given.get("data") if isinstance(given, dict) else None
            if isinstance(data, str) and not data.startswith(datasets.MICROWORLD):
                return {"rubric": "compare", **given}
            return given

        @field_validator("against", mode="before")
        @classmethod
        def _several(cls, value: Any) -> Any:
            return (value,) if isinstance(value, str) else value

    def __init__(self, config: Config) -> None:
        self.config = config
        self.rubric = pairwise(config.rubric)
        self.prompts = datasets.prompts(config.data, config.limit)
        self.sampling = config.sampling
        files = [name for name in dict.fromkeys(config.against) if is_file(name)]
        self.stored = {name: Opponent.read(name, self.prompts.rows) for name in files}
        """Answers from elsewhere, by what `against` calls them."""

    score = staticmethod(score)

    def question_texts(self) -> dict[str, str]:
        """Say what is asked, by item id."""
        return {row.id: row.prompt for row in self.prompts.rows}

    def answer(self, model: LoadedModel, log: RowLog) -> None:
        """Have the model answer every prompt."""
        answers.ask(model, self.prompts.rows, self.sampling, log)

    def mark(
        self,
        model: ModelRef,
        log: RowLog,
        judge: LoadedModel,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        """Have the judge compare the answers with those of each opponent."""
        sampling = Sampling(temperature=0, max_tokens=self.config.judge_max_tokens)
        referee = Judge(self.rubric, judge, sampling)
        given = answers.read(self.prompts.rows, log)
        games = [
            Game(row, given[row.id], opponent.name, opponent.answers.get(row.id))
            for opponent in self._opponents(model, earlier)
            for row in self.prompts.rows
        ]
        verdicts.ask(referee, (row for game in games for row in game.rows), log)
        played = [game.read(log) for game in games]
        return EvalResult(
            evaluation="head_to_head",
            model=model.name,
            protocol=protocol(
                "head_to_head",
                self.prompts.fingerprint,
                self.sampling.fingerprint,
                referee.fingerprint,
                *(opponent.fingerprint for opponent in self.stored.values()),
            ),
            description=(
                f"{self._source()}, answers {self.sampling.fingerprint}, judged in both orders by "
                f"{judge.ref.known_as}, {self.rubric.fingerprint}, {answers.chat_template(log)}"
            ),
            judge=referee.known_as,
            metrics=tuple(metrics(played, self._note(judge.ref))),
            items=tuple(one.item for one in played),
            answers={id: one.text for id, one in given.items() if one.failure is None},
        )

    def _note(self, judge: ModelRef) -> str:
        """Say what stands between these figures and the paper's."""
        judged = f"judged by {judge.location}, the paper's figures by GPT-4"
        asked = f"the judge is asked by the rubric {self.rubric.name}, not by AlpacaEval's prompt"
        return "; ".join(
            (
                *([] if judge.location in PUBLISHED_JUDGES else [judged]),
                *([] if self.config.rubric == PUBLISHED_RUBRIC else [asked]),
            )
        )

    def _source(self) -> str:
        """Say which prompts were asked, and how they were chosen."""
        asked = len(self.prompts.rows)
        left = self.prompts.dropped.get("not_drawn", 0)
        drawn = f" (drawn at random, seed 0, from {asked + left})" if left else ""
        return f"{asked} prompts of {self.config.data}{drawn}"

    def _opponents(self, model: ModelRef, earlier: Sequence[EvalResult]) -> list[Opponent]:
        """Find whom to compare with, each once: models measured before, and stored answers."""
        measured = {result.model: Opponent(result.model, result.answers) for result in earlier}
        found: dict[str, Opponent] = {}
        for name in self.config.against:
            if name in self.stored:
                found[self.stored[name].name] = self.stored[name]
            elif name == ALL:
                found |= measured
            else:
                called = model.parent if name == PREVIOUS else name
                if called in measured:
                    found[called] = measured[called]
        return list(found.values())
