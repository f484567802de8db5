"""The nouns of a run: every type here is written to the run directory.

A run directory read back is one `RunRecord`, and that is all a report ever sees:

    RunRecord
      request, environment
      stages:  StageResult  (00-evaluate | 01-train | 01-evaluate | 02-train ...)
                 model, comparators        ModelRef
                 evaluations               EvalResult
                   metrics                 Metric   value with its interval, n and failed
                   items                   ItemResult -> Score | Failure
"""

import math
from collections import Counter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator, model_validator


class Record(BaseModel):
    """A fact on disk: immutable, and strict about what it contains."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelRef(Record):
    """A set of weights and where it came from."""

    name: str = "M0"
    """Its place in the lineage: `M0` is the pretrained model, `M1` what it was trained into."""
    location: str
    """A checkpoint folder, a hub id, or `microworld` for the embedded M0."""
    revision: str | None = None
    """The exact version there, where it has versions."""
    parent: str | None = None
    """The name of the model it was trained from."""
    fingerprint: str | None = None
    """A hash of the weights, once they have been read or written here."""
    chat_template: str | None = None
    """A hash of its chat template, once it has been opened: models under different ones were not
    asked the same."""

    @property
    def known_as(self) -> str:
        """Its name, and what it exactly is: `judge (gpt-6-sol-2026-05-01@api.openai.com)`."""
        identity = self.fingerprint or self.location
        return self.name if identity in self.name else f"{self.name} ({identity})"


class Stage(Record):
    """One step of a run: `02-train` turns M1 into M2, `02-evaluate` measures what came out."""

    iteration: int = Field(ge=0)
    kind: Literal["evaluate", "train"]

    def __str__(self) -> str:
        return f"{self.iteration:02d}-{self.kind}"


class Score(Record):
    """A row that was scored."""

    kind: Literal["score"] = "score"
    value: float = Field(allow_inf_nan=False)


class Failure(Record):
    """A row that could not be scored: counted by its reason, never averaged, never trained on."""

    kind: Literal["failure"] = "failure"
    reason: str
    """A word or two to count by: `no_score`, `out_of_range`, `truncated`, `prompt_too_long` ..."""
    detail: str = ""
    """What a person would look at, e.g. the end of the unreadable text."""

    @classmethod
    def unread(cls, reason: str, text: str) -> "Failure":
        """Fail for what cannot be read in a text, whose end is kept."""
        return cls(reason=reason, detail=text.strip()[-160:] or "nothing was written")


Outcome = Annotated[Score | Failure, Field(discriminator="kind")]


class ItemResult(Record):
    """What a model answered to one item of an evaluation, and what that was worth."""

    id: str
    """The same for the same item in every model and every run, so that items can be paired."""
    answer: str
    outcome: Outcome
    against: str | None = None
    """The other model, where the item compares two."""
    category: str | None = None
    cluster: str | None = None
    """What it shares with other items, so that they are not independent: a conversation."""
    details: dict[str, JsonValue] = {}
    """What a reader wants to see beside it. The same thing has the same key in all evaluations:

    prompt                    what was asked; of a conversation, in the item's turn
    turns, answers            of a conversation, what was asked and answered in each turn; null
                              where there is no answer
    tokens, truncated         how many were sampled for the answer; whether that cut it off
    reference_output          the answer it is compared with, and `reference`, whose that is
    opponent_answer           what `against` answered; of a conversation, `opponent_answers`
    verdicts                  all that the judge wrote, in the order in which it was asked:
                              {"text", "value" or "failure", "order", "probabilities"}; the value
                              of a comparison is seen from the model's side, 1 where its answer is
                              better; `order` says which answer was shown first; `probabilities`,
                              by label, how likely the judge was to write that at the token that
                              decides
    responses                 what a judge under test judged: {"text", "rank", "score", "verdicts"};
                              or `pairs` of them, by number, seen from the first
    choices, right_answers    of a question with a known answer: {"text", "logprob"}, and texts
    difficulty                of the question, as published

    Whatever else an evaluation knows has a key of its own."""


class Metric(Record):
    """A number, how sure it is, and what it was computed from."""

    name: str
    value: float | None
    """None where nothing could be scored: a failure is never a number, nor is NaN or infinity."""
    low: float | None = None
    high: float | None = None
    """The 95 % interval."""
    n: int = Field(ge=0)
    """Of how many items (or pairs, where the metric is over pairs) the value is made."""
    failed: int = Field(default=0, ge=0)
    """How many more were asked and could not be scored."""
    against: str | None = None
    """The other model, where there is one."""
    note: str = ""
    """What a reader must know before comparing it with a published one, e.g. `not official LC`."""
    neighbours: dict[str, float] = {}
    """Of a place on a leaderboard: who stands next to it, with the figure that places are by."""

    @field_validator("value", "low", "high")
    @classmethod
    def _finite(cls, value: float | None) -> float | None:
        return value if value is not None and math.isfinite(value) else None


class EvalResult(Record):
    """One evaluation of one model. Per opponent, `scored + failed == asked`."""

    evaluation: str
    model: str
    protocol: str
    """What two results must share to be compared: data, prompts, sampling and judge, hashed."""
    description: str = ""
    """The protocol in words, e.g. `300 held-out prompts, judged by examiner (exact)`."""
    judge: str = ""
    """Who marked it, exactly: model, fingerprint and rubric; nothing where no model did."""
    metrics: tuple[Metric, ...]
    items: tuple[ItemResult, ...] = ()
    answers: dict[str, str] = {}
    """By item id, what the model answered, where later models are compared with it."""

    @model_validator(mode="after")
    def _each_item_once(self) -> "EvalResult":
        counts = Counter((item.id, item.against) for item in self.items)
        if twice := [id for (id, _), count in counts.items() if count > 1]:
            raise ValueError(f"there is more than one item {twice[0]!r}; each has an id of its own")
        return self

    def rows(self) -> list[dict[str, str | float | int | None]]:
        """Lay every metric out flat, as `summary.json` and `harness score --json` have them."""
        return [
            {
                "model": self.model,
                "against": metric.against,
                "evaluation": self.evaluation,
                "metric": metric.name,
                "value": metric.value,
                "low": metric.low,
                "high": metric.high,
                "n": metric.n,
                "failed": metric.failed,
                "protocol": self.protocol,
                "note": metric.note,
            }
            for metric in self.metrics
        ]

    def metric(self, name: str, against: str | None = None) -> Metric | None:
        """Find a metric by name, or None."""
        found = (m for m in self.metrics if m.name == name and m.against == against)
        return next(found, None)

    @property
    def failures(self) -> dict[str, int]:
        """Count what could not be scored, by cause."""
        counts: dict[str, int] = {}
        for item in self.items:
            if isinstance(item.outcome, Failure):
                counts[item.outcome.reason] = counts.get(item.outcome.reason, 0) + 1
        return counts


class Cost(Record):
    """What one part of a stage took in all attempts, but for the last seconds before a kill."""

    seconds: float = 0.0
    """For how long the run waited for it; over all parts they add up to the clock's."""
    beside: float = 0.0
    """For how long it was under way besides, in seconds, while the run was at another part."""
    rows: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    ties: int = 0
    """How often two answers, or all to a prompt, were judged alike."""
    failures: dict[str, int] = {}
    """By cause, completions that could not be made and verdicts that could not be read."""
    dollars: float = 0.0
    """What calls of models on servers came to, as far as that is known."""
    unpriced: int = 0
    """How many more of them may have cost something that nobody knows."""

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            seconds=self.seconds + other.seconds,
            beside=self.beside + other.beside,
            rows=self.rows + other.rows,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            new_tokens=self.new_tokens + other.new_tokens,
            ties=self.ties + other.ties,
            # Most have none, and rows are added up one by one.
            failures=dict(Counter(self.failures) + Counter(other.failures))
            if self.failures and other.failures
            else self.failures or other.failures,
            dollars=self.dollars + other.dollars,
            unpriced=self.unpriced + other.unpriced,
        )


