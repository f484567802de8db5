"""Ask a judge as the `alpaca_eval` package's annotators do, through our own models.

    annotator       weighted_alpaca_eval_gpt4_turbo: its prompt, temperature 1, one token, top 5
    swap            one draw an instruction: was the model's output shown first?
    verdict/<id>    {"swapped": true, "text": "m", "finish_reason": "length", "failure": null,
                     "steps": [["m", [["m", -0.02], ["M", -4.1], ...]]]}

Where the prompt asks for `m` or `M`, the preference is read from the probabilities of the two at
the first token, or from the text where the judge gives none. Messages are built turn by turn, so
that no output can end a turn or fill a placeholder, as it can in the package.
"""

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from random import Random
from typing import Any, Literal

from pydantic import JsonValue

from harness.errors import ConfigError
from harness.judge import ALPACA_EVAL, Rubric, pairwise
from harness.protocols import LoadedModel, Request, Sampling, Step
from harness.reading import identifier_probability, read_identifier
from harness.records import Failure, Outcome, Record, Score
from harness.rows import RowLog

ANNOTATOR_SEED = 0
"""The package's."""
UNLIKELY = -9999.0
"""What APIs write for the logarithm of a probability that is next to nothing."""


@dataclass(frozen=True)
class Annotator:
    """What a judge is told, how it is sampled and how its verdict is read."""

    name: str
    rubric: Rubric
    sampling: Sampling
    binary: bool = False
    """Whether only the likelier identifier counts, not how likely it is."""
    model: str | None = None
    """The model that the configuration names: the one of its published figures."""

    def read(self, verdict: "Verdict") -> Outcome:
        """Read how likely the output shown first is the better one."""
        if verdict.failure is not None:
            return verdict.failure
        cut = verdict.finish_reason == "length"
        truncated = Failure.unread("truncated", verdict.text)
        if self.rubric.read is not read_identifier:
            return truncated if cut else self.rubric.read(verdict.text)
        if not verdict.steps:
            said = read_identifier(verdict.text)
            # One token is all that is asked for; of more, the verdict may not have come yet.
            unread = isinstance(said, Failure) and cut and self.sampling.max_tokens > 1
            return truncated if unread else said
        first = identifier_probability(verdict.steps)
        if self.binary and isinstance(first, Score):
            return Score(value=float(first.value > 0.5))
        return first


class Verdict(Record):
    """What the judge wrote about one pair of outputs."""

    swapped: bool
    """Whether the model's output was shown first."""
    text: str
    finish_reason: Literal["stop", "length", "failed"]
    steps: tuple[Step, ...] | None
    """The first token, with the likeliest ones there; None where the judge does not tell."""
    failure: Failure | None

    @property
    def raw_completion(self) -> dict[str, JsonValue]:
        """Write it down as the package stores what the API gave."""
        content: list[JsonValue] = [
            {
                **_token(step.token, dict(step.alternatives).get(step.token, UNLIKELY)),
                "top_logprobs": [_token(*one) for one in step.alternatives],
            }
            for step in self.steps or ()
        ]
        return {
            "finish_reason": self.finish_reason,
            "index": 0,
            "logprobs": {"content": content} if content else None,
            "message": {"content": self.text, "role": "assistant"},
            "text": self.text,
        }


def _token(token: str, logprob: float) -> dict[str, JsonValue]:
    return {
        "token": token,
        "bytes": list(token.encode("utf-8", "replace")),
        "logprob": max(logprob, UNLIKELY),
    }


@dataclass(frozen=True)
class Pair:
    """Two different outputs to one instruction."""

    id: str
    instruction: str
    reference: str
    output: str

    @property
    def key(self) -> str:
        """Where its verdict stands in the row log."""
        return f"verdict/{self.id}"

    @property
    def swapped(self) -> bool:
        """Draw whether the model's output is shown first: the same for every model and judge.

        `alpaca_eval.processors.RandomSwitchTwoColumnsProcessor`, with the annotators' seed.
        """
        key = f"is_switched_outputs{self.instruction}{ANNOTATOR_SEED}"
        return Random(key).choices([False, True])[0]

    @property
    def shown(self) -> Mapping[str, str]:
        """Lay the outputs out for the prompt."""
        first, second = self.reference, self.output
        if self.swapped:
            first, second = second, first
        return {"instruction": self.instruction, "output_1": first, "output_2": second}


