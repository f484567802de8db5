"""New prompts: written by a model that is shown a few, or drawn from a file.

    Task 1: Name three rivers.           <- 6 human seeds and 2 prompts of its own, shuffled
    ...
    Task 9:                              -> " Why does bread rise?"

Every completion is kept in a row log under the number of its round and request. What is accepted
is decided anew from the log, in that order, so that an interrupted run goes on as if nothing had
happened.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random
from typing import Literal

from pydantic import Field, JsonValue, model_validator

from harness.data.overlap import key
from harness.errors import ConfigError, DataError
from harness.protocols import Completion, LoadedModel, Prompt, Request, RowLog, Sampling, user
from harness.records import ModelRef, Record
from training.self_rewarding.filters import Filters, Pool, cut, objection

Progress = Callable[[str, int, int], None]
IsHeldOut = Callable[[str], bool]
_PLACEHOLDER = re.compile(r"\{(number|task)\}")


class Proposing(Record):
    """Where new prompts come from, and how they are written."""

    wanted: int = Field(default=1000, ge=1)
    """Prompts per iteration. The paper does not say how many."""
    file: str | None = None
    """Draw them from this data source instead of having them written."""
    model: ModelRef | None = None
    """The model that writes them in every iteration (the paper: Llama 2-Chat 70B); M_t if none."""
    demonstrations: int = Field(default=8, ge=0)
    """How many prompts are shown. With 0 the template alone is continued."""
    generated: int = Field(default=2, ge=0)
    """How many of these are generated ones, as soon as there are any."""
    template: str = "self_instruct"
    """A built-in template, or a file of your own. Its line with {task} is repeated for each
    prompt shown; {number} counts."""
    separator: str = "\n"
    """What the lines of the template are joined with."""
    chat: bool = False
    """Whether the template is a user turn, or plain text to go on with."""
    temperature: float = Field(default=0.6, ge=0)
    top_p: float = Field(default=0.9, gt=0, le=1)
    max_tokens: int = Field(default=256, ge=1)
    stop: tuple[str, ...] = ("\nTask ",)
    """Where the next prompt would begin."""
    requests: int = Field(default=64, ge=1)
    """Per round; the prompts of a round are shown from the next on."""
    most_rounds: int = Field(default=500, ge=1)
    patience: int = Field(default=3, ge=1)
    """Give up after so many rounds in a row without a prompt that is kept."""
    apart_from: Literal["run", "round"] = "run"
    """What a new prompt must differ from: every seed and earlier prompt of the run, or only the
    prompts of the same iteration, where there are too few to go round."""
    filters: Filters = Filters()

    @model_validator(mode="after")
    def _consistent(self) -> "Proposing":
        if self.file is not None and self.model is not None:
            raise ValueError("prompts come from a file or from a model: name one of them")
        if self.generated > self.demonstrations:
            raise ValueError("generated prompts are part of the demonstrations: at most as many")
        return self


@dataclass(frozen=True)
class Proposals:
    """New prompts, each once, and how they came about."""

    prompts: tuple[str, ...]
    metrics: dict[str, JsonValue]


@dataclass(frozen=True)
class Template:
    """The text around the prompts that are shown."""

    text: str
    separator: str

    @property
    def fingerprint(self) -> str:
        """Names the exact text in the results that depend on it."""
        return hashlib.sha256(f"{self.text}{self.separator}".encode()).hexdigest()[:12]

    def render(self, tasks: Sequence[str]) -> str:
        """Show the tasks; a line with {task} is repeated for each, every other line stands once."""
        number = 1
        lines = []
        for line in self.text.split("\n"):
            repeated = "{task}" in line
            for task in tasks if repeated else ("",):
                lines.append(_fill(line, {"number": str(number), "task": " ".join(task.split())}))
                number += repeated
        return self.separator.join(lines)


def _fill(line: str, values: Mapping[str, str]) -> str:
    """Fill the placeholders in one pass, so that braces in a task are only text."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], line)


