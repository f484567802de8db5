"""What can be plugged in: five protocols, one page.

A plug-in is a class with a nested strict `Config` (a `records.Record`), built as `Plugin(config)`,
and the verbs of its kind. Name it under the entry-point group of its kind and it can be used by
that name, exactly like the built-in ones:

    harness.engines        Engine      open a model; the model generates and gives log-likelihoods
    harness.evaluations    Evaluation  answer with the model, then mark without it
    harness.trainers       Trainer     improve a model
    harness.reports        Report      render a run
    harness.submissions    Submission  pack a model's results for a leaderboard, check the pack
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol, runtime_checkable

from pydantic import JsonValue

from harness.beside import Beside
from harness.records import EvalResult, Failure, ModelRef, Outcome, RunRecord
from harness.rows import RowLog

Role = Literal["system", "user", "assistant"]


class Message(NamedTuple):
    """One turn of a conversation."""

    role: Role
    content: str


Prompt = tuple[Message, ...] | tuple[int, ...] | str
"""Messages (the engine applies the chat template once), token ids (used as they are), or plain
text (tokenized as a pretraining document would be). A conversation that ends in an assistant's turn
is not closed: the completion goes on where that turn breaks off."""


def user(text: str) -> Prompt:
    """Make the commonest prompt: one user turn."""
    return (Message("user", text),)


@dataclass(frozen=True)
class Sampling:
    """How to draw completions. Temperature 0 is greedy."""

    n: int = 1
    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 512
    stop: tuple[str, ...] = ()
    seed: int = 0
    logprobs: bool = False
    top_logprobs: int = 0
    """How many of the likeliest tokens to report at every step; 0 for none."""

    @property
    def fingerprint(self) -> str:
        """The part that a result depends on, in words."""
        return f"T={self.temperature:g} top_p={self.top_p:g} max={self.max_tokens} n={self.n}"


@dataclass(frozen=True)
class Request:
    """One prompt and how often to complete it.

    The id is the caller's; with the seed and the completion's index it decides the random
    numbers of a row, so a row asked again, alone or in another batch, is drawn with the same ones.
    """

    id: str
    prompt: Prompt
    sampling: Sampling


class Step(NamedTuple):
    """One sampled token, as text, and what else might have been sampled."""

    token: str
    """Joined, a completion's tokens are its text; a server may add what ended it."""
    alternatives: tuple[tuple[str, float], ...]
    """The likeliest tokens with their natural-log probabilities at temperature 1, best first."""


@dataclass(frozen=True)
class Completion:
    """One finished completion; `sampling.n` of them share a request's id."""

    id: str
    index: int
    """Which of the request's n samples, from 0."""
    text: str
    """Decoded without special tokens, cut before the stop string that ended it."""
    prompt_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    """What was sampled, with the end token where it was sampled; training uses exactly these."""
    finish_reason: Literal["stop", "length", "failed"] = "stop"
    """`stop`: end token or stop string. `length`: cut off. `failed`: see `failure`."""
    logprobs: tuple[float, ...] | None = None
    """Natural-log probability of each sampled token at temperature 1, untruncated; where asked."""
    steps: tuple[Step, ...] | None = None
    """By sampled token, the likeliest ones; where `top_logprobs` asked and the engine can tell."""
    failure: Failure | None = None


@dataclass(frozen=True)
class Continuation:
    """A prompt and the text (or token ids) whose likelihood after it is asked."""

    id: str
    prompt: Prompt
    continuation: str | tuple[int, ...]


@dataclass(frozen=True)
class LogLikelihood:
    """How likely a continuation is."""

    id: str
    logprob: float
    """Sum of natural-log probabilities over the continuation's tokens."""
    tokens: int
    greedy: bool
    """Whether greedy decoding would give exactly this continuation."""
    failure: Failure | None = None


