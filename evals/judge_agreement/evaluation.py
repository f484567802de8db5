"""Does the model, as a judge, rank responses as people do, and does the external judge?

The model judges responses that people have ranked, as it does when it rewards itself: it gives
each points (`points`), or compares them two by two in both orders (`pairs`). The external judge,
asked in the same words with the same sampling, stands beside it, so that a reader sees how far
each can be trusted. It is asked once for all models of a run:

    pairwise_accuracy               0.83     the model, by the mean of its sampled points
    expected/pairwise_accuracy      0.84     by its expected points
    external/pairwise_accuracy      0.91     the external judge, the same in every model's table

`harness.statistics.agreement` defines the metrics; `failure_rate` is the share of verdicts that
could not be read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol, Self

from pydantic import Field, model_validator

from evals.answers import chat_template, keep_chat_template
from evals.judge_agreement.pairs import Pairs
from evals.judge_agreement.points import Points
from evals.judge_agreement.stored import score
from evals.protocol import protocol
from harness import verdicts
from harness.data import datasets
from harness.judge import Judge, pairwise, pointwise, sampling_for
from harness.protocols import LoadedModel, Sampling
from harness.records import EvalResult, ItemResult, Metric, ModelRef, Record
from harness.rows import RowLog

EXTERNAL = "external/"
_SELF_KEY, _EXTERNAL_KEY = "verdict", "external"
_LIKELIEST = 10
"""Of how many tokens the probabilities are asked: all that can be points, and what competes."""


class Instrument(Protocol):
    """A way of having ranked responses judged."""

    def rows(self, judge: str) -> dict[str, Mapping[str, str]]:
        """List what to ask a judge, by log key."""
        ...

    def metrics(self, judge: str, log: RowLog) -> tuple[Metric, ...]:
        """Summarise how well what a judge said agrees with people."""
        ...

    def items(self, judge: str, log: RowLog) -> tuple[ItemResult, ...]:
        """Lay out what a judge said, by group."""
        ...


class JudgeAgreement:
    """The model judges ranked responses, as it does when it rewards itself."""

    class Config(Record):
        """What to judge, and how. The defaults suit the embedded world."""

        data: str = "microworld:preferences"
        """Ranked responses that no training has seen: see `harness.data.datasets.ranked_groups`.
        Open Assistant, PandaLM's and LLMBar's test sets and the MT-Bench votes are known."""
        limit: int | None = Field(default=None, gt=0)
        """How many instructions to draw; all without it."""
        judges: tuple[Literal["self", "external"], ...] = Field(default=("self",), min_length=1)
        """Who judges: the model itself, the run's judge, or both."""
        mode: Literal["pointwise", "pairwise"] = "pointwise"
        """Points for each response, or every pair in both orders."""
        rubric: str = "microworld"
        """A built-in name or a file, pointwise or pairwise as `mode` says: `five_points` is the
        additive one of Yuan et al. 2024, `buckets` the multiple choice of Li et al. 2024."""
        read: Literal["sampled", "one_token"] = "sampled"
        """How a verdict gives points: as it says after its reasons, or, without reasons, as one
        token is expected to; see `harness.judge.Way`. One token needs one sample."""
        samples: int = Field(default=3, gt=0)
        """Verdicts per response, or per order of a pair."""
        temperature: float = Field(default=0.7, ge=0)
        top_p: float = Field(default=0.9, gt=0, le=1)
        max_tokens: int = Field(default=48, gt=0)
        expected: bool = True
        """Whether to ask for token probabilities too, and compute the metrics of the expected
        score; only of points that are sampled."""
        seed: int = 0

        @model_validator(mode="before")
        @classmethod
        def _one_by_itself(cls, given: Any) -> Any:
            if isinstance(given, dict) and given.get("read") == "one_token":
                return {"samples": 1, "expected": False, **given}
            return given

        @model_validator(mode="after")
        def _one_is_enough(self) -> Self:
            if self.read == "one_token" and (self.samples > 1 or self.expected):
                raise ValueError(
                    'read = "one_token" gives the same expected points every time; set samples = 1 '
                    "and expected = false, or leave both out"
                )
            if self.read == "one_token" and self.mode == "pairwise":
                raise ValueError(
                    'read = "one_token" reads points, and mode is "pairwise"; set mode = '
                    '"pointwise", or read = "sampled"'
                )
            return self

    def __init__(self, config: Config) -> None:
        self.config = config
        self.needs_judge = "external" in config.judges
        by_points = config.mode == "pointwise"
        self.rubric = (pointwise if by_points else pairwise)(config.rubric)
        self.groups = datasets.ranked_groups(config.data, config.limit)
        rows = self.groups.rows
        by_token = config.read == "one_token"
        self.instrument: Instrument = (
            Points(rows, config.expected, whole=not by_token) if by_points else Pairs(rows)
        )
        sampling = Sampling(
            n=config.samples,
            temperature=config.temperature,
            top_p=config.top_p,
            max_tokens=config.max_tokens,
            seed=config.seed,
            top_logprobs=_LIKELIEST if by_points and config.expected else 0,
        )
        self.sampling = sampling_for(config.read, sampling)

    score = staticmethod(score)

    def question_texts(self) -> dict[str, str]:
        """Say which instructions' answers are judged, by item id."""
        return {group.id: group.prompt for group in self.groups.rows}

    def answer(self, model: LoadedModel, log: RowLog) -> None:
        """Have the model judge every response."""
        keep_chat_template(model, log)
        if "self" in self.config.judges:
            self._ask(model, _SELF_KEY, log)

    def mark(
        self,
        model: ModelRef,
        log: RowLog,
        judge: LoadedModel,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        """Compare the judgements with the human ranks.

        The external judge's figures are taken from an earlier model's result where there is one
        under the same protocol, which names that judge.
        """
        outside = self._judge(judge)
        parts = [self.groups.fingerprint, self.rubric.fingerprint, outside.asked]
        metrics: tuple[Metric, ...] = ()
        items: tuple[ItemResult, ...] = ()
        if "self" in self.config.judges:
            metrics = self.instrument.metrics(_SELF_KEY, log)
            items = self.instrument.items(_SELF_KEY, log)
        described, external = self._described(log, outside.asked), ""
        if self.needs_judge:
            external = outside.known_as
            parts.append(outside.fingerprint)
            described += f"; external: {outside.fingerprint}"
        own = protocol("judge_agreement", *parts)
        if self.needs_judge:
            before = next((result for result in earlier if result.protocol == own), None)
            metrics += _external(before) if before else self._of_external(judge, log)
        return EvalResult(
            evaluation="judge_agreement",
            model=model.name,
            protocol=own,
            description=described,
            judge=external,
            metrics=metrics,
            items=items,
        )

    def _ask(self, model: LoadedModel, key: str, log: RowLog) -> None:
        judge = self._judge(model)
        judge.check_room()
        verdicts.ask(judge, self.instrument.rows(key).items(), log)

    def _judge(self, model: LoadedModel) -> Judge:
        return Judge(self.rubric, model, self.sampling, self.config.read)

    def _of_external(self, judge: LoadedModel, log: RowLog) -> tuple[Metric, ...]:
        """Ask the external judge, and name its metrics after it."""
        self._ask(judge, _EXTERNAL_KEY, log)
        return tuple(
            one.model_copy(
                update={
                    "name": f"{EXTERNAL}{one.name}",
                    "note": "; ".join(filter(None, (f"judged by {judge.ref.known_as}", one.note))),
                }
            )
            for one in self.instrument.metrics(_EXTERNAL_KEY, log)
        )

    def _described(self, log: RowLog, asked: str) -> str:
        """Say what was judged, by whom and how."""
        config, groups = self.config, self.groups.rows
        responses = sum(len(group.responses) for group in groups)
        by = "the model itself" if "self" in config.judges else "the external judge alone"
        how = "" if config.mode == "pointwise" else "pair by pair in both orders "
        return (
            f"{responses} ranked responses to {len(groups)} instructions of {config.data}, "
            f"judged {how}by {by}, {self.rubric.fingerprint}, {asked}, {chat_template(log)}"
        )


def _external(result: EvalResult) -> tuple[Metric, ...]:
    """Take the external judge's metrics from a result."""
    return tuple(metric for metric in result.metrics if metric.name.startswith(EXTERNAL))
