"""A scripted model that can be killed, and the micro-world's benchmarks cut short."""

import pytest

from evals.nlp_benchmarks.evaluation import NLPBenchmarks
from harness.engines.scripted import LoadedScript, Scripted
from harness.records import ModelRef

M1 = ModelRef(name="M1", location="anywhere")


class Counting(LoadedScript):
    """Counts what it is asked, and dies after a number of answers."""

    def __init__(self, killed, killed_after, **script):
        super().__init__(M1, Scripted.Config(**script), None)
        self.killed, self.killed_after = killed, killed_after
        self.asked = []

    def _counted(self, answers):
        for one in answers:
            if len(self.asked) == self.killed_after:
                raise self.killed
            self.asked.append(one)
            yield one

    def generate(self, requests):
        return self._counted(super().generate(requests))

    def loglikelihood(self, requests):
        return self._counted(super().loglikelihood(requests))


@pytest.fixture
def scripted(killed):
    def make(killed_after=None, **script):
        return Counting(killed, killed_after, **script)

    return make


@pytest.fixture
def evaluation():
    def make(**config):
        return NLPBenchmarks(NLPBenchmarks.Config(**{"limit": 3} | config))

    return make


@pytest.fixture
def result(log, scripted, evaluation):
    """Answer and mark, as a run does."""

    def play(model=None, rows=None, **config):
        built, model = evaluation(**config), model or scripted()
        rows = log() if rows is None else rows
        built.answer(model, rows)
        return built.mark(model.ref, rows, None, [])

    return play
