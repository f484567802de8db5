"""Scripted models that are interrupted, and the small rows that tests are fed with."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from harness.engines.scripted import LoadedScript, Scripted
from harness.protocols import Completion, Request, Workspace
from harness.records import Failure, ModelRef, Outcome, Score
from training.self_rewarding.pairs import Candidate, Judged


class Dying:
    """A scripted model that answers in another order than asked, and dies after so many rows."""

    def __init__(self, model: LoadedScript, rows: int) -> None:
        self.ref, self.chat_template, self.context = model.ref, model.chat_template, model.context
        self.count_tokens, self.loglikelihood = model.count_tokens, model.loglikelihood
        self.answered: list[str] = []
        self._model, self._rows = model, rows

    def generate(self, requests: Iterable[Request]) -> Iterator[Completion]:
        """Answer from the script, the last request first."""
        for completion in self._model.generate(reversed(list(requests))):
            if len(self.answered) == self._rows:
                raise KeyboardInterrupt
            self.answered.append(completion.id)
            yield completion


@contextmanager
def script(
    reply: Callable[[Request, int], str], rows: int = 10**6, **config: object
) -> Iterator[Dying]:
    """Open a model that says what a function says."""
    engine = Scripted(Scripted.Config(**config), lambda ref, request, index: reply(request, index))
    with engine.open(ModelRef(name="M1", location="any")) as model:
        yield Dying(model, rows)


class Recorded:
    """An engine that remembers which models were opened."""

    def __init__(self, engine: object) -> None:
        self._engine = engine
        self.opened: list[str] = []

    def open(self, model: ModelRef):
        self.opened.append(model.name)
        return self._engine.open(model)


def workspace(
    folder: Path,
    engine: object,
    *models: ModelRef,
    earlier: Sequence[Path] = (),
    seed: int = 0,
) -> Workspace:
    """A stage's workspace."""
    return Workspace(folder, engine, seed, lineage=models, earlier=tuple(earlier))


def candidate(text: str, ended: bool = True, failed: bool = False) -> Candidate:
    """An answer whose tokens are its bytes, and 256 at the end."""
    return Candidate(
        text=text,
        token_ids=(*text.encode(), *((256,) if ended else ())),
        prompt_ids=(1, 2, 3),
        ended=ended,
        failure=Failure(reason="prompt_too_long") if failed else None,
    )


def outcome(points: float | None) -> Outcome:
    """A verdict; None is one that cannot be read."""
    return Failure(reason="no_score") if points is None else Score(value=points)


def judged(text: str, *points: float | None, ended: bool = True) -> Judged:
    """A candidate with its verdicts."""
    return Judged(candidate(text, ended), tuple(map(outcome, points)))
