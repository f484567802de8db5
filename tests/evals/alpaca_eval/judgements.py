"""Judgements as published files have them, and a judge with odds."""

import hashlib
import math
from random import Random

from harness.protocols import Completion, Step
from harness.records import Failure, ModelRef

TOTAL = 805


def row(k=0, preference=1.0, **other):
    """A row of an annotations.json."""
    return {
        "instruction": f"Instruction {k}",
        "output_1": f"reference {k}",
        "generator_1": "gpt4_1106_preview",
        "dataset": "made up",
        "output_2": f"output {k}",
        "generator_2": "mine",
        "annotator": "weighted_alpaca_eval_gpt4_turbo",
        "preference": preference,
    } | other


def judged_rows(n=TOTAL, seed=0):
    """Rows of a judge that likes length, and easy instructions."""
    rng, rows = Random(seed), []
    for k in range(n):
        one, two = rng.randint(1, 400), rng.randint(1, 400)
        logit = (two - one) / 150 + hardness(k) - 0.5 + rng.gauss(0, 1)
        texts = {"output_1": f"r{k} " + "x" * one, "output_2": f"m{k} " + "y" * two}
        rows.append(row(k, 1 + 1 / (1 + math.exp(-logit)), **texts))
    return rows


def hardness(k):
    return Random(f"hardness {k}").gauss(0, 1)


class Killed(Exception):
    """The process is gone."""


class OddsJudge:
    """Says `m` or `M` with odds that depend on the last turn alone, as an API would report them."""

    chat_template = None
    context = 1 << 20

    def __init__(self, says=None, logprobs=True, killed_after=None, name="gpt-4-1106-preview"):
        self.says = says or odds
        self.logprobs = logprobs
        self.killed_after = killed_after
        self.ref = ModelRef(name="judge", location=name, fingerprint=name)
        self.asked = []

    def count_tokens(self, prompt):
        return 1

    def generate(self, requests):
        for request in reversed(list(requests)):
            if len(self.asked) == self.killed_after:
                raise Killed
            self.asked.append(request)
            said = self.says(request.prompt[-1].content)
            if isinstance(said, Failure):
                yield Completion(request.id, 0, "", finish_reason="failed", failure=said)
                continue
            if isinstance(said, str):
                yield Completion(request.id, 0, said, finish_reason="length")
                continue
            text = "m" if said > 0.5 else "M"
            likely = [("m", math.log(said)), ("M", math.log(1 - said)), ("The", -9.0)]
            likely.sort(key=lambda one: -one[1])
            steps = (Step(text, tuple(likely)),) if self.logprobs else None
            yield Completion(request.id, 0, text, finish_reason="length", steps=steps)


def odds(text):
    """Odds for `m`, made of the text: the same text, the same odds."""
    return (1 + int.from_bytes(hashlib.sha256(text.encode()).digest()[:2])) / 65_538
