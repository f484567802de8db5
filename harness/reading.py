"""Read verdicts out of what judges write. What cannot be read is a `Failure`, never a number.

    read_points      "Clear and right, but no detail. Score: 4"              -> Score(4)
    read_better      "Both are right, A is clearer. Better: A"               -> Score(1)
    read_ranking     "[{'model': 'model_1', 'rank': 2}, ...]"                -> Score(0)
    read_identifier  "m"                                                     -> Score(1)
    expected_score   "Score:" and one token: 4 at .6, 5 at .3, 1 at .02      -> Score(4.24)

A pairwise verdict is 1 where the first output is better, 0 where the second is, 0.5 for a tie.
"""

import ast
import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from harness.protocols import Completion, Step
from harness.records import Failure, Outcome, Score

Reader = Callable[[str], Outcome]
TIE = 0.5
"""A pairwise verdict that neither output is better."""
LEAST_SHARE = 0.5
"""The points of a verdict of one token must have so much of the probability between them."""
_UNTOLD = Failure(reason="no_logprobs", detail="the judge gave no token probabilities")

_MARKS = r"[\s*_`\"'.)\]]*"  # what may stand around a verdict: spaces, markup, a full stop
_POINTS = re.compile(
    r"\bscore[ \t*_`\"']*:[ \t*_`\"'(\[]*([-+]?[0-9]+(?:\.[0-9]+)?)"
    rf"(?:\s*(?:/|out of)\s*([0-9]+))?(?:\s*points?)?{_MARKS}(?:$|(?=\n))",
    re.IGNORECASE | re.MULTILINE,
)
_ANY_POINTS = re.compile(r"\bscore\W{0,4}:", re.IGNORECASE)
_BETTER = re.compile(
    rf"\b[Bb]etter[ \t*_`\"']*:[ \t*_`\"'(\[]*(A|B|[Tt]ie|[Nn]either){_MARKS}(?:$|(?=\n))",
    re.MULTILINE,
)
_ANY_BETTER = re.compile(r"\bbetter\W{0,4}:", re.IGNORECASE)
_NUMBER = re.compile(r"\W*([0-9]+)\W*")
_LIST = re.compile(r"\[[^\[\]]*\]")


def read_points(text: str, highest: float = 5.0, lowest: float = 0.0) -> Outcome:
    """Read the last `Score: <points>`, from `lowest` to `highest` (Yuan et al. 2024, Fig. 2).

    The points must end their line, but for markup, `/5`, `out of 5` or `points`: "Score: 4 + 1",
    "Score: 3 or 4" and "Score: 4,5" are not readings of 4, 3 and 4 but failures.
    """
    found = list(_POINTS.finditer(text))
    if not found:
        reason = "unclear_score" if _ANY_POINTS.search(text) else "no_score"
        return Failure.unread(reason, text)
    if _ANY_POINTS.search(text, found[-1].end()):
        return Failure.unread("unclear_score", text)
    value, scale = float(found[-1][1]), found[-1][2]
    if scale is not None and float(scale) != highest:
        return Failure(reason="wrong_scale", detail=found[-1][0])
    if not lowest <= value <= highest:
        return Failure(reason="out_of_range", detail=found[-1][0])
    return Score(value=value)


def read_better(text: str) -> Outcome:
    """Read the last `Better: A | B | tie`: 1 where the first output is better, 0, or 0.5.

    The verdict must end its line: "Better: a more careful answer is B" is a failure.
    """
    found = list(_BETTER.finditer(text))
    if not found or _ANY_BETTER.search(text, found[-1].end()):
        reason = "unclear_verdict" if _ANY_BETTER.search(text) else "no_verdict"
        return Failure.unread(reason, text)
    return Score(value={"a": 1.0, "b": 0.0}.get(found[-1][1].lower(), TIE))


def read_ranking(text: str) -> Outcome:
    """Read a list of ranks, as AlpacaEval's `alpaca_eval_gpt4` asks for.

    The last list of ranks in the text counts, so that a code fence or a citation around it does no
    harm. Both models must be there, with the ranks 1 and 2
    (`alpaca_eval.completion_parsers.ranking_parser`, which looks at the first model alone).
    """
    found = [ranks for match in _LIST.finditer(text) if (ranks := _ranks(match[0]))]
    if not found:
        return Failure.unread("no_verdict", text)
    if found[-1] == {"model_1": 1, "model_2": 2}:
        return Score(value=1)
    if found[-1] == {"model_1": 2, "model_2": 1}:
        return Score(value=0)
    return Failure.unread("unclear_verdict", text)