class Overlap(Record):
    """The questions of an evaluation that training has seen, and how many it was compared with."""

    questions: int
    """How many the evaluation has."""
    prompts: int
    """How many different prompts were trained on."""
    exact: tuple[str, ...] = ()
    """Ids of the questions that are training prompts."""
    near: tuple[str, ...] = ()
    """Ids of the others whose wording is mostly in training prompts."""


class PromptPoint(Record):
    """A prompt on the map of what was trained on."""

    set: str
    """What it belongs to: `IFT`, `EFT`, `AIFT(M1)` ..."""
    x: float
    y: float
    text: str
    """Its beginning, for a reader who points at it."""


class PromptMap(Record):
    """Where the prompts that were trained on lie, alike ones close together (two dimensions)."""

    method: str
    """How places were found, in words."""
    sizes: dict[str, int]
    """By set, how many different prompts it has; the points are a sample where there are more."""
    points: tuple[PromptPoint, ...]


class Bill(Record):
    """What calls of one model on a server came to, over all attempts of a run."""

    model: str
    """As asked for."""
    host: str
    served: tuple[str, ...] = ()
    """The models that answered, by their own names."""
    calls: dict[str, int]
    """By what came of them: `ok`, `truncated`, `rate_limited` ..."""
    input_tokens: int = 0
    output_tokens: int = 0
    dollars: float | None = None
    """Of all calls whose cost is known; None where none is."""
    unpriced: int = 0
    """How many more may have cost something that nobody knows."""


