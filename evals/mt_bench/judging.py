"""Ask the judge as often as wanted, and read what it said.

    verdict/81/1/5d0c1f0f6a1c8f0e/0   [{"text": "Vivid ... Rating: [[9]]", "outcome": {...}}]

The key holds the hash of all that the judge was shown: the same text is judged once, and with
another prompt, reference or answer it is another row. A repeat is a request of its own, with a seed
of its own, so that a judge at temperature 0 is really asked again.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from pydantic import JsonValue

from evals.mt_bench.answering import Answers
from evals.mt_bench.prompts import Asked, JudgePrompts
from evals.mt_bench.reading import Readers
from harness import verdicts
from harness.judge import read_verdict
from harness.protocols import Completion, LoadedModel, Request, Sampling
from harness.records import Outcome
from harness.rows import RowLog
from harness.verdicts import Reading


@dataclass(frozen=True)
class Panel:
    """A judge, what it is asked, how often, and how it is read."""

    judge: LoadedModel
    prompts: JudgePrompts
    readers: Readers
    repeats: int
    max_tokens: int

    @property
    def sampling(self) -> Sampling:
        """Greedy, as FastChat has it."""
        return Sampling(temperature=0, max_tokens=self.max_tokens)

    @property
    def fingerprint(self) -> str:
        """Model, prompts, sampling and reading: judges that differ in any are different judges."""
        ref = self.judge.ref
        return (
            f"{ref.name}:{ref.fingerprint or ref.location} {self.prompts.fingerprint} "
            f"{self.sampling.fingerprint} repeats={self.repeats} {self.readers.rule}"
        )

    @property
    def known_as(self) -> str:
        """The model, the prompts and the sampling, for a reader."""
        parts = (self.judge.ref.known_as, self.prompts.fingerprint, self.sampling.fingerprint)
        return ", ".join(parts)

    def ask(self, wanted: Iterable[tuple[str, Asked]], log: RowLog) -> None:
        """Have everything judged, by item, that the log holds no verdict on."""
        owed: dict[str, Asked] = {}
        requests = []
        for item, asked in wanted:
            for repeat in range(self.repeats):
                key = _key(item, asked, repeat)
                if key in log or key in owed:
                    continue
                owed[key] = asked
                requests.append(Request(key, asked.prompt, replace(self.sampling, seed=repeat)))
        for completion in self.judge.generate(requests):
            outcome = self._read(completion, owed[completion.id])
            reading = Reading(text=completion.text, outcome=outcome)
            log.append(completion.id, [reading.model_dump(mode="json")])

    def _read(self, completion: Completion, asked: Asked) -> Outcome:
        read = self.readers.choice if asked.is_pair else self.readers.rating
        if self.readers.cut_off_counts and completion.failure is None:
            return read(completion.text)
        return read_verdict(completion, read)

    def said(self, item: str, asked: Asked, log: RowLog) -> tuple[Reading, ...]:
        """Read what was said about an item, in the order of the repeats."""
        keys = [_key(item, asked, repeat) for repeat in range(self.repeats)]
        return tuple(verdicts.read(key, log)[0] for key in keys)


def _key(item: str, asked: Asked, repeat: int) -> str:
    return f"verdict/{item}/{asked.fingerprint}/{repeat}"


def conversation(answers: Answers, turn: int) -> dict[str, JsonValue]:
    """Lay both turns out for an item's details."""
    return {
        "prompt": answers.question.turns[turn - 1],
        "turns": list(answers.question.turns),
        "answers": [None if one.failure else one.text for one in answers.turns],
        "tokens": answers.turns[turn - 1].tokens,
        "truncated": answers.turns[turn - 1].truncated,
    }
