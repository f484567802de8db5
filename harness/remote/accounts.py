"""The accounts of a model on a server: what was answered, what it cost, what may still be spent.

    <books>/ledger.jsonl      every attempt: see `ledger`
    <books>/answers.sqlite    every whole answer: see `answers`

Whoever asks the server, call by call or in batches, reserves what a call can cost before it is
made, and settles it afterwards. All engines of a run share its books, so that a cap on the cost is
one of the whole run, also where several of them call at once.
"""

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from threading import Lock
from weakref import WeakValueDictionary

from harness.engines.openai import OpenAI
from harness.errors import ConfigError, JudgeUnavailable
from harness.records import ModelRef
from harness.remote import prices
from harness.remote.answers import Answer, Answers
from harness.remote.calls import Call, Target
from harness.remote.ledger import LEDGER, PART, Entry, Ledger, first_served
from harness.remote.prices import Price
from harness.remote.replies import Heard, Reply, read

ANSWERS = "answers.sqlite"


class LogprobsRefused(JudgeUnavailable):
    """The server answers no call that asks for log-probabilities."""


def find(model: ModelRef, config: OpenAI.Config, host: str, books: Path | None) -> "Accounts":
    """Open the books of a model on a server or a pool; without a folder they are kept in memory.

    Raises:
        ConfigError: a cap on the cost was set, and what a call costs is not known.
        StoreError: the books cannot be read or written.
    """
    price, most = prices.find(model.location, config.prices), config.guards.max_usd
    if most is not None and price is None:
        raise ConfigError(
            f"max_usd = {most:g} cannot be kept: nobody knows what {model.location} costs; give "
            f"its price in a file of your own (`prices`, or {prices.OVERRIDE}), or leave max_usd "
            "out"
        )
    return Accounts(
        target=Target(host, model.location, model.revision, config.reasoning_effort),
        books=books,
        answers=config.answers,
        price=price,
        dated=prices.dated(config.prices),
        most=most,
    )


@dataclass(eq=False)
class Purse:
    """What has been spent from the same books, and what this process has set aside, in dollars."""

    lock: Lock = field(default_factory=Lock)
    """To be held by whoever reads or changes it, and while the ledger gets its line."""
    batches: Lock = field(default_factory=Lock)
    """To be held by whoever sends batches: they are remembered in one file."""
    spent: float = 0.0
    reserved: dict["Accounts", float] = field(default_factory=dict)

    @property
    def taken(self) -> float:
        """What is not to be had any more, or perhaps not."""
        return self.spent + sum(self.reserved.values())


_PURSES: WeakValueDictionary[Path, Purse] = WeakValueDictionary()
"""By folder: models of one run are asked by several threads."""
_PURSES_LOCK = Lock()
_NOTHING = 1e-9  # dollars; what sums of floats may leave


def _purse(books: Path | None) -> Purse:
    """Find the purse that goes with a folder of books; without one, a new one."""
    if books is None:
        return Purse()
    with _PURSES_LOCK:
        return _PURSES.setdefault(books.absolute(), Purse())


