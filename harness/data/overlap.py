r"""Keep data sets apart: no prompt in two of them, and nothing that is held out in any.

    >>> key("Why is\n the Sky blue? ")
    'why is the sky blue?'

Texts are the same if they are equal up to letter case and white space.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.data.examples import Demonstration, RankedGroup


def key(text: str) -> str:
    """Make equal what differs only in letter case and white space."""
    return " ".join(text.casefold().split())


@dataclass(frozen=True)
class Seeds:
    """Demonstrations (IFT) and ranked groups (EFT) that share no prompt."""

    demonstrations: tuple[Demonstration, ...]
    groups: tuple[RankedGroup, ...]
    dropped: Mapping[str, int]
    """How many demonstrations, groups and single ranked answers were left out, by reason."""


def split_seeds(
    demonstrations: Sequence[Demonstration],
    groups: Sequence[RankedGroup],
    exclude: Iterable[str] = (),
    share: float = 0.5,
    seed: int = 0,
    disjoint: bool = True,
) -> Seeds:
    """Take what is held out from seed data, and divide it so that no prompt is on both sides.

    Args:
        demonstrations: Candidates for IFT; several of one prompt may stay.
        groups: Candidates for EFT. Of several groups with the same prompt the first stays.
        exclude: Held-out texts, prompts and answers alike. A demonstration goes if its prompt or
            its answer is one, a group if its prompt is one, a ranked answer if it is one.
        share: Of the prompts found on both sides, the share that goes to the demonstrations.
        seed: Which of those go where; a prompt's side depends on nothing else.
        disjoint: Whether to divide; without it a prompt may be on both sides, and in many groups.
    """
    held_out = {key(text) for text in exclude}
    dropped: Counter[str] = Counter()
    kept_groups = _groups_apart(groups, held_out, disjoint, dropped)
    kept_demonstrations = []
    for demonstration in demonstrations:
        if key(demonstration.prompt) in held_out:
            dropped["demonstrations: prompt held out"] += 1
        elif key(demonstration.response) in held_out:
            dropped["demonstrations: answer held out"] += 1
        else:
            kept_demonstrations.append(demonstration)
    if not disjoint:
        return Seeds(tuple(kept_demonstrations), tuple(kept_groups), +dropped)
    by_prompt = {key(group.prompt): group for group in kept_groups}
    both = {key(d.prompt) for d in kept_demonstrations} & by_prompt.keys()
    shown = {prompt for prompt in both if _fraction(prompt, seed) < share}
    ranked = both - shown
    dropped["demonstrations: prompt among the groups"] += sum(
        key(d.prompt) in ranked for d in kept_demonstrations
    )
    dropped["groups: prompt among the demonstrations"] += len(shown)
    return Seeds(
        tuple(d for d in kept_demonstrations if key(d.prompt) not in ranked),
        tuple(group for prompt, group in by_prompt.items() if prompt not in shown),
        +dropped,
    )


def _groups_apart(
    groups: Iterable[RankedGroup], held_out: set[str], once: bool, dropped: Counter[str]
) -> list[RankedGroup]:
    kept: list[RankedGroup] = []
    seen: set[str] = set()
    for group in groups:
        prompt = key(group.prompt)
        if prompt in held_out:
            dropped["groups: prompt held out"] += 1
            continue
        if once and prompt in seen:
            dropped["groups: same prompt twice"] += 1
            continue
        answers = tuple(r for r in group.responses if key(r.text) not in held_out)
        dropped["ranked answers: held out"] += len(group.responses) - len(answers)
        if len(answers) < 2:
            dropped["groups: fewer than two answers left"] += 1
            continue
        seen.add(prompt)
        kept.append(replace(group, responses=answers))
    return kept


def _fraction(text: str, seed: int) -> float:
    """Give a text its place in [0, 1), by hash."""
    digest = hashlib.sha256(f"{seed}\x1f{text}".encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:8]) / 2**64