def ask(judge: LoadedModel, annotator: Annotator, pairs: Iterable[Pair], log: RowLog) -> None:
    """Have the judge compare the pairs that the log holds no verdict on."""
    missing = {pair.key: pair for pair in pairs if pair.key not in log}
    requests = [
        Request(key, annotator.rubric.prompt(pair.shown), annotator.sampling)
        for key, pair in missing.items()
    ]
    for completion in judge.generate(requests):
        verdict = Verdict(
            swapped=missing[completion.id].swapped,
            text=completion.text,
            finish_reason=completion.finish_reason,
            steps=completion.steps and completion.steps[:1],
            failure=completion.failure,
        )
        log.append(completion.id, verdict.model_dump(mode="json"))


def preference(annotator: Annotator, verdict: Verdict) -> Outcome:
    """Read a verdict as AlpacaEval writes it: from 1 (the reference's is better) to 2."""
    first = annotator.read(verdict)
    if isinstance(first, Failure):
        return first
    return Score(value=1 + first.value if verdict.swapped else 2 - first.value)


def from_rubric(name_or_file: str, max_tokens: int) -> Annotator:
    """Make an annotator of a pairwise rubric, asked greedily.

    Raises:
        ConfigError: there is no such rubric, or it has other placeholders.
    """
    rubric = pairwise(name_or_file)
    steps = 5 if rubric.read is read_identifier else 0
    sampling = Sampling(temperature=0, max_tokens=max_tokens, top_logprobs=steps)
    return Annotator(rubric.name, rubric, sampling)


def from_package(name: str, max_tokens: int | None = None) -> Annotator:
    """Make an annotator of a configuration of the package.

    Args:
        name: E.g. `weighted_alpaca_eval_gpt4_turbo`.
        max_tokens: In place of the configuration's, for judges that write more than the verdict.

    Raises:
        ConfigError: there is no such configuration, or it asks for what is not done here.
    """
    options = _configuration(name)
    asked = options["completions_kwargs"]
    try:
        rubric = pairwise(f"{ALPACA_EVAL}{options['prompt_template']}")
    except ConfigError as error:
        raise ConfigError(
            f"annotator {name!r} has a prompt that is not read here: {error}"
        ) from error
    sampling = Sampling(
        temperature=asked["temperature"],
        max_tokens=max_tokens or asked["max_tokens"],
        top_logprobs=asked.get("top_logprobs", 0),
    )
    parsing = options.get("completion_parser_kwargs", {})
    return Annotator(name, rubric, sampling, parsing.get("is_binarize", False), asked["model_name"])


_PARSERS: dict[object, dict[str, Any]] = {
    "logprob_parser": {"numerator_token": "m", "denominator_tokens": ["m", "M"]},
    "ranking_parser": {},
}
"""The package's parsers that there is a reading for, with the options it implies."""


def _configuration(name: str) -> dict[str, Any]:
    folder = _configurations()
    there = {path.parent.name for path in folder.glob("*/configs.yaml")}
    if name not in there:
        close = get_close_matches(name, sorted(there), n=1)
        hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(sorted(there))}"
        raise ConfigError(f"alpaca_eval has no annotator {name!r}; {hint}")
    text = (folder / name / "configs.yaml").read_text(encoding="utf-8")
    annotators: dict[str, dict[str, Any]] = importlib.import_module("yaml").safe_load(text)
    if list(annotators) != [name]:
        raise ConfigError(
            f"annotator {name!r} is a pool of {len(annotators)}, which is not done here; take one, "
            "such as weighted_alpaca_eval_gpt4_turbo"
        )
    options = annotators[name]
    parsing = dict(options.get("completion_parser_kwargs", {}))
    parsing.pop("is_binarize", None)
    if _PARSERS.get(options.get("fn_completion_parser")) != parsing:
        raise ConfigError(
            f"annotator {name!r} reads its verdicts in a way that is not done here "
            f"({options.get('fn_completion_parser')} {parsing}); take one that asks for m or M "
            "at the first token, such as weighted_alpaca_eval_gpt4_turbo, or one that ranks"
        )
    return options


def _configurations() -> Path:
    spec = find_spec("alpaca_eval")  # found, not imported: that takes seconds
    folders = spec.submodule_search_locations if spec else None
    if not folders:
        raise ConfigError(
            "annotators are those of the alpaca-eval package, which is not installed; "
            "install it, or name a judge_prompt"
        )
    return Path(folders[0], "evaluators_configs")
