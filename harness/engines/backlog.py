"""Which rows a replica of a model is given, and when.

    calls of `generate`            replica 0: turn {a, b, c}       at most `window` completions
    a b c d e f | g h              replica 1: turn {d, e}
    calls are served in order      f, g, h wait

A turn is one time that a replica is asked. Its rows are drawn one by one while it lasts, so an
engine that lists its requests gets a chunk, and one that draws again as rows finish stays full.
Nobody is given more than an equal share of all that is unfinished: towards the end turns get
shorter, and no replica waits for another that took too much.

Rows that a replica was lost with may be why. They are asked again in smaller and smaller company,
in the end alone, so that the one that is fatal is found and the others are not blamed for it.

Nothing here is locked: `spreading` holds one lock over all of it.
"""

from collections import deque
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from math import ceil, isqrt
from queue import SimpleQueue

from harness.protocols import Completion, Continuation, LogLikelihood, Prompt, Request
from harness.records import Failure

LOSSES = 3
"""With how many replicas a row may be lost before it is given up."""

Asked = Request | Continuation
Made = Completion | LogLikelihood


@dataclass(eq=False)
class Row:
    """One request on its way."""

    call: "Call"
    asked: Asked
    made: list[Made] = field(default_factory=list)
    losses: int = 0
    """How many replicas were lost with it, and perhaps by it."""

    @property
    def weight(self) -> int:
        """How many completions it takes."""
        return self.asked.sampling.n if isinstance(self.asked, Request) else 1


@dataclass(eq=False)
class Call:
    """What somebody asked in one go, and waits for."""

    kind: type[Asked]
    waiting: deque[Row] = field(default_factory=deque)
    unfinished: int = 0
    """Completions that are still to come."""
    results: SimpleQueue[Sequence[Made] | Exception] = field(default_factory=SimpleQueue)
    """Whole rows, or the error that ends the call."""
    over: bool = False


@dataclass(eq=False)
class Turn:
    """One time that a replica is asked."""

    kind: type[Asked]
    losses: int
    """Of each of its rows."""
    rows: dict[str, Row] = field(default_factory=dict)
    """What was given and is unfinished, by id."""
    load: int = 0
    """How many completions that is."""
    over: bool = False


class Backlog:
    """All calls, with the rows that wait."""

    def __init__(self, window: int) -> None:
        self._window = window
        self._calls: list[Call] = []

    def call(self, kind: type[Asked], asked: Iterable[Asked], replicas: int) -> Call:
        """Queue up a call, longest prompts first; what is taken in one round is dealt like cards.

        So what one replica takes is as long, on the whole, as what the next one takes beside it.
        Rows with the same prompt stay side by side, so that it is read once.
        """
        made = Call(kind)
        rows = [Row(made, one) for one in asked]
        alike: dict[Prompt, list[Row]] = {}
        for row in rows:
            alike.setdefault(row.asked.prompt, []).append(row)
        for prompts in self._rounds(sorted(alike, key=_size, reverse=True), alike, replicas):
            for hand in range(replicas):
                for prompt in prompts[hand::replicas]:
                    made.waiting.extend(row for row in alike[prompt] if row.weight)
        made.unfinished = sum(row.weight for row in rows)
        self._calls.append(made)
        return made

    def _rounds(
        self, prompts: Iterable[Prompt], rows: Mapping[Prompt, Sequence[Row]], replicas: int
    ) -> Iterator[Sequence[Prompt]]:
        """Part prompts into as many as all replicas take together in one go."""
        taken: list[Prompt] = []
        room = self._window * replicas
        for prompt in prompts:
            taken.append(prompt)
            room -= sum(row.weight for row in rows[prompt])
            if room <= 0:
                yield taken
                taken, room = [], self._window * replicas
        yield taken

    @property
    def waits(self) -> bool:
        """Whether there is a row that nobody has."""
        return any(call.waiting for call in self._calls)

    def turn(self) -> Turn | None:
        """Begin a turn for what is next; None where nothing waits."""
        row = self._next(())
        return None if row is None else Turn(row.call.kind, row.losses)

    def draw(self, turn: Turn, replicas: int) -> Asked | None:
        """Give a turn its next row; None where there is nothing for it now.

        Args:
            turn: What the replica is at.
            replicas: How many there are by now to share the work.
        """
        row = None if turn.over else self._next(turn.rows)
        if row is None or (row.call.kind, row.losses) != (turn.kind, turn.losses):
            return None
        company = (self._window, isqrt(self._window), 1)[row.losses]
        share = ceil(sum(call.unfinished for call in self._calls) / replicas)
        if turn.load and turn.load + row.weight > min(company, share):
            return None
        row.call.waiting.popleft()
        turn.rows[row.asked.id] = row
        turn.load += row.weight
        return row.asked

    def finish(self, turn: Turn, made: Made) -> bool:
        """Take what came of a row; hand the row out once it is whole.

        Returns:
            Whether anybody waits for what is left of the turn.

        Raises:
            RuntimeError: nobody asked for that.
        """
        row = turn.rows.get(made.id)
        if row is None:
            raise RuntimeError(f"the engine answered {made.id!r}, which it was not asked")
        row.made.append(made)
        if len(row.made) == row.weight:
            del turn.rows[made.id]
            turn.load -= row.weight
            self._deliver(row, row.made)
        return not turn.rows or any(not row.call.over for row in turn.rows.values())

    def put_back(self, turn: Turn, suspect: Failure | None) -> None:
        """Queue the rows of a lost turn up again, ahead of all others of their calls.

        Args:
            turn: What the replica was at.
            suspect: What becomes of a row that has now been lost too often; None where the rows
                had nothing to do with it.
        """
        turn.over = True
        for row in reversed(turn.rows.values()):
            row.made.clear()
            row.losses += suspect is not None
            if suspect is None or row.losses < LOSSES:
                row.call.waiting.appendleft(row)
            else:
                self._deliver(row, _failed(row.asked, suspect))

    def fail(self, calls: Iterable[Call], error: Exception) -> None:
        """End calls by an error."""
        for call in list(calls):
            if not call.over:
                self.drop(call)
                call.results.put(error)

    def drop(self, call: Call) -> None:
        """Forget a call: none of its rows is begun any more."""
        call.over = True
        call.waiting.clear()
        if call in self._calls:
            self._calls.remove(call)

    @property
    def calls(self) -> Sequence[Call]:
        """The calls that somebody waits for."""
        return self._calls

    def _deliver(self, row: Row, made: Sequence[Made]) -> None:
        call = row.call
        call.unfinished -= row.weight
        call.results.put(made)
        if not call.unfinished:
            self.drop(call)

    def _next(self, given: Container[str]) -> Row | None:
        for call in self._calls:
            # Engines tell rows apart by their ids, of which two calls may have the same.
            if call.waiting and call.waiting[0].asked.id not in given:
                return call.waiting[0]
        return None


def _size(prompt: Prompt) -> int:
    """Estimate how long a prompt is, in characters, of which a token has about four."""
    if isinstance(prompt, str):
        return len(prompt)
    return sum(4 if isinstance(turn, int) else len(turn.content) for turn in prompt)


def _failed(asked: Asked, failure: Failure) -> Sequence[Made]:
    if isinstance(asked, Continuation):
        return [LogLikelihood(asked.id, float("nan"), 0, greedy=False, failure=failure)]
    return [
        Completion(asked.id, index, "", finish_reason="failed", failure=failure)
        for index in range(asked.sampling.n)
    ]
