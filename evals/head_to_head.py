"""Are the model's answers better than another model's?

Two models' answers to the same prompt are shown to the judge in both orders. Only a preference
that survives the swap counts (as in Yuan et al. 2024, Fig. 3):

    own answer first    own answer second    outcome
    own better          own better           win    1
    own better          other better         tie    0.5   the judge prefers a position
    tie                 own better           tie    0.5
    unreadable          anything             failed       counted, in no share

`net_win` is the share of wins minus that of losses; `position_consistency` the share of asked
prompts for which both orders said the same. Identical answers tie without being asked about.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

from evals import answers
from evals.answers import Answer, Questions
from evals.protocol import protocol
from harness import verdicts
from harness.data import datasets
from harness.data.examples import PromptRow
from harness.errors import ConfigError
from harness.judge import Judge, pairwise
from harness.protocols import LoadedModel, Sampling
from harness.records import (
    EvalResult,
    Failure,
    ItemResult,
    Metric,
    ModelRef,
    Outcome,
    Score,
)
from harness.rows import RowLog
from harness.statistics.intervals import net_win, share
from harness.verdicts import Reading

WIN, TIE, LOSS = 1.0, 0.5, 0.0


class HeadToHead:
    """The model's answers against those of the model before it and of a baseline."""

    needs_judge: ClassVar[bool] = True

    class Config(Questions):
        """What to ask, whom to compare with, and how. The defaults suit the embedded world."""

        against: tuple[str, ...] = ("previous", "SFT")
        """Models by name; `previous` is the one that the model was trained from. Those that were
        not measured before are left out."""
        rubric: str = "microworld_compare"
        """A pairwise rubric: a built-in name or a file."""
        judge_max_tokens: int = Field(default=512, gt=0)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.rubric = pairwise(config.rubric)
        self.prompts = datasets.prompts(config.data, config.limit)
        self.sampling = config.sampling

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
            Game(row, given[row.id], opponent.model, opponent.answers.get(row.id))
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
            ),
            description=(
                f"{len(self.prompts.rows)} prompts of {self.config.data}, "
                f"answers {self.sampling.fingerprint}, judged in both orders by {judge.ref.name}, "
                f"{self.rubric.fingerprint}, {answers.chat_template(log)}"
            ),
            metrics=tuple(_metrics(played)),
            items=tuple(one.item for one in played),
            answers={id: one.text for id, one in given.items() if one.failure is None},
        )

    def _opponents(self, model: ModelRef, earlier: Sequence[EvalResult]) -> list[EvalResult]:
        """Find the models to compare with, each once, among those measured before."""
        measured = {result.model: result for result in earlier}
        names = [model.parent if name == "previous" else name for name in self.config.against]
        return [measured[name] for name in dict.fromkeys(names) if name and name in measured]


@dataclass(frozen=True)
class Game:
    """Two answers to one prompt."""

    prompt: PromptRow
    own: Answer
    opponent: str
    other: str | None
    """The opponent's answer; None where it failed to give one."""

    @property
    def identical(self) -> bool:
        """Whether both models answered the same, so that there is nothing to ask."""
        return self.own.failure is None and self.own.text == self.other

    @property
    def rows(self) -> list[tuple[str, Mapping[str, str]]]:
        """What to ask the judge: both orders, or nothing."""
        if self.own.failure or self.other is None or self.identical:
            return []
        own, other = self.own.text, self.other
        pairs = {"own_first": (own, other), "own_second": (other, own)}
        return [
            (
                f"verdict/{self.opponent}/{self.prompt.id}/{order}",
                {"instruction": self.prompt.prompt, "output_1": first, "output_2": second},
            )
            for order, (first, second) in pairs.items()
        ]

    def read(self, log: RowLog) -> "Played":
        """Read the judge's verdicts from the log."""
        return Played(self, tuple(verdicts.read(key, log)[0] for key, _ in self.rows))


@dataclass(frozen=True)
class Played:
    """A game and what the judge said."""

    game: Game
    readings: tuple[Reading, ...]
    """With the own answer first, then second; none where the judge was not asked."""

    @property
    def consistent(self) -> bool | None:
        """Whether both orders said the same; None where either cannot be read."""
        match [reading.outcome for reading in self.readings]:
            case [Score(value=first), Score(value=second)]:
                return first == 1 - second
        return None

    @property
    def outcome(self) -> Outcome:
        """Win, tie or loss of the model, or why there is none."""
        if self.game.own.failure:
            return self.game.own.failure
        if self.game.other is None:
            return Failure(reason="opponent_failed", detail=f"{self.game.opponent} has no answer")
        match [reading.outcome for reading in self.readings]:
            case [Failure() as unread, _] | [_, Failure() as unread]:
                return unread
            case [Score() as first, _] if self.consistent:
                return first
        return Score(value=TIE)

    @property
    def item(self) -> ItemResult:
        """Lay the game out for a reader."""
        game = self.game
        return ItemResult(
            id=game.prompt.id,
            answer=game.own.text,
            outcome=self.outcome,
            against=game.opponent,
            category=game.prompt.category,
            details={
                "prompt": game.prompt.prompt,
                "opponent_answer": game.other,
                "verdicts": [reading.text for reading in self.readings],
                "identical": game.identical,
                "truncated": game.own.truncated,
            },
        )


def _metrics(played: Sequence[Played]) -> Iterator[Metric]:
    """Summarise the games against each opponent."""
    for opponent in dict.fromkeys(one.game.opponent for one in played):
        games = [one for one in played if one.game.opponent == opponent]
        values = [one.outcome.value for one in games if isinstance(one.outcome, Score)]
        failed = len(games) - len(values)
        wins, ties, losses = (values.count(value) for value in (WIN, TIE, LOSS))
        asked = [one for one in games if one.readings]
        read = [one.consistent for one in asked if one.consistent is not None]
        identical = sum(one.game.identical for one in games)
        yield share(wins, len(values)).metric("win", failed, opponent)
        yield share(ties, len(values)).metric("tie", failed, opponent)
        yield share(losses, len(values)).metric("loss", failed, opponent)
        yield net_win(wins, ties, losses).metric("net_win", failed, opponent)
        yield share(sum(read), len(read)).metric(
            "position_consistency", len(asked) - len(read), opponent
        )
        yield share(identical, len(values)).metric("identical", failed, opponent)
