"""The run's judge, as an evaluation is given it: guarded, or refused where there is none.

    verdict 1 ... 49   unreadable: counted failures, as everywhere
    verdict 50         unreadable as well, and not one before it could be read: the run stops

A judge that never says anything readable would be asked, and paid, to the end for a table of
failures. Only the run's judge is guarded: of a measured model that judges, unreadable verdicts are
the result.
"""

from collections import Counter
from collections.abc import Iterable, Iterator

from harness.errors import JudgeUnavailable, PluginError
from harness.protocols import (
    Completion,
    Continuation,
    LoadedModel,
    LogLikelihood,
    Prompt,
    Request,
    Watched,
)
from harness.records import Failure, ModelRef, Outcome


class ExternalJudge:
    """The run's judge during one evaluation of one model."""

    def __init__(self, model: LoadedModel, most: int, purpose: str) -> None:
        """Guard a judge.

        Args:
            model: Who judges.
            most: How many verdicts may come in without a readable one.
            purpose: What it is asked for, `alpaca_eval of M0`.
        """
        self._model, self._most, self._purpose = model, most, purpose
        self._unreadable: Counter[str] = Counter()
        self._understood = False
        self.ref = model.ref
        self.chat_template = model.chat_template
        self.context = model.context

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Ask the judge; `harness.judge.hear` reads what it says, too."""
        return self._model.generate(requests)

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Score continuations."""
        return self._model.loglikelihood(requests)

    def count_tokens(self, prompt: Prompt) -> int:
        """Count the prompt's tokens as `generate` would see them."""
        return self._model.count_tokens(prompt)

    def heard(self, verdict: Completion, outcome: Outcome, *, tied: bool) -> None:
        """Take note of how a verdict was read.

        Raises:
            JudgeUnavailable: as many as may be were unreadable, and none was not.
        """
        if isinstance(self._model, Watched):
            self._model.heard(verdict, outcome, tied=tied)
        if not isinstance(outcome, Failure):
            self._understood = True
        if self._understood or not isinstance(outcome, Failure):
            return
        self._unreadable[outcome.reason] += 1
        if self._unreadable.total() >= self._most:
            causes = ", ".join(f"{n} {cause}" for cause, n in self._unreadable.most_common())
            said = " ".join((verdict.text or outcome.detail).split())[-80:]
            raise JudgeUnavailable(
                f"{self._purpose}: of {self._unreadable.total()} verdicts of {self.ref.known_as} "
                f"not one could be read ({causes}; the last: {said!r}); all are kept: have another "
                "judge mark the same answers in a new run (--answers-from), or raise `unreadable` "
                "of [judge.guards] and give the same command"
            )


class NoJudge:
    """Stands where a run has no judge, for evaluations that said they need none."""

    chat_template: str | None = None
    context = 0

    def __init__(self, purpose: str) -> None:
        self._purpose = purpose
        self.ref = ModelRef(name="no judge", location="none")

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Refuse.

        Raises:
            PluginError: always.
        """
        raise self._none()

    def loglikelihood(self, requests: Iterable[Continuation]) -> Iterator[LogLikelihood]:
        """Refuse.

        Raises:
            PluginError: always.
        """
        raise self._none()

    def count_tokens(self, prompt: Prompt) -> int:
        """Refuse.

        Raises:
            PluginError: always.
        """
        raise self._none()

    def _none(self) -> PluginError:
        return PluginError(
            f"{self._purpose} asks a judge, and the evaluation says that it needs none; its "
            "`needs_judge` must be true"
        )
