r"""Which questions of an evaluation are among the prompts that a model was trained on.

    >>> found = overlap(
    ...     {"a": "Why is the sky blue?", "b": "Name a bird.", "c": "Who wrote Hamlet?"},
    ...     training=["why is  the sky blue?", "Name a bird that cannot fly."],
    ... )
    >>> found.exact, found.near, found.questions
    (('a',), (), 3)

Exact is equality up to letter case and white space, as in `overlap.key`. Near is PaLM's rule
(Chowdhery et al. 2022, section 8): at least 70 % of a question's 8-word sequences occur somewhere
in the training prompts, punctuation and letter case aside. Eight words are also the least that
GPT-3's report compares (Brown et al. 2020, appendix C); a shorter question has no such sequence
and can only match exactly.
"""

import re
from collections.abc import Iterable, Iterator, Mapping

from harness.data.overlap import key
from harness.records import Overlap

WORDS = 8
"""Of a sequence."""
SHARE = 0.7
"""Of a question's sequences that must occur in training for it to count as near."""
_WORD = re.compile(r"\w+")


def overlap(questions: Mapping[str, str], training: Iterable[str]) -> Overlap:
    """Compare an evaluation's questions, by item id, with all prompts trained on."""
    prompts = {key(prompt): prompt for prompt in training}
    asked = {id: frozenset(_sequences(text)) for id, text in questions.items()}
    wanted = frozenset().union(*asked.values())
    seen: set[tuple[str, ...]] = set()
    for prompt in prompts.values():
        seen |= wanted.intersection(_sequences(prompt))
    exact = tuple(id for id, text in questions.items() if key(text) in prompts)
    near = {id for id, own in asked.items() if own and len(own & seen) >= SHARE * len(own)}
    return Overlap(
        questions=len(questions),
        prompts=len(prompts),
        exact=exact,
        near=tuple(id for id in questions if id in near.difference(exact)),
    )


def _sequences(text: str) -> Iterator[tuple[str, ...]]:
    """List every run of so many words."""
    words = _WORD.findall(text.casefold())
    return zip(*(words[start:] for start in range(WORDS)), strict=False)