def load_template(name_or_file: str, separator: str = "\n") -> Template:
    """Load a template: a built-in name, or a file of the user's own.

    Raises:
        ConfigError: there is none, or it has not exactly one line with {task}.
    """
    folder = resources.files("training.self_rewarding") / "templates"
    builtin = folder / f"{name_or_file}.txt"
    source = builtin if builtin.is_file() else Path(name_or_file)
    try:
        text = source.read_text(encoding="utf-8").rstrip("\n")
    except (OSError, UnicodeDecodeError) as error:
        names = sorted(file.name.removesuffix(".txt") for file in folder.iterdir())
        raise ConfigError(
            f"template {name_or_file!r} is neither a readable file nor one of {', '.join(names)}"
        ) from error
    if sum("{task}" in line for line in text.split("\n")) != 1:
        raise ConfigError(
            f"template {name_or_file!r} must have one line with {{task}}, which is repeated for "
            "each prompt shown, and end where the new one begins"
        )
    return Template(text, separator)


def propose(
    model: LoadedModel,
    seeds: Sequence[str],
    settings: Proposing,
    log: RowLog,
    seed: int,
    earlier: Sequence[str] = (),
    held_out: IsHeldOut = lambda prompt: False,
    progress: Progress = lambda what, done, total: None,
) -> Proposals:
    """Have a model write prompts until as many as wanted are kept, or no more can be had.

    Args:
        model: Who writes.
        seeds: Human prompts to show; those that the filters would drop are not shown.
        settings: How many are wanted, and how they are written and filtered.
        log: Where the completions are kept; those it has are not asked for again.
        seed: Decides which prompts are shown, and the sampling.
        earlier: Prompts of earlier iterations, which are not to come again.
        held_out: Tells the prompts that evaluations may ask, which are not to come at all.
        progress: Told how many prompts there are after every round.

    Returns:
        Fewer prompts than wanted if `metrics["stopped"]` is not `enough`. Every request is
        accounted for: `requested == accepted + sum(rejected.values())`.

    Raises:
        DataError: too few seeds to show, or not one completion could be used.
    """
    shown = [prompt for prompt in seeds if objection(prompt, settings.filters) is None]
    if len(shown) < settings.demonstrations:
        raise DataError(
            f"{settings.demonstrations} prompts are to be shown, but only {len(shown)} of "
            f"{len(seeds)} seeds pass the filters; give more seeds or show fewer"
        )
    template = load_template(settings.template, settings.separator)
    known = [*seeds, *earlier] if settings.apart_from == "run" else []
    kept = _Kept(settings, Pool(known), held_out)
    wanted, rounds, barren = settings.wanted, 0, 0
    progress("prompts", 0, wanted)
    while len(kept.prompts) < wanted and rounds < settings.most_rounds:
        requests = [
            request(f"{rounds:04d}/{index:03d}", template, shown, kept.prompts, settings, seed)
            for index in range(settings.requests)
        ]
        _complete(model, requests, log)
        before = len(kept.prompts)
        for asked in requests:
            kept.consider(log[asked.id])
        rounds += 1
        progress("prompts", len(kept.prompts), wanted)
        barren = 0 if len(kept.prompts) > before else barren + 1
        if barren == settings.patience:
            break
    if not kept.prompts:
        causes = ", ".join(f"{reason} {count}" for reason, count in kept.rejected.most_common())
        raise DataError(
            f"{model.ref.name} wrote no prompt that can be used in {rounds * settings.requests} "
            f"attempts ({causes}); show other seeds, loosen the filters or draw prompts from a file"
        )
    stopped = (
        "enough"
        if len(kept.prompts) == wanted
        else "no_progress"
        if barren == settings.patience
        else "most_rounds"
    )
    return Proposals(
        tuple(kept.prompts),
        {
            "wanted": wanted,
            "requested": rounds * settings.requests,
            "accepted": len(kept.prompts),
            "rejected": dict(sorted(kept.rejected.items())),
            "rounds": rounds,
            "stopped": stopped,
        },
    )