class LoadedModel(Protocol):
    """A model in memory."""

    ref: ModelRef
    """With its fingerprint filled in."""
    chat_template: str | None
    """A hash of the chat template, part of every protocol fingerprint."""
    context: int
    """The longest prompt plus completion, in tokens."""

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Complete every request, yielding completions as they finish, in any order.

        Every request yields exactly `sampling.n` completions; a row that cannot be done (its
        prompt does not fit, say) yields them with a `failure`, and stops no other row.
        """
        ...

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score every continuation, yielding in any order."""
        ...

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens as `generate` would see them."""
        ...


@runtime_checkable
class Concurrent(Protocol):
    """What a loaded model adds that several threads may ask at once, and that gains by it.

    Rows of one call fill the room that the last, long rows of another leave.
    """

    concurrent: bool


@runtime_checkable
class Stoppable(Protocol):
    """What a loaded model adds whose rows may be long in coming."""

    def stop(self) -> None:
        """End, from another thread, what is asked now and whatever is asked after: both raise."""
        ...


@runtime_checkable
class Watched(Protocol):
    """What a run adds to the models it hands out: it counts what their verdicts come to."""

    def heard(self, verdict: Completion, outcome: Outcome, *, tied: bool) -> None:
        """A verdict of the model was read: with a value or as a failure, and perhaps as a tie.

        Raises:
            JudgeUnavailable: nothing that it says can be read, and it is given up.
        """
        ...


class Engine(Protocol):
    """Loads models. It knows nothing of tasks."""

    light: ClassVar[bool]
    """Whether its models take no memory worth speaking of, so that another may stay open beside."""

    def open(self, model: ModelRef) -> AbstractContextManager[LoadedModel]:
        """Load a model, and give its memory back on leaving the context.

        Raises:
            DataError: the location holds no model, or its tokenizer lacks what is needed.
        """
        ...


@dataclass(frozen=True)
class Workload:
    """Calls of one model on a server, with their tokens in total."""

    calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0

    def __add__(self, other: "Workload") -> "Workload":
        return Workload(
            self.calls + other.calls,
            self.input_tokens + other.input_tokens,
            self.output_tokens + other.output_tokens,
        )


@runtime_checkable
class Checked(Protocol):
    """What an engine adds that can tell before anything is measured that it will not do."""

    def check(self, model: ModelRef) -> None:
        """Find out, before M0 is measured, whether the model can be opened and asked at all.

        Raises:
            ConfigError: what the engine needs is not here, or does not go with the model.
            DataError: the location holds no model.
            JudgeUnavailable: no key, no such model, shut down, or not the one that was pinned.
        """
        ...


@runtime_checkable
class Elsewhere(Protocol):
    """What an engine adds whose models are opened in another environment, or on other machines."""

    def check_model(self, model: ModelRef) -> None:
        """Find out, before M0 is measured, what keeps a model from being opened wherever it is.

        Raises:
            ConfigError: the engine's options do not go with the model.
            DataError: the location holds no model, or none that the engine opens.
        """
        ...

    def packages(self) -> Mapping[str, str]:
        """Say which versions its results may depend on, once it was checked."""
        ...


@runtime_checkable
class Remote(Checked, Protocol):
    """What an engine adds whose models are on somebody's server: they cost, and may be gone."""

    def keep_books(self, folder: Path) -> None:
        """Keep the ledger of all calls, and the answers already paid for, in this folder."""
        ...

    def accept(self, model: ModelRef, request: Request) -> None:
        """Find out, without asking anybody, whether the model can be sampled like that.

        Raises:
            ConfigError: it cannot.
        """
        ...

    def cost(self, model: ModelRef, calls: Workload) -> str:
        """Say what calls will cost, as far as that is known: `$20.48 (prices of 2026-11-20)`."""
        ...


class Evaluation(Protocol):
    """A question set, and how its answers are marked.

    Both verbs keep their rows in the same log under keys of their own choosing, and ask only for
    rows the log does not hold: that is all there is to resuming. Where a judge is on a server, one
    model may be marked in one thread while the next one answers in another.
    """

    @property
    def needs_judge(self) -> bool:
        """Whether `mark` asks the judge; a run without one refuses such an evaluation early."""
        ...

    def answer(self, model: LoadedModel, log: RowLog) -> None:
        """Do all that needs the model."""
        ...

    def mark(
        self,
        model: ModelRef,
        log: RowLog,
        judge: LoadedModel,
        earlier: Sequence[EvalResult],
    ) -> EvalResult:
        """Do all that does not, and say how the model did.

        `judge` is the run's, where `needs_judge` says so; `harness.judge.hear` asks it.
        `earlier` holds this evaluation's results for the models before this one, oldest first.
        """
        ...


@runtime_checkable
class Inquirer(Protocol):
    """What an evaluation adds whose questions can be compared with what was trained on."""

    def question_texts(self) -> Mapping[str, str]:
        """Say what it asks, by item id; of a conversation, the first turn."""
        ...


@runtime_checkable
class Scorer(Protocol):
    """What an evaluation adds that can be computed from files alone, for `harness score`."""

    @staticmethod
    def score(files: Sequence[Path]) -> Sequence[EvalResult]:
        """Compute results from stored judgements in published formats, one a model.

        Raises:
            DataError: a file is not in a format that this evaluation reads.
        """
        ...


@runtime_checkable
class Publisher(Protocol):
    """What an evaluation adds whose results have a published format."""

    def publish(
        self, model: ModelRef, result: EvalResult, log: RowLog
    ) -> Iterator[tuple[str, str]]:
        """Write the result as its publishers do: names and contents of files."""
        ...