class StageResult(Record):
    """What a stage left behind."""

    stage: Stage
    model: ModelRef
    """The model after the stage: a new one after training, the same one after evaluating."""
    comparators: tuple[ModelRef, ...] = ()
    """Baselines that the trainer handed back beside its model, e.g. the SFT baseline."""
    evaluations: tuple[EvalResult, ...] = ()
    metrics: dict[str, JsonValue] = {}
    """The trainer's own numbers: rows in and out, failures by cause, histograms, losses."""
    costs: dict[str, Cost] = {}
    """By part of the stage, e.g. `judge` or `M1/head_to_head`."""
    overlap: dict[str, Overlap] = {}
    """By evaluation, which of its questions are among all prompts trained on so far."""
    prompt_map: PromptMap | None = None
    """Where all prompts trained on so far lie; of a training stage."""
    finished: bool = True
    """Otherwise it holds the evaluations that were done when the stage was left, or looked at."""


class PartUnderWay(Record):
    """The part that a process is at."""

    name: str
    began: float
    """In seconds since 1970, as all times here."""
    done: int = 0
    total: int | None = None
    """How many rows (or steps) there are to do; None where nobody knows."""
    earlier: int = 0
    """How many of them were there already when counting began."""
    since: float | None = None
    """When that was, if later than the part: first reference passes may be counted, then steps."""
    cost: Cost = Cost()
    """What this process has spent on it; its seconds are counted when it ends."""


class UnderWay(Record):
    """What a process says of the stage it is at, for others to read while it works."""

    process: str
    stage: Stage
    began: float
    earlier: dict[str, Cost] = {}
    """What earlier attempts at the stage took, by part."""
    ended: dict[str, Cost] = {}
    """The parts that are done in this attempt, and what they took."""
    part: PartUnderWay | None = None
    """What the stage itself is at, or waits for."""
    beside: tuple[PartUnderWay, ...] = ()
    """What else is under way, of this stage or of the marks of an earlier one."""
    to_come: tuple[str, ...] = ()
    """The parts that have not begun, as far as they are known."""


class PlannedPart(Record):
    """What a part of a stage was expected to take; None is what nobody could tell."""

    kind: str = "idle"
    """As in `protocols.Work`."""
    model: str | None = None
    """Who is asked or trained, where somebody is."""
    rows: int | None = None
    prompt_tokens: int | None = None
    """As `Cost` counts them."""
    new_tokens: int | None = None
    tokens: int | None = None
    """Of a training, all tokens of its rows, once."""
    gpus: int = 0
    """How many work on it; 0 on a CPU, or where no model is asked."""
    modelled: float | None = None
    """Seconds by the cost model alone."""
    seconds: float | None = None
    """The same where it was corrected by what was measured."""
    basis: str = ""
    """What the seconds rest on: `cost model`, `pilot`, `runs/a`."""


class PlannedStage(Record):
    """The parts of a stage, as they were expected."""

    stage: Stage
    parts: dict[str, PlannedPart]


class MemoryNeed(Record):
    """Memory of one GPU, or of the machine, at its fullest, in bytes."""

    what: str
    place: Literal["gpu", "machine"] = "gpu"
    """Whose memory: each GPU's, or that of the machine (or of each machine) they are in."""
    gpus: int = 1
    """How many work together on it; where there are none, processes."""
    parts: dict[str, int]
    available: int | None = None
    remedy: str = ""
    """What would help where it does not fit."""

    @property
    def needed(self) -> int:
        """All of it."""
        return sum(self.parts.values())

    @property
    def fits(self) -> bool | None:
        """Whether there is as much; None where nobody knows."""
        return None if self.available is None else self.needed <= self.available


class Plan(Record):
    """What a run was expected to take, before it began."""

    request: dict[str, JsonValue]
    hardware: str
    gpus: int = 0
    """How many there are; 0 where it runs on a CPU."""
    dollars_per_gpu_hour: float | None = None
    stages: tuple[PlannedStage, ...]
    memory: tuple[MemoryNeed, ...] = ()
    disk: dict[str, int] = {}
    """Bytes that stay, by what they are of."""
    disk_free: int | None = None
    judge: str = ""
    """What the judge will be asked, and what that costs."""
    not_ready: str = ""
    """What this machine lacks for it, where it is planned for this machine."""
    assumptions: tuple[str, ...] = ()

    @property
    def seconds(self) -> float | None:
        """Of the whole run; None where a part is unknown."""
        found = [part.seconds for stage in self.stages for part in stage.parts.values()]
        known = [seconds for seconds in found if seconds is not None]
        return sum(known) if len(known) == len(found) else None

    @property
    def gpu_hours(self) -> float:
        """Hours of the GPUs that work on each part, as far as its time is known."""
        parts = [part for stage in self.stages for part in stage.parts.values()]
        return sum(part.gpus * (part.seconds or 0.0) for part in parts) / 3600


class RunRecord(Record):
    """A whole run, in the order it happened."""

    request: dict[str, JsonValue]
    environment: dict[str, JsonValue]
    stages: tuple[StageResult, ...]
    stopped: str | None = None
    """What stopped the last attempt, where something did: a guard, a missing file."""
    bills: tuple[Bill, ...] = ()
    """What models on servers have cost so far."""
    unreadable: tuple[str, ...] = ()
    """Files of the run that this version cannot read, each with the reason."""
    plan: Plan | None = None
    """What it was expected to take, where that was planned for this very request."""
