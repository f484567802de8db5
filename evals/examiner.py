"""How many points does a judge give the model's answers?

    prompt   "What sound does the dog make?"
    answer   "The dog barks."                                     sampled, not greedy
    verdict  "on topic, gives an answer, right, clear, no detail. Score: 4"

In the embedded world the judge is the exact examiner, and the mean score is what training is meant
to raise. Length stands beside it because longer answers tend to please judges.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from evals import answers
from evals.answers import Answer, Questions
from evals.protocol import protocol
from harness import verdicts
from harness.data import datasets
from harness.data.examples import PromptRow
from harness.errors import ConfigError
from harness.judge import Judge, pointwise
from harness.protocols import LoadedModel, Sampling
from harness.records import EvalResult, ItemResult, Metric, ModelRef, Outcome, Score
from harness.rows import RowLog
from harness.statistics.intervals import mean, share


class Examiner:
    """The model answers prompts; the judge gives each answer 0 to 5 points."""

    needs_judge: ClassVar[bool] = True

    class Config(Questions):
        """What to ask, and how it is marked. The defaults suit the embedded world."""

        rubric: str = "microworld"
        """A pointwise rubric: a built-in name or a file."""
        judge_max_tokens: int = Field(default=512, gt=0)

    def __init__(self, config: Config) -> None:
        self.config = config
        self.rubric = pointwise(config.rubric)
        self.prompts = datasets.prompts(config.data, config.limit)
        self.sampling = config.sampling

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
        """Have the judge mark every answer.

        Raises:
            ConfigError: there is no judge.
        """
        if judge is None:
            raise ConfigError("examiner needs a judge: add [judge] with an engine and a model")
        sampling = Sampling(temperature=0, max_tokens=self.config.judge_max_tokens)
        marker = Judge(self.rubric, judge, sampling)
        given = answers.read(self.prompts.rows, log)
        rows = (
            (_key(row), {"instruction": row.prompt, "response": given[row.id].text})
            for row in self.prompts.rows
            if given[row.id].failure is None
        )
        verdicts.ask(marker, rows, log)
        items = tuple(_item(row, given[row.id], log) for row in self.prompts.rows)
        return EvalResult(
            evaluation="examiner",
            model=model.name,
            protocol=protocol(
                "examiner",
                self.prompts.fingerprint,
                self.sampling.fingerprint,
                marker.fingerprint,
            ),
            description=(
                f"{len(items)} prompts of {self.config.data}, answers {self.sampling.fingerprint}, "
                f"judged by {judge.ref.known_as}, {self.rubric.fingerprint}, "
                f"{answers.chat_template(log)}"
            ),
            judge=marker.known_as,
            metrics=(*_scores(items), *_lengths(list(given.values()))),
            items=items,
        )


def _key(row: PromptRow) -> str:
    return f"verdict/{row.id}"


def _item(row: PromptRow, answer: Answer, log: RowLog) -> ItemResult:
    readings = () if answer.failure else verdicts.read(_key(row), log)
    outcome: Outcome = answer.failure or readings[0].outcome
    return ItemResult(
        id=row.id,
        answer=answer.text,
        outcome=outcome,
        category=row.category,
        details={
            "prompt": row.prompt,
            "verdicts": [reading.written() for reading in readings],
            "tokens": answer.tokens,
            "truncated": answer.truncated,
        },
    )


def _scores(items: Sequence[ItemResult]) -> list[Metric]:
    """Average the points over all items and over each category."""
    by_category: dict[str, list[ItemResult]] = defaultdict(list)
    for item in items:
        if item.category is not None:
            by_category[item.category].append(item)
    parts = {f"score/{category}": by_category[category] for category in sorted(by_category)}
    return [_mean_points(name, part) for name, part in ({"score": items} | parts).items()]


def _mean_points(name: str, items: Sequence[ItemResult]) -> Metric:
    points = [item.outcome.value for item in items if isinstance(item.outcome, Score)]
    return mean(points).metric(name, failed=len(items) - len(points))


def _lengths(given: Sequence[Answer]) -> list[Metric]:
    """Average the tokens of the answers there are, and count those that were cut off."""
    there = [answer for answer in given if answer.failure is None]
    tokens = [answer.tokens for answer in there if answer.tokens is not None]
    truncated = sum(answer.truncated for answer in there)
    return [
        mean(tokens).metric("length_tokens", failed=len(given) - len(tokens)),
        share(truncated, len(there)).metric("truncated", failed=len(given) - len(there)),
    ]