@dataclass(frozen=True)
class Workspace:
    """What a trainer is given to work with: no evaluation, and nothing an evaluation wrote."""

    folder: Path
    """This stage's own; it survives interruptions, and weights go under it."""
    engine: Engine
    seed: int
    lineage: tuple[ModelRef, ...]
    """Every model so far, oldest first, comparators included."""
    earlier: tuple[Path, ...] = ()
    """The folders of the training stages before this one, oldest first."""
    run: str = ""
    """What the run is called."""
    part: Callable[[str], AbstractContextManager[None]] = field(default=lambda name: nullcontext())
    """Name what is going on, so that progress is shown and its cost is accounted for."""
    progress: Callable[[str, int, int], None] = field(default=lambda what, done, total: None)
    """Say how far a part is that asks no model: what, done, total."""
    tied: Callable[[int], None] = field(default=lambda times: None)
    """Say, in a part, how many prompts teach nothing because their answers were judged alike."""
    beside: Callable[[Callable[[Iterator[list[Any]]], None]], Beside[Any]] = Beside
    """Do work in another thread, which is handed what is ready: see `harness.beside`."""
    release: Callable[[], None] = field(default=lambda: None)
    """Give back the memory of the engine's model, which stays loaded between uses: call it
    before training."""

    def log(self, name: str) -> RowLog:
        """Open one of the stage's row logs."""
        return RowLog(self.folder / f"{name}.jsonl")


@dataclass(frozen=True)
class Improvement:
    """What a trainer hands back."""

    model: ModelRef
    comparators: tuple[ModelRef, ...] = ()
    metrics: dict[str, JsonValue] = field(default_factory=dict)
    prompts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By set (`IFT`, `EFT`, `AIFT(M1)` ...), every prompt that it was trained on in this stage; of
    judgements, the instructions that they are about. Evaluations are compared with them."""


class Trainer(Protocol):
    """Makes a better model out of a model."""

    def check(self, model: ModelRef, seed: int, iterations: int) -> None:
        """Find out, before anything is measured, whether the run's trainings can begin.

        Raises:
            ConfigError: the model cannot be trained so many times.
            DataError: the data cannot be read, or the model cannot be trained on it.
        """
        ...

    def improve(self, model: ModelRef, iteration: int, workspace: Workspace) -> Improvement:
        """Train once and say where the new weights are. `iteration` counts from 1."""
        ...


@runtime_checkable
class Local(Protocol):
    """What a trainer adds that trains weights in folders of this machine, which no server has."""

    local: ClassVar[bool]


class Report(Protocol):
    """Shows a run to a reader."""

    def render(self, record: RunRecord, folder: Path) -> Path:
        """Write the run out, from the record alone; the same record gives the same bytes."""
        ...


@dataclass(frozen=True, eq=False)
class NamedRun:
    """A run beside others, by a name that none of them has."""

    name: str
    record: RunRecord


@runtime_checkable
class Comparer(Protocol):
    """What a report adds that can show runs beside each other, for `harness compare`.

    It is built without options there.
    """

    def compare(self, runs: Sequence[NamedRun], folder: Path) -> Path:
        """Write the runs out, from their records alone; the same records give the same bytes.

        Raises:
            ConfigError: two of them are the same run.
        """
        ...


@dataclass(frozen=True)
class Entry:
    """One model of a run, as it is to enter a leaderboard."""

    record: RunRecord
    model: ModelRef
    name: str
    """What the leaderboard shall call it."""
    published: Path
    """What its evaluations published, in a folder each."""


@dataclass(frozen=True)
class Rule:
    """One rule of a leaderboard, or point of its protocol, and how a bundle stands to it."""

    name: str
    state: Literal["ok", "differs", "broken", "unchecked"]
    """`differs`: allowed, but the figures are not comparable with the official ones. `broken`: the
    leaderboard, or its tools, would refuse it. `unchecked`: something is missing to tell."""
    detail: str = ""


@dataclass(frozen=True)
class Bundle:
    """What a leaderboard is sent."""

    files: Mapping[str, str]
    """Contents by their place in the bundle, `results/my-model/model_outputs.json`."""
    notes: tuple[str, ...] = ()
    """What stands between its figures and published ones, as the evaluations said."""


class Submission(Protocol):
    """Packs what was measured of a model as a leaderboard wants it."""

    target: ClassVar[str]
    """Where a bundle goes, and whether anybody there still takes it."""

    def write(self, entry: Entry) -> Bundle:
        """Make a bundle; the same entry gives the same bytes.

        Raises:
            HarnessError: the run did not measure what the leaderboard asks.
        """
        ...

    @staticmethod
    def recognises(folder: Path) -> bool:
        """Say by its layout whether a folder holds such a bundle, whoever wrote it."""
        ...

    @staticmethod
    def check(folder: Path) -> Sequence[Rule]:
        """Apply the leaderboard's rules to a bundle, whatever state its files are in."""
        ...


__all__ = [
    "Bundle",
    "Checked",
    "Comparer",
    "Completion",
    "Concurrent",
    "Continuation",
    "Elsewhere",
    "Engine",
    "Entry",
    "Evaluation",
    "Improvement",
    "Inquirer",
    "LoadedModel",
    "Local",
    "LogLikelihood",
    "Message",
    "NamedRun",
    "Prompt",
    "Publisher",
    "Remote",
    "Report",
    "Request",
    "Role",
    "RowLog",
    "Rule",
    "Sampling",
    "Scorer",
    "Step",
    "Stoppable",
    "Submission",
    "Trainer",
    "Watched",
    "Workload",
    "Workspace",
    "user",
]