class Accounts:
    """The books of one opened model."""

    def __init__(
        self,
        target: Target,
        books: Path | None,
        answers: Path | None,
        price: Price | None,
        dated: date,
        most: float | None,
    ) -> None:
        """Open the books.

        Args:
            target: Which model is asked where.
            books: The folder of the books; None keeps them in memory.
            answers: A file with answers that is shared with other runs.
            price: What the model costs, where that is known.
            dated: The day of the price.
            most: The most that may be spent, in dollars.

        Raises:
            StoreError: the books cannot be read or written.
        """
        self.target, self.price, self._dated, self.most = target, price, dated, most
        self._ledger = Ledger(books / LEDGER if books else None)
        self._answers = Answers(answers or (books / ANSWERS if books else None))
        self.purse = _purse(books)
        with self.purse.lock:
            self.purse.reserved[self] = 0.0
        earlier = self._take_up()
        self.served = target.pinned or first_served(earlier, target.host, target.model)
        """The model that answers, by its own name; None before it has."""

    @property
    def spent(self) -> float:
        """What the run has cost so far, in dollars: at the most, where it is not known exactly."""
        return self.purse.spent

    @property
    def others_call(self) -> bool:
        """Whether others have set something aside that they may not need."""
        with self.purse.lock:
            return self.purse.taken - self.purse.spent - self.purse.reserved[self] > _NOTHING

    def refresh(self) -> None:
        """Take up what other processes have spent from the same books, where that matters."""
        if self.most is not None:
            self._take_up()

    def _take_up(self) -> list[Entry]:
        with self.purse.lock:
            if entries := self._ledger.entries():
                self.purse.spent = sum(entry.charged for entry in entries)
        return entries

    def known(self, call: Call) -> Answer | None:
        """Find the answer to a call that was made before."""
        return self._answers.get(call.key, self.served)

    def most_cost(self, call: Call, batch: bool = False) -> float | None:
        """Bound what a call can cost, in dollars; None where the price is unknown."""
        if self.price is None:
            return None
        return self.price.dollars(call.most_input_tokens, call.most_output_tokens, batch=batch)

    def reserve(self, call: Call, batch: bool = False) -> bool:
        """Set aside what a call can cost; say whether there is enough."""
        cost, purse = self.most_cost(call, batch) or 0.0, self.purse
        with purse.lock:
            if self.most is not None and purse.taken + cost > self.most:
                return False
            purse.reserved[self] += cost
        return True

    def settle(self, call: Call, attempt: int, heard: Heard, batch: bool = False) -> Reply:
        """Read what came back of a call that was reserved, and write it down: answer and cost."""
        bound = self.most_cost(call, batch)
        with self.purse.lock:
            self.purse.reserved[self] -= bound or 0.0
        reply = self._checked(read(heard, call.scored[0] if call.scored else None))
        try:
            if reply.answer is not None and _whole(call, reply):
                self._answers.put(call.key, reply.answer)
        finally:  # what an answer cost is entered even where there is no room for the answer
            self._enter(call.key, attempt, heard, reply, bound, batch)
        return reply

    def affords(self, call: Call) -> bool:
        """Whether enough is left for a call, whatever it comes to."""
        cost, purse = self.most_cost(call) or 0.0, self.purse
        with purse.lock:
            return self.most is None or (
                purse.spent < self.most and purse.taken + cost <= self.most
            )

    def take_up(self, call: Call, heard: Heard) -> None:
        """Write down a call of the check: its cost, not its answer, which is to no row."""
        self._enter(call.key, 1, heard, read(heard), self.most_cost(call), batch=False)

    def _enter(
        self,
        key: str,
        attempt: int,
        heard: Heard,
        reply: Reply,
        bound: float | None,
        batch: bool,
    ) -> None:
        free = not heard.sent or (heard.http is not None and heard.http >= 400)
        entry = Entry(
            time=datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            call=key,
            host=self.target.host,
            model=self.target.model,
            served=reply.served,
            system_fingerprint=reply.system_fingerprint,
            service_tier=reply.service_tier,
            version=heard.version,
            status=reply.status,
            http=heard.http,
            attempt=attempt,
            part=PART.get(),
            seconds=round(heard.seconds, 4),
            input_tokens=reply.usage.input_tokens,
            output_tokens=reply.usage.output_tokens,
            cached_tokens=reply.usage.cached_tokens,
            reasoning_tokens=reply.usage.reasoning_tokens,
            dollars=self._dollars(reply, batch),
            at_most=0.0 if free else bound,
            prices=self._dated if self.price else None,
            batch=batch,
        )
        with self.purse.lock:
            self.purse.spent += entry.charged
            self._ledger.append(entry)

    def _dollars(self, reply: Reply, batch: bool) -> float | None:
        usage = reply.usage
        if self.price is None or usage.input_tokens is None or usage.output_tokens is None:
            return None
        return self.price.dollars(
            usage.input_tokens, usage.output_tokens, usage.cached_tokens or 0, batch
        )

    def _checked(self, reply: Reply) -> Reply:
        """See to it that one and the same model answers, all the run through."""
        if reply.answer is None:
            return reply
        if self.served is None:
            self.served = reply.served
        if reply.served == self.served:
            return reply
        return Reply(
            "wrong_model",
            detail=f"{reply.served or 'a model without a name'} answered",
            served=reply.served,
            system_fingerprint=reply.system_fingerprint,
            service_tier=reply.service_tier,
            usage=reply.usage,
        )

    def no_logprobs(self, reply: Reply) -> "LogprobsRefused":
        """Say that the server refuses whatever asks for log-probabilities."""
        return LogprobsRefused(
            f"{self.target.host} refuses the log-probabilities that are asked of "
            f"{self.target.model} ({reply.detail}); every answer is kept: ask a server that gives "
            "them, or one that gives none at all"
        )

    def wrong(self, reply: Reply) -> JudgeUnavailable:
        """Say that another model answered than the one that was asked for."""
        if self.target.pinned:
            return JudgeUnavailable(
                f"{self.target.model} is pinned to {self.served}, but {reply.detail} at "
                f"{self.target.host}; what it said is not counted: ask for {self.served} itself, "
                "or pin the other one in a new run"
            )
        return JudgeUnavailable(
            f"{self.target.model} was {self.served} so far, but {reply.detail} at "
            f"{self.target.host}; judges are not mixed: ask for {self.served} by its own name in "
            "a new run, or wait until it is back and give the same command"
        )

    def close(self) -> None:
        """Close the books; nothing is set aside any more."""
        with self.purse.lock:
            self.purse.reserved.pop(self, None)
        self._answers.close()
        self._ledger.close()


def _whole(call: Call, reply: Reply) -> bool:
    """Whether an answer is all there is: one that is asked for as one token cannot be cut off."""
    one_token = bool(call.rows) and all(one.sampling.max_tokens == 1 for one, _ in call.rows)
    return reply.status == "ok" or (reply.status == "truncated" and one_token)
