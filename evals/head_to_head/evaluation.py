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

from pydantic import Field, field_validator

from evals import answers
from evals.answers import Questions
from evals.head_to_head.games import Game, metrics
from evals.head_to_head.outputs import Outputs, is_file
from evals.head_to_head.stored import score
from evals.protocol import protocol
from harness import verdicts
from harness.data import datasets
from harness.errors import ConfigError
from harness.judge import Judge, pairwise
from harness.protocols import LoadedModel, Sampling
from harness.records import EvalResult, ModelRef
from harness.rows import RowLog

PREVIOUS, ALL = "previous", "all"


class HeadToHead:
    """The model's answers against those of others: of the run's models, or stored elsewhere."""

    needs_judge: ClassVar[bool] = True

    class Config(Questions):
        """What to ask, whom to compare with, and how. The defaults suit the embedded world."""

        against: tuple[str, ...] = (PREVIOUS, "SFT")
        """Models by name: `previous` is the one that the model was trained from, `all` are all
        that were measured before, which gives every pair of the run. Those that were not measured
        before are left out. Or files of answers: see `evals.head_to_head.outputs`."""
        rubric: str = "microworld_compare"
        """A pairwise rubric: a built-in name, a file, or AlpacaEval's prompt by the name above."""
        judge_max_tokens: int = Field(default=512, gt=0)

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
        self.stored = {name: Outputs.read(name, self.prompts.rows) for name in files}
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
        judge: LoadedModel | None,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        """Have the judge compare the answers with those of each opponent.

        Raises:
            ConfigError: there is no judge.
        """
        if judge is None:
            raise ConfigError("head_to_head needs a judge: add [judge] with an engine and a model")
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
                *(outputs.fingerprint for outputs in self.stored.values()),
            ),
            description=(
                f"{self._source()}, answers {self.sampling.fingerprint}, judged in both orders by "
                f"{judge.ref.known_as}, {self.rubric.fingerprint}, {answers.chat_template(log)}"
            ),
            judge=referee.known_as,
            metrics=tuple(metrics(played)),
            items=tuple(one.item for one in played),
            answers={id: one.text for id, one in given.items() if one.failure is None},
        )

    def _source(self) -> str:
        """Say which prompts were asked, and how they were chosen."""
        asked = len(self.prompts.rows)
        left = self.prompts.dropped.get("not_drawn", 0)
        drawn = f" (drawn at random, seed 0, from {asked + left})" if left else ""
        return f"{asked} prompts of {self.config.data}{drawn}"

    def _opponents(self, model: ModelRef, earlier: Sequence[EvalResult]) -> list[Outputs]:
        """Find whom to compare with, each once: models measured before, and stored answers."""
        measured = {result.model: Outputs(result.model, result.answers) for result in earlier}
        found: dict[str, Outputs] = {}
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