def draw(
    prompts: Sequence[str],
    wanted: int,
    seed: int,
    earlier: Sequence[str] = (),
    held_out: IsHeldOut = lambda prompt: False,
) -> Proposals:
    """Draw prompts from a given list: none of an earlier iteration, held out, or twice.

    With the same seed in every iteration, the iterations go through one shuffled list.

    Raises:
        DataError: no prompt is left.
    """
    order = list(prompts)
    Random(seed).shuffle(order)
    used = {key(prompt) for prompt in earlier}
    rejected: Counter[str] = Counter()
    left: dict[str, str] = {}
    for prompt in order:
        if key(prompt) in used:
            rejected["earlier"] += 1
        elif key(prompt) in left:
            rejected["duplicate"] += 1
        elif held_out(prompt):
            rejected["held_out"] += 1
        else:
            left[key(prompt)] = prompt
    if not left:
        causes = ", ".join(f"{reason} {count}" for reason, count in rejected.most_common())
        raise DataError(
            f"none of the {len(prompts)} given prompts is left ({causes}); "
            "name a larger source or ask for fewer prompts per iteration"
        )
    drawn = tuple(left.values())[:wanted]
    rejected["surplus"] = len(left) - len(drawn)
    return Proposals(
        drawn,
        {
            "wanted": wanted,
            "given": len(prompts),
            "accepted": len(drawn),
            "rejected": dict(sorted((+rejected).items())),
            "stopped": "enough" if len(drawn) == wanted else "exhausted",
        },
    )


class _Kept:
    """The prompts accepted so far, and the reasons why others were not."""

    def __init__(self, settings: Proposing, pool: Pool, held_out: IsHeldOut) -> None:
        self.prompts: list[str] = []
        self.rejected: Counter[str] = Counter()
        self._wanted = settings.wanted
        self._filters = settings.filters
        self._pool = pool
        self._held_out = held_out

    def consider(self, row: Mapping[str, str | None]) -> None:
        """Accept the prompt of a row of the log, or count why not."""
        text = row["text"] or ""
        prompt = cut(text)
        unfinished = row["finish_reason"] == "length" and text.rstrip().endswith(prompt)
        reason = row["failure"] or ("truncated" if unfinished else self._objection(prompt))
        if reason is not None:
            self.rejected[reason] += 1
        else:
            self.prompts.append(prompt)
            self._pool.add(prompt)

    def _objection(self, prompt: str) -> str | None:
        reason = objection(prompt, self._filters)
        if reason is None and self._held_out(prompt):
            reason = "held_out"
        if reason is None:
            reason = self._pool.objection(prompt, self._filters.similarity)
        if reason is None and len(self.prompts) == self._wanted:
            reason = "surplus"
        return reason


def request(
    id: str,
    template: Template,
    seeds: Sequence[str],
    generated: Sequence[str],
    settings: Proposing,
    seed: int,
) -> Request:
    """Ask for one prompt, showing others that its id and the seed decide."""
    rng = Random(f"{seed}/{id}")
    own = rng.sample(generated, min(settings.generated, len(generated)))
    tasks = [*own, *rng.sample(seeds, settings.demonstrations - len(own))]
    rng.shuffle(tasks)
    text = template.render(tasks)
    prompt: Prompt = user(text) if settings.chat else text
    sampling = Sampling(
        temperature=settings.temperature,
        top_p=settings.top_p,
        max_tokens=settings.max_tokens,
        stop=settings.stop,
        seed=seed,
    )
    return Request(id=id, prompt=prompt, sampling=sampling)


def _complete(model: LoadedModel, requests: Sequence[Request], log: RowLog) -> None:
    """Ask for what the log does not have."""
    missing = [asked for asked in requests if asked.id not in log]
    if not missing:
        return
    for completion in model.generate(missing):
        log.append(completion.id, _row(completion))


def _row(completion: Completion) -> dict[str, str | None]:
    return {
        "text": completion.text,
        "finish_reason": completion.finish_reason,
        "failure": completion.failure.reason if completion.failure else None,
    }