def _ranks(text: str) -> dict[Any, Any]:
    """Read one list of ranks; nothing where it is something else."""
    try:
        return {entry["model"]: entry["rank"] for entry in ast.literal_eval(text)}
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError):
        return {}


def read_identifier(text: str) -> Outcome:
    """Read `m` (first output) or `M` (second), as AlpacaEval 2's prompt asks for."""
    said = text.strip().strip("\"'`*.")
    if said not in ("m", "M"):
        return Failure.unread("no_verdict", text)
    return Score(value=1.0 if said == "m" else 0.0)


def identifier_probability(steps: Sequence[Step] | None) -> Outcome:
    """Compute P(m) / (P(m) + P(M)) at the first token: how likely the first output is better.

    A token that is not among the likeliest counts as impossible
    (`alpaca_eval.completion_parsers.logprob_parser`).
    """
    if not steps:
        return _UNTOLD
    found = {token: logprob for token, logprob in steps[0].alternatives if token in ("m", "M")}
    if not found:
        likeliest = ", ".join(repr(token) for token, _ in steps[0].alternatives)
        return Failure(reason="no_verdict", detail=f"neither m nor M among {likeliest}")
    most = max(found.values())  # so that two very unlikely tokens still have a ratio
    weights = {token: math.exp(logprob - most) for token, logprob in found.items()}
    return Score(value=weights.get("m", 0.0) / sum(weights.values()))


def expected_points(completion: Completion, highest: int = 5, lowest: int = 0) -> Outcome:
    """Compute the mean of the points under the judge's own probabilities, where it wrote them.

    Every number of points counts with its probability, over their sum (G-Eval, Liu et al. 2023).
    One sampled reasoning, so the mean over samples still matters.
    """
    return _mean(points_probabilities(completion, highest, lowest))


def expected_score(completion: Completion, highest: int = 5, lowest: int = 0) -> Outcome:
    """Compute the same of a verdict of one token, where the judge could say nothing but points."""
    return _mean(first_probabilities(completion, highest, lowest))


def _mean(told: Mapping[int, float] | Failure) -> Outcome:
    if isinstance(told, Failure):
        return told
    weighted = sum(points * probability for points, probability in told.items())
    return Score(value=weighted / sum(told.values()))


def first_probabilities(
    completion: Completion, highest: int = 5, lowest: int = 0
) -> Mapping[int, float] | Failure:
    """Find how likely each number of points is to be the first token.

    Where something else is likelier than all of them together, their ratio says nothing.
    """
    if completion.failure is not None:
        return completion.failure
    if not completion.steps:
        return _UNTOLD
    likeliest = completion.steps[0].alternatives
    found = _probabilities(likeliest, range(lowest, highest + 1))
    if isinstance(found, Failure) or sum(found.values()) >= LEAST_SHARE:
        return found
    others = ", ".join(repr(token) for token, _ in likeliest[:3])
    share = f"the points have {sum(found.values()):.0%} of the probability"
    return Failure(reason="no_distribution", detail=f"{share}; likeliest: {others}")


def points_probabilities(
    completion: Completion, highest: int = 5, lowest: int = 0
) -> Mapping[int, float] | Failure:
    """Find how likely the judge was to give each number of points, where it wrote them.

    The verdict is read as always; at the token that gives the points, every likely token that is
    a number from `lowest` to `highest` counts.
    """
    if completion.failure is not None:
        return completion.failure
    if not completion.steps:
        return _UNTOLD
    text = "".join(step.token for step in completion.steps)
    if text.startswith(completion.text):
        text = completion.text  # without an end token that is spelled out
    read = read_points(text, highest, lowest)
    if isinstance(read, Failure):
        return read
    at = list(_POINTS.finditer(text))[-1].start(1)
    for step in completion.steps:
        if at < len(step.token):
            return _probabilities(step.alternatives, range(lowest, highest + 1))
        at -= len(step.token)
    raise AssertionError("the points stand in one of the tokens")


def _probabilities(
    alternatives: Sequence[tuple[str, float]], allowed: range
) -> Mapping[int, float] | Failure:
    found: dict[int, float] = {}
    for token, logprob in alternatives:
        match = _NUMBER.fullmatch(token)
        if match and int(match[1]) in allowed:
            found[int(match[1])] = found.get(int(match[1]), 0) + math.exp(logprob)
    if not sum(found.values()):
        return Failure(reason="no_distribution", detail="no likely token gives the points alone")
    return found
